"""A published run of the samples, which each test may change."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support import samples
from tests.support.running import run_here


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: Any) -> Path:
    """An output root with the samples' run ``golden``, which no test changes."""
    root: Path = tmp_path_factory.mktemp("pristine") / "out"
    assert run_here(root, *samples.FLAGS, "--no-progress") == 0
    return root


@pytest.fixture
def published(pristine: Path, tmp_path: Path) -> Path:
    """A copy of that root."""
    return Path(shutil.copytree(pristine, tmp_path / "out"))
