"""The local runner: threads in memory only, and failures that reach the submitter."""

import subprocess
import sys
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.runners.worker import data_plane

from pipelines.counts import failures
from pipelines.datasets import transforms
from pipelines.errors import ConflictError, DriftError, PenguinError, ReconcileError
from pipelines.reading.settings import Sizes
from tests.support.running import PROJECT, listing, run_here

ROWS = "CulmenLength,CulmenDepth,FlipperLength,BodyMass\n" + "39.1,18.7,181,3750\n" * 5


@pytest.fixture
def night(tmp_path: Path) -> Path:
    folder = tmp_path / "night"
    folder.mkdir()
    (folder / "a.csv").write_text(ROWS)
    return folder


@pytest.mark.parametrize("mode", ["multi_threading", "multi_processing"])
def test_modes_whose_streams_lose_data_are_refused(
    night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    output = tmp_path / "out"
    flags = ("--input", night, f"--direct_running_mode={mode}")
    assert run_here(output, *flags) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"penguin-score: error: --direct_running_mode {mode}: ")
    assert "leave the flag out" in error
    assert error.count("\n") == 1
    assert not output.exists()


@pytest.mark.parametrize(
    "flags",
    [
        ["--experiments=data_buffer_time_limit_ms=20"],
        ["--runner=FlinkRunner", "--experiments", "data_buffer_time_limit_ms=1"],
        [
            "--runner=PortableRunner",
            "--environment_type=EXTERNAL",
            '--environment_config={"url": "localhost:1", "data_buffer_time_limit_ms": "5"}',
        ],
    ],
)
def test_no_option_makes_workers_send_by_a_timer(
    night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    assert run_here(tmp_path / "out", "--input", night, *flags) == 2
    assert "data_buffer_time_limit_ms: Beam's streams with a timer lose data" in (
        capsys.readouterr().err
    )


def test_nothing_crosses_a_stream_that_a_timer_flushes(
    night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither by default nor where Beam's workers elsewhere make their streams."""
    made: list[str] = []

    def refuse(*_: object, **__: object) -> None:
        made.append("a timed stream")

    monkeypatch.setattr(data_plane.TimeBasedBufferingClosableOutputStream, "__init__", refuse)
    assert run_here(tmp_path / "out", "--input", night) == 0
    stream = data_plane.ClosableOutputStream.create(lambda _: None, lambda _: None, 0)
    assert isinstance(stream, data_plane.SizeBasedBufferingClosableOutputStream)
    assert made == []


def test_the_name_of_a_file_cannot_pretend_to_be_another_error(tmp_path: Path) -> None:
    """A line of a traceback must not decide the exit code."""
    night, output = tmp_path / "night", tmp_path / "out"
    night.mkdir()
    forged = "x\npipelines.errors.DriftError: forged\npenguin_model.errors.UsageError: y.csv"
    (night / forged).write_text(ROWS)
    program = f"""if True:
        import sys
        from pipelines import score
        from pipelines.publishing import reconcile
        from pipelines.errors import ReconcileError

        def lose(path, tally):
            raise ReconcileError(f"{{path}}: rows are lost; nothing is published")

        reconcile.reconcile = lose
        sys.exit(score.main({["--input", str(night), "--output", str(output), "--no-progress"]!r}))
    """
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == ReconcileError.exit_code == 1
    assert "rows are lost; nothing is published" in ran.stderr
    assert ran.stderr.count("\n") == 1
    assert listing(output) == []


@pytest.mark.parametrize("error", [ReconcileError, ConflictError, DriftError, PenguinError])
def test_a_failure_keeps_its_kind(tmp_path: Path, error: type[PenguinError]) -> None:
    class Step(beam.DoFn):
        def process(self, element: int) -> None:
            raise error(f"{element} is wrong")

    step = failures.Recorded(Step(), str(tmp_path))
    with pytest.raises(error, match="1 is wrong"):
        list(step.process(1))
    found = failures.read_failure(str(tmp_path))
    assert type(found) is error
    assert str(found) == "1 is wrong"


def test_only_failures_of_the_project_are_recorded(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), failures.recorded(str(tmp_path)):
        _ = 1 / 0
    assert failures.read_failure(str(tmp_path)) is None
    (tmp_path / "odd.json").write_text('{"error": "SystemExit", "message": "", "time": 1}')
    assert failures.read_failure(str(tmp_path)) is None
    assert failures.read_failure(str(tmp_path / "gone")) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"small_file_bytes": 1001, "range_bytes": 1000}, "small_file_bytes, 1001, is more than"),
        ({"block_bytes": 0}, "block_bytes is 0"),
        ({"pack_files": -1}, "pack_files is -1"),
    ],
)
def test_sizes_that_lose_rows_cannot_be_made(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sizes(**changes)


def test_rows_are_located_by_file() -> None:
    files = pa.DictionaryArray.from_arrays(
        pa.array([0, 0, 2, 2, 2], pa.int32()), pa.array(["a", "b", "c"])
    )
    rows = pa.array([4, 5, 0, 1, 2])
    chunk = pa.record_batch({"source_file": files, "source_row": rows})
    assert list(transforms.locate(chunk)) == [("a", 2, 9), ("c", 3, 3)]
    plain = pa.record_batch(
        {"source_file": ["a", "a", "b"], "source_row": pa.array([None, 3, 2], pa.int64())}
    )
    assert list(transforms.locate(plain)) == [("a", 1, 3), ("b", 1, 2)]
    nobody = pa.record_batch({"source_file": ["a"], "source_row": pa.array([None], pa.int64())})
    assert list(transforms.locate(nobody)) == []
