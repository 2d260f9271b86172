"""The short form of `make torture`: a few kills and faults, some hundred mutated files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.torture import faults, fuzz, kills
from tests.torture.cases import Case

CASES: dict[str, Callable[[Path], Case]] = {
    "kill and repeat": lambda folder: kills.kill_and_repeat(folder, 3, 400_000, 4),
    "kill and next night": lambda folder: kills.kill_and_next_night(folder, 1, 400_000, 0),
    "kill and replace": lambda folder: kills.kill_and_replace(folder, 1, 400_000, 0),
    "two at once": lambda folder: faults.together(folder, 20_000),
    "signals": lambda folder: faults.signals(folder, 2, 400_000, 0),
    "full disk": lambda folder: faults.full_disk(folder, 200_000),
    "file size limit": lambda folder: faults.file_size_limit(folder, 200_000),
    "unreadable inputs": faults.unreadable_inputs,
    "mutated CSV": lambda _: fuzz.fuzz("csv", 400, 100_000),
    "mutated Parquet": lambda _: fuzz.fuzz("parquet", 400, 100_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_lost(tmp_path: Path, name: str) -> None:
    case = CASES[name](tmp_path)
    assert case.faults == []
    assert (case.lost, case.doubled) == (0, 0)
    assert case.tries or case.seen


def test_the_tally_sees_losses_and_doubles(tmp_path: Path) -> None:
    from tests.torture.jobs import check_rows

    case = Case("a test of the test")
    check_rows(case, {"a": [0, 1, 1, 3]}, {"a": 4})
    assert (case.lost, case.doubled, case.failed) == (1, 1, True)
    check_rows(case, {"b": [0]}, {})
    assert len(case.faults) == 1
