"""The error that refuses a whole file."""

from __future__ import annotations

from penguin_model import validate


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
