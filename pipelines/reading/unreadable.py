"""The error that refuses a whole file."""

from __future__ import annotations

from penguin_model import validate
from pipelines import storage


class UnreadableFile(Exception):
    """Raised if a whole file can't be read: it becomes one reject, and other files still score.

    Attributes:
      reason: ``unreadable_file`` or ``missing_column``.
      column: the missing column, if that is the reason.
    """

    def __init__(
        self, message: str, *, reason: str = validate.UNREADABLE_FILE, column: str | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.column = column


def reason_of(error: Exception) -> str:
    """Says in one line why a file can't be read; what nobody expected is named by its type too."""
    if isinstance(error, (UnreadableFile, *storage.ERRORS)):
        return storage.reason_of(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
