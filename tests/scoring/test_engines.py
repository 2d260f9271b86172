"""`--engine`: chosen, refused, recorded, and without TensorFlow where it isn't meant."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penguin_model import engines, predict
from penguin_model.card import RESTORE, card_path, onnx_path
from penguin_model.errors import ModelError
from pipelines import job, score
from pipelines.job import run
from tests.scoring.test_bad_models import only_sent
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


def make_pipe(model: Path) -> None:
    remove(model)
    os.mkfifo(onnx_path(str(model)))


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "none": (forget, " has no ONNX file: its card names none; train or register it again\n"),
    "missing": (remove, f".onnx: No such file or directory; {RESTORE}\n"),
    "a pipe": (make_pipe, ".onnx: is not a file\n"),
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
    for each in runs:
        code = each()
        out, err = capfd.readouterr()
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert f"error: model {model}{message}" in err
    assert not output.exists()
    # What the other engine needs is all there.
    assert run_here(output, "--input", night, "--model", model, *PLAIN) == 0


def test_the_file_is_not_the_model(
    tmp_path: Path, night: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    flags = ("--input", night, "--model", onnx_path(str(model)), *ONNX, *PLAIN)
    assert run_here(tmp_path / "out", *flags) == 2
    assert f"; give --engine onnx and --model {model}\n" in capfd.readouterr().err


@pytest.mark.parametrize("engine", engines.ENGINES)
def test_a_model_may_be_named_by_its_url(
    engine: str, tmp_path: Path, night: Path, model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = ("--input", night, "--model", f"file://{model}", "--engine", engine, *PLAIN)
    assert run_here(tmp_path / "out", *given) == 0
    os.truncate(engines.ENGINES[engine].file_of(str(model)), 100)
    capfd.readouterr()
    assert run_here(tmp_path / "out", *given, "--replace") == 2
    assert f"{model.name}" in capfd.readouterr().err


@pytest.mark.parametrize("spoil", [Path.unlink, lambda path: path.write_bytes(b"other")])
@pytest.mark.parametrize("engine", engines.ENGINES)
def test_a_file_that_changes_after_the_checks_is_refused_before_it_is_sent(
    engine: str, spoil: Callable[[Path], object], tmp_path: Path, night: Path, model: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Workers elsewhere would each find out, and try again."""
    file = engines.ENGINES[engine].file_of(str(model))
    flags = [f"--input={night}", f"--output={tmp_path / 'out'}", f"--model={model}"]
    flags += [f"--engine={engine}", *PLAIN]
    plan = job.prepare(job.parse_arguments("test", flags), flags)
    spoil(Path(file))
    monkeypatch.setattr(run, "model_file", only_sent())
    monkeypatch.setattr(plan.submission, "run", None)
    with pytest.raises(ModelError, match=f"^model {file}(: No such file| does not fit its card: )"):
        job.execute(plan)
    assert listing(tmp_path / "out") == []


def ends(**kinds: tuple[Any, list[Any]]) -> list[Any]:
    from onnx import helper

    return [helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()]


def network(
    width: int = 4, classes: int = 3, *, opset: int = 18, domain: str = "", weights: Any = None,
    others: Any = (), inputs: Any = (),
) -> Any:  # fmt: skip
    """A network by hand, from ``rows`` to ``answers``."""
    from onnx import TensorProto, helper, numpy_helper

    numbers = np.random.default_rng(0).normal(0, 1, (width, classes)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["rows", "w"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["answers"], domain=domain),
    ]
    graph = helper.make_graph(
        nodes, "g",
        [*ends(rows=(TensorProto.FLOAT, ["n", width])), *inputs],
        ends(answers=(TensorProto.FLOAT, ["n", classes])),
        [weights or numpy_helper.from_array(numbers, "w"), *others],
    )  # fmt: skip
    imports = [helper.make_opsetid(*each) for each in {"": opset, domain: opset}.items()]
    return helper.make_model(graph, ir_version=8, opset_imports=imports)


def ours(*widths: int) -> Any:
    from penguin_model.training import onnx_columns

    return onnx_columns.rewrite(network(*widths))


def with_another_input() -> Any:
    from onnx import TensorProto

    return network(inputs=ends(more=(TensorProto.FLOAT, ["n", 1])))


def with_weights_in(location: str) -> Any:
    """Like one of ours, but the weights are in another file."""
    model = ours()
    weights = next(each for each in model.graph.initializer if len(each.dims) == 2)
    content = weights.raw_data
    Path("weights").write_bytes(content)
    weights.ClearField("raw_data")
    weights.data_location = 1
    for key, value in {"location": location, "length": str(len(content))}.items():
        weights.external_data.add(key=key, value=value)
    return model


UNFIT: dict[str, tuple[Callable[[], Any], str]] = {
    "no network": (lambda: None, "is refused: ONNX Runtime "),
    "another's": (network, "is refused: it isn't an ONNX file that penguin-train or penguin-"),
    "two inputs": (with_another_input, "is refused: it isn't an ONNX file that penguin-train or"),
    "wider": (lambda: ours(5, 3), "fails on plausible observations: "),
    "narrower": (lambda: ours(3, 3), "fails on plausible observations: "),
    "two classes": (lambda: ours(4, 2), "does not fit its card: it answers with 2 numbers, the "),
    "four classes": (lambda: ours(4, 4), "does not fit its card: it answers with 4 numbers, the "),
    "a later opset": (lambda: network(opset=999), "cannot load it: ONNX Runtime only *guarantees*"),
    "its own operator": (lambda: network(domain="other"), "cannot load it: Fatal error: other:Sof"),
    "weights here": (lambda: with_weights_in("weights"), "cannot load it: External data path "),
    "weights there": (lambda: with_weights_in("../weights"), "cannot load it: External data path"),
    "weights anywhere": (lambda: with_weights_in("/proc/self/maps"), "cannot load it: External d"),
}


@pytest.mark.parametrize("kind", UNFIT)
def test_a_network_that_does_not_fit_is_refused(
    kind: str, tmp_path: Path, night: Path, model: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With the SHA-256 that its card says."""
    monkeypatch.chdir(tmp_path)
    make, message = UNFIT[kind]
    made = make()
    content = b"abc" if made is None else made.SerializeToString()
    Path(onnx_path(str(model))).write_bytes(content)
    path = Path(card_path(str(model)))
    card = json.loads(path.read_text())
    card["onnx"]["sha256"] = hashlib.sha256(content).hexdigest()
    path.write_text(json.dumps(card))
    output = tmp_path / "out"
    output.mkdir()
    assert run_here(output, "--input", night, "--model", model, *ONNX, *PLAIN) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n"), listing(output)) == ("", 1, [])
    assert err.startswith(f"penguin-score: error: model {model}.onnx ")
    assert message in err


def test_without_the_library_a_line_names_it(
    tmp_path: Path, night: Path, model: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(engines, "_shared", {})
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    # As on a worker elsewhere, whose errors arrive as records.
    monkeypatch.setattr(run, "model_file", only_sent())
    assert run_here(tmp_path / "out", "--input", night, "--model", model, *ONNX, *PLAIN) == 2
    assert capfd.readouterr().err == (
        f"penguin-score: error: model {model}.onnx needs onnxruntime, which isn't installed here: "
        "install all of penguin-scoring's packages\n"
    )


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


@pytest.mark.parametrize(
    ("arguments", "left_out"),
    [
        (["--engine", "onnx", "--input", "a.csv"], True),
        (["--input", "a.csv", "--engine=onnx"], True),
        (["--engine", "keras", "--engine", "onnx"], True),
        # What a wrapper sets, its user may set otherwise.
        (["--engine=onnx", "--input", "a.csv", "--engine=keras"], False),
        (["--engine", "onnx", "--engine", "keras"], False),
        (["--input", "a.csv"], False),
        (["--engine", "onnx", "--engine"], False),
        (["--engine", "onnx", "--runner", "PrismRunner"], False),
        (["--engine", "onnx", "--runner=DirectRunner"], False),
        (["--engine", "onnx", "--model=s3://bucket/a.keras"], False),
        (["--engine", "onnx", "--verbose"], False),
    ],
)
def test_libraries_are_only_left_out_where_nothing_needs_them(
    arguments: list[str], left_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    before = len(sys.meta_path)
    score.leave_out_unused(arguments)
    assert len(sys.meta_path) - before == left_out


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
