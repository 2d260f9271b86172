"""What the workers tell, and the facts that are made of it."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import storage
from pipelines.progress import rate, reporter
from pipelines.progress.rate import ProgressSnapshot, RateEstimator
from pipelines.progress.reporter import ProgressCounts, ProgressReporter

COUNTS = st.integers(0, 2**50)
WORKS = st.builds(ProgressCounts, *[COUNTS] * len(ProgressCounts._fields))


def facts(**known: Any) -> ProgressSnapshot:
    nothing = ProgressSnapshot(rate.SCORING, 0, 0, 0, 0, None, None)
    return nothing._replace(**known)


@given(st.lists(st.tuples(WORKS, st.floats(0, 1e6)), min_size=1, max_size=60))
def test_no_facts_are_absurd(steps: list[tuple[ProgressCounts, float]]) -> None:
    """Nor after a failure, when counts that were told are told again from 0."""
    watched, now = RateEstimator(), 0.0
    for found, pause in steps:
        now += pause
        seen = watched.see(found, now)
        assert 0 <= seen.done <= seen.total
        assert seen.fraction is None or 0 <= seen.fraction <= 1
        assert seen.rate is None or seen.rate >= 0
        assert seen.seconds_left is None or seen.seconds_left >= 0
        assert rate.as_line(seen)
        assert (seen.phase == rate.STARTING) == (found.files == 0)


@given(st.integers(1, 500), st.integers(1, 10**9), st.integers(1, 10**7))
def test_of_even_work_rate_and_time_left_are_exact(steps: int, size: int, rows: int) -> None:
    watched = RateEstimator()
    for step in range(steps):
        found = ProgressCounts(
            files=1, bytes=size * steps, read=size * (step + 1), rows=rows * (step + 1)
        )
        seen = watched.see(found, 2.0 * step)
        if step:
            assert seen.rate == pytest.approx(rows / 2)
            left = None if step + 1 == steps else pytest.approx(2 * (steps - step - 1))
            assert seen.seconds_left == left


def test_the_rate_is_of_late() -> None:
    watched = RateEstimator()
    for second in range(100):
        rows = 1000 * min(second, 50)
        seen = watched.see(ProgressCounts(files=1, bytes=10**6, read=rows, rows=rows), second)
    # Nothing happened for the last 50 seconds.
    assert (seen.rate, seen.seconds_left) == (0, None)


@pytest.mark.parametrize(
    ("found", "phase"),
    [
        (ProgressCounts(), rate.STARTING),
        (ProgressCounts(files=2, bytes=100), rate.SCORING),
        (ProgressCounts(files=2, bytes=100, ranged=90), rate.PLANNING),
        (ProgressCounts(files=2, bytes=100, ranged=90, surveyed=90), rate.SCORING),
        (ProgressCounts(files=2, bytes=100, read=99), rate.SCORING),
        (ProgressCounts(files=2, bytes=100, read=100), rate.PUBLISHING),
        (ProgressCounts(files=2, bytes=100, read=150), rate.PUBLISHING),
    ],
)
def test_phases(found: ProgressCounts, phase: str) -> None:
    assert RateEstimator().see(found, 0).phase == phase


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        (facts(phase=rate.STARTING), "starting"),
        (facts(phase=rate.PLANNING, done=500, total=2000), "planning 25 % of 2.00 kB"),
        (
            facts(done=1_222_000_000, total=2_910_000_000, rows=151_234_567, rejected=1234,
                  rate=4_921_000.0, seconds_left=42.4),
            "scoring 42 % of 2.91 GB, 151 M rows, 0:42 left, 4.92 M rows/s, 1,234 rejected",
        ),
        (facts(done=9, total=900, rows=7), "scoring 1 % of 900 B, 7 rows, 0 rejected"),
        (
            facts(phase=rate.PUBLISHING, done=9, total=9, rows=999_600, rate=0.0),
            "publishing 100 % of 9 B, 1.00 M rows, 0 rows/s, 0 rejected",
        ),
    ],
)  # fmt: skip
def test_lines(seen: ProgressSnapshot, line: str) -> None:
    assert rate.as_line(seen) == line


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00")]
)
def test_clock(seconds: float, text: str) -> None:
    assert rate.clock(seconds) == text


@given(st.lists(st.lists(st.tuples(COUNTS, COUNTS), max_size=5), max_size=5))
def test_what_several_tell_adds_up(tmp_path_factory: Any, told: list[list[Any]]) -> None:
    folder = tmp_path_factory.mktemp("progress")
    for steps in told:
        teller = ProgressReporter(str(folder))
        for rows, rejected in steps:
            teller.add(rows=rows, rejected=rejected)
        teller.tell()
    steps = [step for each in told for step in each]
    expected = ProgressCounts(
        rows=sum(rows for rows, _ in steps), rejected=sum(bad for _, bad in steps)
    )
    assert reporter.read(str(folder)) == expected
    assert len(list(folder.iterdir())) == sum(any(map(any, each)) for each in told)


def test_what_is_half_written_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(ProgressCounts(rows=3)._asdict()))
    (tmp_path / "b.json").write_text("[1, 2")
    (tmp_path / "c.json.unfinished").write_text(json.dumps(ProgressCounts(rows=5)._asdict()))
    assert reporter.read(str(tmp_path)).rows == 3
    assert reporter.read(str(tmp_path / "absent")) == ProgressCounts()


def test_a_worker_makes_no_folder_and_goes_on_without(tmp_path: Path) -> None:
    """One that outlives its run must not bring the run's staging back."""
    teller = ProgressReporter(str(tmp_path / "gone"))
    for _ in range(3):
        teller.add(rows=1)
    teller.tell()
    assert list(tmp_path.iterdir()) == []


def test_nobody_is_told_without_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "put_bytes", lambda *_: pytest.fail("written"))
    teller = ProgressReporter(None)
    teller.add(rows=1)
    teller.tell()


@pytest.mark.parametrize(
    ("folder", "takes", "pause"),
    [
        ("/tmp/x", 0.0001, 0.5),
        ("/tmp/x", 0.02, 4),
        ("/tmp/x", 1, 5),
        ("s3://bucket/x", 0.02, 10),
        ("s3://bucket/x", 0.1, 20),
        ("s3://bucket/x", 3, 600),
    ],
)
def test_telling_takes_half_a_percent_of_the_time(
    monkeypatch: pytest.MonkeyPatch, folder: str, takes: float, pause: float
) -> None:
    now = 0.0
    writes: list[float] = []

    def put(path: str, content: bytes) -> None:
        nonlocal now
        now += takes
        writes.append(now)

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(storage, "put_bytes", put)
    teller = ProgressReporter(folder)
    while now < 10_000:
        now += 0.01
        teller.add(rows=1)
    assert np.diff(writes) == pytest.approx(pause + takes, abs=0.011)
