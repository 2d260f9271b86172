"""What surrounds the job on a user's machine costs no run: streams, settings, folders, proxies."""

import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

import pytest

from penguin_model import describe, predict, train
from pipelines.report import __main__ as report
from tests.support.running import PLAIN, PROJECT, command, listing, manifest, published, run_here

MODEL = PROJECT / "models/penguin-classifier.keras"
GENTOO = [
    "--culmen_length=50.4", "--culmen_depth=15.3", "--flipper_length=200", "--body_mass=5000",
    "--model", str(MODEL),
]  # fmt: skip
HEADER = "CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"
Stream = Callable[[], AbstractContextManager[IO[str] | None]]


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """Twenty good rows and a bad one."""
    file = tmp_path / "night.csv"
    file.write_text(HEADER + "39.1,18.7,181,3750\n" * 20 + "39.1,,,\n")
    return file


@contextlib.contextmanager
def full_disk() -> Iterator[IO[str]]:
    stream = open("/dev/full", "w")  # noqa: SIM115 - closing it fails
    yield stream
    with contextlib.suppress(OSError):
        stream.close()


@contextlib.contextmanager
def closed_pipe() -> Iterator[IO[str]]:
    reader, writer = os.pipe()
    os.close(reader)
    stream = open(writer, "w")  # noqa: SIM115 - closing it fails
    yield stream
    with contextlib.suppress(OSError):
        stream.close()


def no_stream() -> AbstractContextManager[None]:
    return contextlib.nullcontext()


BROKEN = pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (no_stream, "it is closed"),
        (full_disk, "No space left on device"),
        (closed_pipe, "Broken pipe"),
    ],
)


def run_with(name: str, stream: Stream, run: Callable[[], int]) -> int:
    """Runs a command with a broken standard stream."""
    with stream() as broken, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, name, broken)
        return run()


@BROKEN
@pytest.mark.parametrize("flags", [["--report"], ["--max_reject_fraction=0", "--summary=json"]])
def test_the_exit_code_is_the_runs_whether_or_not_its_summary_can_be_written(
    tmp_path: Path, night: Path, capsys: pytest.CaptureFixture[str], stream: Stream, reason: str,
    flags: list[str],
) -> None:  # fmt: skip
    arguments = ("--input", night, "--model", MODEL, *PLAIN, *flags)
    held = "--report" not in flags
    code = run_with("stdout", stream, lambda: run_here(tmp_path / "out", *arguments))
    assert code == (3 if held else 0)
    note, *others = capsys.readouterr().err.splitlines()
    assert note == (
        f"penguin-score: note: the summary could not be written to standard output: {reason}"
    )
    assert len(others) == held
    if not held:
        assert manifest(tmp_path / "out")["totals"]["rows_scored"] == 20
        assert (tmp_path / "out/reports/test.html").exists()


@BROKEN
def test_a_standard_error_that_takes_no_text_costs_only_the_text(
    tmp_path: Path, night: Path, stream: Stream, reason: str
) -> None:
    del reason
    empty, flags = tmp_path / "nothing*.csv", ("--model", MODEL, *PLAIN)
    output = tmp_path / "noted"
    assert run_with("stderr", stream, lambda: run_here(output, "--input", empty, *flags)) == 0
    flags = (*flags, "--max_reject_fraction=0")
    output = tmp_path / "held"
    assert run_with("stderr", stream, lambda: run_here(output, "--input", night, *flags)) == 3


@BROKEN
def test_a_result_that_cannot_be_written_is_a_failure_in_one_line(
    capsys: pytest.CaptureFixture[str], stream: Stream, reason: str
) -> None:
    shown = "" if stream is closed_pipe else f"error: cannot write to standard output: {reason}\n"
    for program, main, arguments in (
        ("penguin-predict", predict.main, GENTOO),
        ("penguin-describe", describe.main, ["--model", str(MODEL), "--json"]),
        ("penguin-train", train.main, ["--help"]),
        ("penguin-report", report.main, ["--version"]),
    ):
        assert run_with("stdout", stream, functools.partial(main, arguments)) == 1
        assert capsys.readouterr().err == (f"{program}: {shown}" if shown else "")


def test_training_goes_on_when_its_report_can_no_longer_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "x.keras"
    flags = [
        "--epochs=1",
        "--force",
        "--cross_validation=0",
        "--model",
        str(model),
        "--data",
        str(PROJECT / "data/penguins.csv"),
    ]
    assert run_with("stdout", closed_pipe, lambda: train.main(flags)) == 0
    assert capsys.readouterr().err.count("\n") == 1
    assert model.exists()


@pytest.mark.slow
def test_a_process_without_any_standard_stream_publishes_the_same(
    tmp_path: Path, night: Path
) -> None:
    """The files that it opens would take the numbers of the streams."""
    arguments = ("--input", night, "--model", MODEL, *PLAIN)
    given = command("--output", tmp_path / "out", *arguments)
    ran = subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *given], cwd=PROJECT, timeout=120)
    assert ran.returncode == 0
    assert run_here(tmp_path / "here", *arguments) == 0
    found, expected = (published(tmp_path / name, "predictions") for name in ("out", "here"))
    exact = ["source_file", "source_row", "species"]
    assert found.select(exact).equals(expected.select(exact))
    # Two processes may have different numbers of threads, which round differently.
    chances = found["probability"].to_pylist()
    assert chances == pytest.approx(expected["probability"].to_pylist(), abs=1e-6)


def test_a_full_disk_below_standard_output_as_a_shell_sees_it(night: Path) -> None:
    """Python flushes what is left at exit, and would end with 120."""
    ran = subprocess.run(
        ["sh", "-c", '"$@" >/dev/full', "sh", sys.executable, "-m", "penguin_model.predict", "-h"],
        cwd=PROJECT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 1
    assert ran.stderr == (
        "penguin-predict: error: cannot write to standard output: No space left on device\n"
    )


SETTINGS: dict[str, tuple[dict[str, str], str]] = {
    "variables": ({"KERAS_BACKEND": "nonsense", "KERAS_MAX_EPOCHS": "x"}, '{"floatx": '),
    "a file": (
        {"KERAS_BACKEND": "", "TF_USE_LEGACY_KERAS": "1"},
        '{"backend": "jax", "floatx": "float16", "epsilon": 0.1, "image_data_format": 7}',
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_the_users_settings_of_keras_change_no_prediction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    variables, text = SETTINGS[name]
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras/keras.json").write_text(text)
    ran = subprocess.run(
        [sys.executable, "-m", "penguin_model.predict", "--json", *GENTOO],
        cwd=PROJECT, env={**os.environ, "HOME": str(tmp_path), **variables},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    assert predict.main(["--json", *GENTOO]) == 0
    found, expected = json.loads(ran.stdout), json.loads(capsys.readouterr().out)
    # Two processes may have different numbers of threads, which round differently.
    assert found.pop("probabilities") == pytest.approx(expected.pop("probabilities"), abs=1e-6)
    assert found == expected
    assert (tmp_path / ".keras/keras.json").read_text() == text


DEAD = "http://192.0.2.1:3128"  # an address for examples, which nobody has
HOSTILE: dict[str, dict[str, str | None]] = {
    "a proxy that doesn't answer": dict.fromkeys(
        ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "grpc_proxy"), DEAD
    ),
    "no home": {"HOME": None},
    "a home that can't be written to": {"HOME": "/proc"},
    "an unusable temporary folder": {"TMPDIR": "/nowhere"},
    "another language": {
        "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "TZ": "No/Where",
        "PYTHONHASHSEED": "7", "COLUMNS": "1",
    },
    "warnings as errors": {"PYTHONWARNINGS": "error"},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_an_odd_environment_costs_nothing(tmp_path: Path, night: Path, name: str) -> None:
    environment = {
        name: value for name, value in {**os.environ, **HOSTILE[name]}.items() if value is not None
    }
    ran = subprocess.run(
        command("--input", night, "--output", tmp_path / "out", "--model", MODEL, *PLAIN),
        cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert published(tmp_path / "out", "predictions").num_rows == 20


CONSOLE = f"import sys; sys.path.insert(0, {str(PROJECT)!r}); from pipelines.score import console"


def as_console_script(folder: Path, *arguments: object, **settings: Any) -> Any:
    """Runs the job as its console script does, which doesn't import from the working folder."""
    return subprocess.run(
        [sys.executable, "-P", "-c", f"{CONSOLE}; console()", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, timeout=120, **settings,
    )  # fmt: skip


@pytest.mark.slow
def test_modules_in_the_working_folder_are_not_imported(tmp_path: Path, night: Path) -> None:
    for name in ("json", "random", "pipelines", "penguin_model", "apache_beam", "keras"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('imported from the working folder')")
    flags = ["--input", night, "--output", "out", "--model", MODEL, *PLAIN]
    ran = as_console_script(tmp_path, *flags)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
def test_a_deleted_working_folder_matters_to_relative_paths_only(
    tmp_path: Path, night: Path
) -> None:
    code = f"import os; os.rmdir(os.getcwd()); {CONSOLE}; console()"
    for output, expected in (("out", 2), (str(tmp_path / "out"), 0)):
        gone = tmp_path / "gone"
        gone.mkdir()
        flags = ["--input", str(night), "--output", output, "--model", str(MODEL), *PLAIN]
        ran = subprocess.run(
            [sys.executable, "-P", "-c", code, *flags],
            cwd=gone, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert ran.returncode == expected, ran.stderr
        assert ("working folder, which has been deleted" in ran.stderr) == (expected == 2)


def test_a_python_without_docstrings_is_refused(tmp_path: Path, night: Path) -> None:
    ran = subprocess.run(
        command("--input", night, "--output", tmp_path / "out"), cwd=PROJECT, text=True,
        env={**os.environ, "PYTHONOPTIMIZE": "2"}, capture_output=True, timeout=120,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr.count("\n")) == (2, 1)
    assert "PYTHONOPTIMIZE" in ran.stderr


@pytest.mark.parametrize("name", ["a\nb", "企鹅", "a b\tc", "x" * 200])
def test_an_output_with_an_odd_name_works(tmp_path: Path, night: Path, name: str) -> None:
    output = tmp_path / name
    assert run_here(output, "--input", night, "--model", MODEL, *PLAIN) == 0
    assert manifest(output)["status"] == "published"


@pytest.mark.parametrize("name", ["a\udcff", "a\0b"])
@pytest.mark.parametrize("flag", ["--output", "--model", "--run_id", "--passthrough"])
def test_a_value_that_is_not_text_is_refused(
    tmp_path: Path, night: Path, capsys: pytest.CaptureFixture[str], flag: str, name: str
) -> None:
    assert run_here(tmp_path / "out", "--input", night, flag, name) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert flag in err
    assert listing(tmp_path) == ["night.csv"]


def test_a_pattern_that_is_not_utf8_is_recorded_with_its_bytes(tmp_path: Path, night: Path) -> None:
    (tmp_path / "out").mkdir()
    pattern = f"{tmp_path}/\udcff*"
    run_here(tmp_path / "out", "--input", night, "--input", pattern, "--model", MODEL, *PLAIN)
    assert manifest(tmp_path / "out")["input"] == [str(night), f"{tmp_path}/\\xff*"]
