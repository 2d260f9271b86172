"""The slim images' packages: the full ones' but for TensorFlow, and enough to score."""

import venv
from pathlib import Path

import pytest

from deploy.slim import check
from deploy.slim.check import Installed
from tests.support.locks import installed, pinned
from tests.support.running import PROJECT, manifest, published
from tests.support.wheels import build_wheel, run, start

FOLDER = PROJECT / "deploy" / "slim"
LEFT_OUT = FOLDER / "left_out.txt"
FULL = {
    "flink": PROJECT / "locks/requirements.lock",
    "dataflow": PROJECT / "deploy/dataflow/requirements.lock",
}
BIRD = ("--culmen_length=50.4", "--culmen_depth=15.3", "--flipper_length=200", "--body_mass=5000")
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")


@pytest.mark.parametrize("image", FULL)
def test_slim_lock_is_the_full_one_without_what_is_left_out(image: str) -> None:
    slim, full = installed(FOLDER / f"{image}.lock"), installed(FULL[image])
    left_out = check.names(LEFT_OUT.read_text())
    assert {"keras", "tensorflow", "tensorflow-cpu"} < left_out
    assert slim < full
    assert not left_out & {name for _, name, _, _ in slim}
    assert left_out <= {name for _, name, _, _ in full}
    # None that one of the rest needs has gone with them.
    names = {pin.name for pin in pinned(FOLDER / f"{image}.lock")}
    assert {"apache-beam", "onnxruntime", "pyarrow", "rich", "scipy", "setuptools"} <= names


LOCK = "a==1.0 \\\n    --hash=sha256:0\n    # via b\nb[x]==2 ; python_version >= '3' \\\n"
GOOD = {
    "a": Installed("1.0", ["b>=2", "keras", "c; extra == 'more'", "d; python_version < '3'"]),
    "b": Installed("2", []),
}
BAD: dict[str, tuple[dict[str, Installed], str]] = {
    "missing": ({"a": GOOD["a"]}, "b==2 is not installed"),
    "other version": (GOOD | {"b": Installed("3", [])}, "b==2 is locked, and 3 is installed"),
    "not left out": (GOOD | {"keras": Installed("3", [])}, "keras is to be left out, and is"),
    "needed": (GOOD | {"b": Installed("2", ["C>1"])}, "b requires c, which is not installed"),
    "too old": (GOOD | {"b": Installed("2", ["a>1"])}, "b requires a>1, and 1.0 is installed"),
}


def test_the_check_lets_good_packages_through() -> None:
    assert check.pins(LOCK) == {"a": "==1.0", "b": "==2"}
    assert check.names("# a comment\nKeras\n\nscikit_learn\n") == {"keras", "scikit-learn"}
    assert list(check.find_problems(check.pins(LOCK), {"keras"}, GOOD)) == []


@pytest.mark.parametrize("kind", BAD)
def test_the_check_finds(kind: str) -> None:
    found, message = BAD[kind]
    problems = list(check.find_problems(check.pins(LOCK), {"keras"}, found))
    assert any(problem.startswith(message) for problem in problems)


def test_what_a_full_lock_has_must_be_there() -> None:
    locked = check.pins(LOCK) | {"keras": "==3"}
    assert list(check.find_problems(locked, {"keras"}, GOOD)) == [
        "keras==3 is not installed",
        "a requires keras, which is not installed",
    ]


def test_the_check_knows_this_environment() -> None:
    """It has all of the full locks, so it isn't slim."""
    for lock in FULL.values():
        assert check.main(str(lock), str(LEFT_OUT)) is None
    problems = check.main(str(FOLDER / "flink.lock"), str(LEFT_OUT))
    assert problems is not None
    assert "keras is to be left out, and is installed" in problems.splitlines()


@pytest.fixture(scope="module", params=FULL)
def slim(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with a slim image's packages and our wheel."""
    folder = tmp_path_factory.mktemp("slim")
    venv.create(folder, with_pip=True)
    python, lock = folder / "bin/python", FOLDER / f"{request.param}.lock"
    builder = folder / "setuptools.lock"
    text = lock.read_text()
    start_of = text.index("setuptools==")
    builder.write_text(text[start_of : text.index("#", start_of)])
    hashed = (python, *PIP, "--no-deps", "--require-hashes", "--no-build-isolation")
    for each in (builder, lock):
        run(*hashed, "--requirement", each, cwd=folder)
    wheel = build_wheel(tmp_path_factory.mktemp("wheel"))
    run(python, *PIP, "--no-deps", "--no-index", wheel, cwd=folder)
    run(python, FOLDER / "check.py", lock, LEFT_OUT, cwd=folder)
    return folder


@pytest.mark.registry
def test_slim_packages_score_the_sample_night(slim: Path, tmp_path: Path) -> None:
    flags = ("--input", PROJECT / "data/observations/*", "--output", "out", "--run_id=test")
    onnx = "--engine=onnx"
    run(slim / "bin/penguin-score", *flags, onnx, "--report", cwd=tmp_path)
    assert manifest(tmp_path / "out")["model"]["engine"] == "onnx"
    assert published(tmp_path / "out", "predictions").num_rows == 342
    scored = ("--output", "out")
    run(slim / "bin/penguin-runs", "verify", *scored, "--replay", "5", cwd=tmp_path)
    run(slim / "bin/penguin-report", *scored, cwd=tmp_path)
    assert run(slim / "bin/penguin-predict", *BIRD, onnx, cwd=tmp_path).startswith("Gentoo\n")
    for command, *given in (
        ("penguin-score", *flags, "--run_id=other"),
        ("penguin-predict", *BIRD),
        ("penguin-describe", "--weights"),
        ("penguin-train", "--data", PROJECT / "data/penguins.csv"),
    ):
        ran = start(slim / "bin" / str(command), *given, cwd=tmp_path)
        (line,) = ran.stderr.splitlines()
        assert ran.returncode == 2
        assert "which isn't installed here" in line
        assert line.endswith("--engine=onnx") == (command in ("penguin-score", "penguin-predict"))
    assert sorted(path.name for path in (tmp_path / "out/runs").glob("*.json")) == ["test.json"]
