"""`--engine`: chosen, refused, recorded, and without TensorFlow where it isn't meant."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penguin_model import engines, predict
from penguin_model.card import RESTORE, card_path, onnx_path
from tests.support.running import PLAIN, PROJECT, listing, manifest, run_here
from tests.support.runs import act

MODEL = PROJECT / "models/penguin-classifier.keras"
CSV = "CulmenLength,CulmenDepth,FlipperLength,BodyMass\n39.1,18.7,181,3750\n50.4,15.3,200,5000\n"
BIRD = ("--culmen_length=50.4", "--culmen_depth=15.3", "--flipper_length=200", "--body_mass=5000")
ONNX = ("--engine", "onnx")


@pytest.fixture
def night(tmp_path: Path) -> Path:
    file = tmp_path / "birds.csv"
    file.write_text(CSV)
    return file


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the shipped model, with its files."""
    for path in (str(MODEL), onnx_path(str(MODEL)), card_path(str(MODEL))):
        shutil.copy(path, tmp_path)
    return tmp_path / MODEL.name


def forget(model: Path) -> None:
    """The card names no ONNX file, as an early release's."""
    path = Path(card_path(str(model)))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"onnx": None}))


def remove(model: Path) -> None:
    Path(onnx_path(str(model))).unlink()


def change(model: Path) -> None:
    with open(onnx_path(str(model)), "ab") as file:
        file.write(b" ")


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "none": (forget, " has no ONNX file: its card names none; train or register it again\n"),
    "missing": (remove, f".onnx: No such file or directory; {RESTORE}\n"),
    "another": (change, ".onnx does not fit its card: SHA-256 is "),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_model_without_its_file_is_refused_before_the_run(
    kind: str, tmp_path: Path, night: Path, model: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(engines, "_shared", {})
    spoil, message = REFUSED[kind]
    spoil(model)
    given = ("--model", str(model), *ONNX)
    output = tmp_path / "out"
    runs: list[Callable[[], int]] = [
        lambda: run_here(output, "--input", night, *given, *PLAIN),
        lambda: run_here(output, "--input", night, *given, "--check"),
        lambda: predict.main([*given, *BIRD]),
    ]
    for run in runs:
        code = run()
        out, err = capfd.readouterr()
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert f"error: model {model}{message}" in err
    assert not output.exists()
    # What the other engine needs is all there.
    assert run_here(output, "--input", night, "--model", model, *PLAIN) == 0


def test_a_file_that_is_no_network_is_refused(
    tmp_path: Path, night: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import hashlib

    Path(onnx_path(str(model))).write_bytes(b"abc")
    path = Path(card_path(str(model)))
    card = json.loads(path.read_text())
    card["onnx"]["sha256"] = hashlib.sha256(b"abc").hexdigest()
    path.write_text(json.dumps(card))
    output = tmp_path / "out"
    output.mkdir()
    assert run_here(output, "--input", night, "--model", model, *ONNX, *PLAIN) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n"), listing(output)) == ("", 1, [])
    assert f"error: model {model}.onnx is refused: ONNX Runtime cannot load it: " in err


def test_the_manifest_names_the_engine_and_its_versions(tmp_path: Path, night: Path) -> None:
    found: dict[str, Any] = {}
    for engine in ("keras", "onnx"):
        output = tmp_path / engine
        assert run_here(output, "--input", night, "--engine", engine, *PLAIN) == 0
        found[engine] = manifest(output)
        assert found[engine]["model"]["engine"] == engine
    assert "onnxruntime" in found["onnx"]["versions"].keys() - found["keras"]["versions"].keys()
    assert "keras" in found["keras"]["versions"].keys() - found["onnx"]["versions"].keys()
    assert found["keras"]["flags"] == {}
    assert found["onnx"]["flags"] == {"engine": "onnx"}


def test_a_run_is_replayed_with_its_own_engine(
    tmp_path: Path, night: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from penguin_model.engines.keras_engine import KerasEngine

    assert run_here(tmp_path / "out", "--input", night, *ONNX, *PLAIN) == 0

    def fail(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(KerasEngine, "load", fail)
    capsys.readouterr()
    assert act(tmp_path / "out", "verify", "test", "--replay", 2) == 0
    assert "2 rows of 1 file scored again" in capsys.readouterr().out


LIBRARIES = {"tensorflow", "keras", "tf2onnx", "onnx", "sklearn", "matplotlib"}
# A run on local files leaves these out of what Beam imports, too.
UNUSED = {"pandas", "scipy", "prometheus_client", "IPython", "google.cloud.storage", "boto3"}
COMMANDS = {
    "a run": ("pipelines.score", "--input", "{night}", "--output", "{out}", *ONNX, "--run_id=a"),
    "a page": ("pipelines.score", "--input", "{night}", "--output", "{out}", *ONNX, "--report"),
    "a check": ("pipelines.score", "--input", "{night}", *ONNX, "--check"),
    "a bird": ("penguin_model.predict", *ONNX, *BIRD),
    "the report": ("pipelines.report", "--output", "{out}"),
    "verify": ("pipelines.runs", "verify", "--output", "{out}", "--replay", "2"),
    "a list": ("pipelines.runs", "list", "--output", "{out}"),
}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scored")
    (folder / "birds.csv").write_text(CSV)
    assert run_here(folder / "out", "--input", folder / "birds.csv", *ONNX, *PLAIN) == 0
    return folder


@pytest.mark.parametrize("kind", COMMANDS)
def test_tensorflow_is_never_imported(kind: str, scored: Path) -> None:
    module, *arguments = (
        each.format(night=scored / "birds.csv", out=scored / "out") for each in COMMANDS[kind]
    )
    code = (
        "import atexit, runpy, sys\n"
        f"sys.argv = {[module, *arguments]!r}\n"
        f"bad = {LIBRARIES | (UNUSED if kind in ('a run', 'a check') else set())!r}\n"
        "found = lambda: [each for each in sorted(bad) if each in sys.modules]\n"
        "atexit.register(lambda: print('imported:', found()))\n"
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120,
        env=os.environ,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr.count("error")) == (0, 0)
    assert ran.stdout.splitlines()[-1] == "imported: []"


# The command, its exit code, and the library that it lacks where a slim image hasn't it.
SLIM: dict[str, tuple[tuple[str, ...], int, str]] = {
    "a night": (("pipelines.score", "--input", "{night}", "--output", "{new}", *ONNX), 0, ""),
    "a keras night": (("pipelines.score", "--input", "{night}", "--output", "{new}"), 2, "keras"),
    "a bird": (("penguin_model.predict", *BIRD, *ONNX), 0, ""),
    "a keras bird": (("penguin_model.predict", *BIRD), 2, "keras"),
    "a page": (("penguin_model.describe", "--html", "{new}"), 0, ""),
    "weights": (("penguin_model.describe", "--weights"), 2, "keras"),
    "training": (("penguin_model.train", "--model", "{new}/a.keras"), 2, "sklearn"),
    "registering": (
        ("penguin_model.register", "{model}", "--data", "data/penguins.csv", "--label", "species",
         "--replace"),
        2, "keras",
    ),
    "the report": (("pipelines.report", "--output", "{out}"), 0, ""),
    "verify": (("pipelines.runs", "verify", "--output", "{out}", "--replay", "2"), 0, ""),
}  # fmt: skip


@pytest.mark.parametrize("kind", SLIM)
def test_a_slim_image_scores_and_says_what_it_lacks(
    kind: str, scored: Path, model: Path, tmp_path: Path
) -> None:
    (module, *rest), expected, lacking = SLIM[kind]
    Path(card_path(str(model))).unlink()
    new = tmp_path / "new"
    places = {"night": scored / "birds.csv", "out": scored / "out", "new": new, "model": model}
    code = (
        "import runpy, sys\n"
        "class LeftOut:\n"
        "    def find_spec(name, *_):\n"
        "        if name in ('keras', 'matplotlib', 'pandas', 'sklearn', 'tensorflow'):\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, LeftOut)\n"
        f"sys.argv = {[module, *(each.format(**places) for each in rest)]!r}\n"
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120,
        env=os.environ,
    )  # fmt: skip
    assert ran.returncode == expected, ran.stderr
    if expected:
        (line,) = ran.stderr.splitlines()
        assert f"needs {lacking}, which isn't installed here: install all of penguin-" in line
        engine = module in ("pipelines.score", "penguin_model.predict")
        assert line.endswith(", or score with --engine=onnx") == engine
        assert not new.is_file()
        assert not listing(new)
