"""The error that refuses a whole file, and the column check that every reader shares."""

from __future__ import annotations

from collections.abc import Sequence

from penguin_model import validate
from pipelines.reading.rows import InputColumns


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


def check_columns(names: Sequence[str], wanted: InputColumns) -> None:
    """Refuses a file in which a required column is missing or appears twice.

    Raises:
      UnreadableFile: with the reason ``missing_column``.
    """
    missing = [name for name in wanted.columns if name not in names]
    if missing:
        found = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
        raise UnreadableFile(
            f"column {', '.join(missing)} is missing; the file has: {found}",
            reason=validate.MISSING_COLUMN,
            column=missing[0],
        )
    twice = [name for name in wanted.columns if list(names).count(name) > 1]
    if twice:
        raise UnreadableFile(
            f"column {twice[0]} appears twice in the header",
            reason=validate.MISSING_COLUMN,
            column=twice[0],
        )
