"""Any history of nights, reviews, changed files and deaths: nothing lost, doubled or in pieces."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings

from tests.support.histories import HISTORIES, Step, play


@pytest.fixture(autouse=True)
def _without_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a power cut shows what was synced."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


@settings(max_examples=25)
@given(HISTORIES)
def test_any_history(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        play(Path(folder) / "out", steps)
