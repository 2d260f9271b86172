"""Progress as a person or a log sees it, on every mode of the in-process runner."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import generate
from pipelines import job, storage
from pipelines.progress import reporter
from pipelines.progress.reporter import ProgressCounts
from pipelines.reading.settings import DEFAULT_SIZES, Sizes
from tests.support import terminal
from tests.support.running import (
    ONE_WORKER,
    PROJECT,
    SMALL_PIECES,
    TWO_WORKERS,
    listing,
    manifest,
    prepare_sized,
    run_here,
)
from tests.support.terminal import HIDE_CURSOR, SHOW_CURSOR, percents

ROWS, BAD = 9_000_000, 40
MODES = {"one worker": ONE_WORKER, "two workers": TWO_WORKERS}
# Each of these takes a run of ten seconds, and `make test` has one of its kind.
ALIKE = pytest.mark.slow
FACTS = r"[\d.]+ [kM]? ?rows(, \d+:\d\d left)?(, [\d.]+ [kM]? ?rows/s)?, \d+ rejected"
LINE = re.compile(
    rf"penguin-score: (planning \d+ % of .*B|(scoring|publishing) \d+ % of .*B, {FACTS})"
)
DONE = f"{ROWS + BAD:,} rows, {BAD} rejected, in "


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Large enough to be seen at work, with some rows that are rejected."""
    folder = tmp_path_factory.mktemp("progress") / "night"
    folder.mkdir()
    generate.write(folder / "a.parquet", ROWS - ROWS // 6)
    generate.write(folder / "b.csv", ROWS // 6)
    with (folder / "b.csv").open("r+") as file:
        commas = file.readline().count(",")
        file.seek(0, os.SEEK_END)
        file.write(("x" + "," * commas + "\n") * BAD)
    return folder


@pytest.fixture
def flags(tmp_path: Path, night: Path, shipped_model: Path) -> list[object]:
    return [
        "--input", night, "--output", tmp_path / "out", "--run_id", "test",
        "--model", shipped_model,
    ]  # fmt: skip


@pytest.mark.parametrize("mode", [pytest.param("one worker", marks=ALIKE), "two workers"])
def test_a_bar_on_a_terminal(mode: str, flags: list[object]) -> None:
    with terminal.opened(100) as screen:
        started = screen.start(terminal.eager(*flags, *MODES[mode]))
        out, _ = started.communicate(timeout=120)
    frames = screen.frames
    assert started.returncode == 0, frames
    assert frames[0].split()[0] == "starting"
    seen = percents(frames)
    assert seen == sorted(seen)
    assert any(0 < percent < 100 for percent in seen)
    assert any(re.search(FACTS, frame) for frame in frames if "scoring" in frame)
    assert frames[-1].startswith("done")
    assert f"100% {DONE}" in frames[-1]
    # A bar that tears is worse than none.
    assert max(map(len, frames)) <= 100
    assert screen.text.count(HIDE_CURSOR) == screen.text.count(SHOW_CURSOR) == 1
    assert out.startswith("run ")


@pytest.mark.parametrize("width", [50, *(pytest.param(each, marks=ALIKE) for each in (80, 200))])
def test_a_bar_fits_its_terminal(width: int, flags: list[object]) -> None:
    with terminal.opened(width) as screen:
        started = screen.start(terminal.eager(*flags))
        started.communicate(timeout=120)
    working = [frame for frame in screen.frames if frame.startswith("scoring")]
    assert working
    # In the last column a terminal would begin a new line.
    assert max(map(len, working)) <= width
    assert all("rows" in frame for frame in working)
    assert width < 80 or all("rejected" in frame for frame in working)


def test_lines_without_a_terminal(flags: list[object], tmp_path: Path) -> None:
    ran = terminal.run_eager(*flags, "--summary=json")
    *lines, last = ran.stderr.splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert len(percents(lines)) > 2
    assert percents(lines) == sorted(percents(lines))
    assert last.startswith(f"penguin-score: done: {DONE}")
    # Standard output is the summary's alone.
    assert json.loads(ran.stdout)["totals"] == manifest(tmp_path / "out")["totals"]


def test_no_progress(flags: list[object]) -> None:
    ran = terminal.run_eager(*flags, "--no-progress")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_a_short_run_shows_no_lines(tmp_path: Path, observations: Path, capfd: object) -> None:
    flags = ("--input", observations / "biscoe-2007.csv", "--run_id", "test")
    assert run_here(tmp_path, *flags) == 0
    assert capfd.readouterr().err == ""  # type: ignore[attr-defined]


@ALIKE
def test_a_dumb_terminal_gets_lines(flags: list[object]) -> None:
    with terminal.opened(100) as screen:
        started = screen.start(terminal.eager(*flags), TERM="dumb")
        started.communicate(timeout=120)
    assert "\x1b" not in screen.text
    assert all(LINE.fullmatch(line) for line in screen.frames[:-1])
    assert screen.frames[-1].startswith(f"penguin-score: done: {DONE}")


def test_a_failed_run_leaves_its_error_below_the_bar(flags: list[object], tmp_path: Path) -> None:
    with terminal.opened(100) as screen:
        started = screen.start(terminal.eager(*flags, "--max_reject_fraction=0"))
        started.communicate(timeout=120)
    assert started.returncode == 3
    assert "rows were rejected, more than --max_reject_fraction 0" in screen.frames[-1]
    assert screen.text.index(SHOW_CURSOR) < screen.text.index("penguin-score: error")


@pytest.mark.parametrize("mode", [pytest.param("one worker", marks=ALIKE), "two workers"])
def test_ctrl_c_gives_the_cursor_back(mode: str, flags: list[object], tmp_path: Path) -> None:
    with terminal.opened(100) as screen:
        started = screen.start(terminal.eager(*flags, *MODES[mode]))
        end = time.monotonic() + 100
        while "scoring" not in screen.text and time.monotonic() < end:
            time.sleep(0.005)
        started.send_signal(signal.SIGINT)
        started.communicate(timeout=60)
    assert started.returncode == 128 + signal.SIGINT
    assert screen.text.count(HIDE_CURSOR) == screen.text.count(SHOW_CURSOR) == 1
    assert screen.frames[-1] == "penguin-score: error: ended by SIGINT; nothing is published"
    assert not any(frame.startswith("done") for frame in screen.frames)
    assert listing(tmp_path / "out") == []


def test_a_pipe_that_nobody_reads_does_not_hold_the_run_up(
    flags: list[object], tmp_path: Path
) -> None:
    reader, writer = terminal.full_pipe()
    try:
        started = subprocess.run(
            terminal.eager(*flags), cwd=PROJECT, text=True, timeout=120,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=writer,
        )  # fmt: skip
    finally:
        os.close(reader)
        os.close(writer)
    assert (started.returncode, started.stdout[:4]) == (0, "run ")
    assert manifest(tmp_path / "out")["totals"]["rows_read"] == ROWS + BAD


@ALIKE
def test_a_terminal_that_stands_still_does_not_hold_the_run_up(
    flags: list[object], tmp_path: Path
) -> None:
    with terminal.opened(100, read=False) as screen:
        started = screen.start(terminal.eager(*flags))
        out, _ = started.communicate(timeout=120)
    assert (started.returncode, out[:4]) == (0, "run ")


@ALIKE
@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full"])
def test_nobody_has_to_see_it(flags: list[object], closed: str) -> None:
    ran = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *terminal.eager(*flags)],
        cwd=PROJECT, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout[:4]) == (0, "run ")


@contextlib.contextmanager
def told(folder: str, found: list[ProgressCounts]) -> Iterator[None]:
    """Keeps what the workers have told when the run has ended."""
    storage.make_folder(folder)
    yield
    found.append(reporter.read(folder))


@pytest.mark.parametrize("sizes", [DEFAULT_SIZES, SMALL_PIECES], ids=["large", "small"])
def test_what_is_told_in_the_end_is_what_the_manifest_tells(
    tmp_path: Path, observations: Path, sizes: Sizes
) -> None:
    night = tmp_path / "night"
    shutil.copytree(observations, night)
    (night / "torn.parquet").write_bytes(b"PAR1")
    (night / "torn.csv.gz").write_bytes(b"\x1f\x8b")
    (night / "empty.csv").write_text("")
    (night / "notes.txt").write_text("no observations")
    flags = ("--input", night, "--run_id", "test", "--max_reject_fraction=1", *TWO_WORKERS)
    prepared = prepare_sized(sizes, tmp_path / "out", *flags)
    assert prepared.transform.progress is not None
    found: list[ProgressCounts] = []
    seen, _ = job.execute(prepared, told(prepared.transform.progress, found))
    (whole,) = found
    totals = seen.totals
    assert (whole.files, whole.rows) == (totals.files, totals.rows_read)
    assert (whole.rows, whole.rejected) == (344, totals.rows_rejected)
    assert whole.read == whole.bytes == sum(path.stat().st_size for path in night.iterdir())
    assert whole.surveyed == whole.ranged
    assert (whole.ranged > 0) == (sizes is SMALL_PIECES)
