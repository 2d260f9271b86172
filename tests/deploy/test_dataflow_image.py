"""The image for Dataflow, read without building it."""

import fnmatch
import re
import tomllib

from packaging.requirements import Requirement

from penguin_model.card import DEFAULT_MODEL
from tests.support.locks import installed
from tests.support.running import PROJECT

FOLDER = PROJECT / "deploy" / "dataflow"
LOCKS = PROJECT / "locks"
DOCKERFILE = re.sub(r"\\\n", " ", (FOLDER / "Dockerfile").read_text())


def test_image_copies_files_that_are_there_and_not_ignored() -> None:
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
    let_through = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    sources = [
        source
        for lock in ("deploy/dataflow/requirements.lock", "deploy/slim/dataflow.lock")
        for arguments in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
        for source in arguments.replace("${LOCK}", lock).split()[:-1]
    ]
    assert "deploy/dataflow/main.py" in sources
    for source in sources:
        path = PROJECT / source
        assert path.exists(), source
        files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
        names = [str(file.relative_to(PROJECT)) for file in files]
        assert any(
            fnmatch.fnmatch(name, pattern) or name.startswith(f"{pattern}/")
            for name in names
            for pattern in let_through
        ), source
    (launched,) = re.findall(r"^ENV FLEX_TEMPLATE_PYTHON_PY_FILE=(.*)$", DOCKERFILE, re.MULTILINE)
    assert launched == "/template/main.py"
    assert DEFAULT_MODEL.startswith("models/")  # beside it


def test_image_has_the_packages_of_the_tests() -> None:
    locked = installed(FOLDER / "requirements.lock")
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    # The image doesn't train.
    training = {
        Requirement(each).name for each in pyproject["project"]["optional-dependencies"]["onnx"]
    }
    runtime = {each for each in installed(LOCKS / "requirements.lock") if each[1] not in training}
    assert runtime <= locked
    assert locked <= installed(LOCKS / "requirements-dev.lock")
    (beam,) = re.findall(r"^ARG BEAM=apache/beam_python3.11_sdk:(.*)$", DOCKERFILE, re.MULTILINE)
    assert ("apache-beam", f"=={beam}") in {(name, version) for _, name, version, _ in locked}
    assert "3.11" in pyproject["project"]["requires-python"]
