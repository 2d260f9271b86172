"""The wheel, in an environment without the project's folder: it brings the model along."""

import os
import shutil
import site
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from penguin_model.card import DEFAULT_MODEL, card_path, default_model, onnx_path
from tests.support.running import PROJECT, manifest, published

MODEL_FILES = {DEFAULT_MODEL, onnx_path(DEFAULT_MODEL), card_path(DEFAULT_MODEL)}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made from the source archive, which is made from what is committed."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("penguin_model", "pipelines", "models"):
        shutil.copytree(PROJECT / name, source / name)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    run(sys.executable, "setup.py", "-q", "sdist", "--dist-dir", folder, cwd=source)
    (archive,) = folder.glob("*.tar.gz")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-build-isolation")
    run(*pip, "--no-deps", "--wheel-dir", folder, archive, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel in an environment of its own, with this one's packages behind it."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin/python"
    (packages,) = folder.glob("lib/python*/site-packages")
    # A folder that is named so isn't searched for .pth files, one of which names the project.
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()))
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index")
    run(*pip, "--no-deps", "--ignore-installed", wheel, cwd=folder)
    return folder


def run(*command: object, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_wheel_holds_the_shipped_model(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if name.startswith("penguin_model/models/")}
        assert names == {f"penguin_model/{name}" for name in MODEL_FILES}
        for name in MODEL_FILES:
            assert packed.read(f"penguin_model/{name}") == (PROJECT / name).read_bytes()


@pytest.mark.slow
def test_the_installed_commands_find_it_in_an_empty_folder(
    environment: Path, tmp_path: Path
) -> None:
    bird = ("--culmen_length=50.4", "--culmen_depth=15.3", "--flipper_length=200")
    said = run(environment / "bin/penguin-predict", *bird, "--body_mass=5000", cwd=tmp_path)
    assert said.startswith("Gentoo\n")
    night = PROJECT / "data/observations/dream-2007.csv"
    flags = ("--input", night, "--output", "out", "--run_id=test")
    run(environment / "bin/penguin-score", *flags, cwd=tmp_path)
    assert published(tmp_path / "out", "predictions").num_rows > 0
    used = Path(manifest(tmp_path / "out")["model"]["path"])
    assert used.is_relative_to(environment)


def test_a_model_in_the_working_folder_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert default_model() == str(PROJECT / DEFAULT_MODEL)
    (tmp_path / DEFAULT_MODEL).parent.mkdir()
    (tmp_path / DEFAULT_MODEL).touch()
    assert default_model() == DEFAULT_MODEL
