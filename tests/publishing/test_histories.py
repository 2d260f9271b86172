"""Any history of nights, reviews, changed files and deaths: nothing lost, doubled or in pieces."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from pipelines.runs.manifest import Status
from tests.support.histories import HISTORIES, Dying, Night, Review, Step, play


@pytest.fixture(autouse=True)
def _without_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a power cut shows what was synced."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@settings(max_examples=25)
@given(HISTORIES)
def test_any_history(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        play(Path(folder) / "out", steps)


@pytest.mark.parametrize("status", [Status.PUBLISHED, Status.REJECTED, Status.RETRACTED])
def test_a_death_at_any_part_of_a_decision(tmp_path: Path, status: Status) -> None:
    """The parts of the histories above that matter most, each for certain."""
    night = Night("r", new_only=True, held=status is not Status.RETRACTED, replace=False)
    for when in range(0, 100, 3):
        dying = Dying(Review(0, status), when, after=bool(when % 2))
        play(tmp_path / str(when), [night, dying])
