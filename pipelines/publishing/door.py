"""The submitter's part of publication: an attempt's beginning and end."""

from __future__ import annotations

from contextlib import AbstractContextManager

from pipelines import publishing
from pipelines.runs.layout import Layout


def attempt(paths: Layout, *, hands_over: bool = False) -> AbstractContextManager[None]:
    """Opens an attempt's staging, and ends it; see `publishing.Commit.attempt`."""
    return publishing.of(paths).attempt(hands_over=hands_over)


def refuse_published(paths: Layout) -> None:
    """Refuses a run id that is published already; see `publishing.Commit.refuse_published`."""
    publishing.of(paths).refuse_published()
