"""The dialect of CSV files: the characters between fields and before decimals."""

from __future__ import annotations

import dataclasses

# By name, as flags give them and messages show them.
_NAMES = {"tab": "\t", "\\t": "\t"}
# Nothing that a number, a name or a quoted field may hold.
_DELIMITERS = ",;\t|:!#$%&*/~^"
_DECIMALS = ".,"


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How fields and numbers are written in a CSV.

    Attributes:
      delimiter: the character between fields.
      decimal: the character before a number's decimals.

    Raises:
      ValueError: one of them can't be used, or they are equal.
    """

    delimiter: str = ","
    decimal: str = "."

    def __post_init__(self) -> None:
        if self.delimiter not in tuple(_DELIMITERS):
            raise ValueError(
                f"{self.delimiter!r} can't be the delimiter: it is one of "
                f"{' '.join(_DELIMITERS.replace(chr(9), ''))} or tab"
            )
        if self.decimal not in tuple(_DECIMALS):
            raise ValueError(f"{self.decimal!r} can't be the decimal mark: it is . or ,")
        if self.delimiter == self.decimal:
            raise ValueError(
                f"{self.delimiter!r} can't be both the delimiter and the decimal mark; files with "
                "decimal commas mostly have the delimiter ';'"
            )

    @property
    def delimiter_byte(self) -> bytes:
        """The delimiter in a file."""
        return self.delimiter.encode()

    @property
    def name(self) -> str:
        """What separates the fields, in words."""
        return {",": "commas", ";": "semicolons", "\t": "tabs"}.get(
            self.delimiter, repr(self.delimiter)
        )

    @property
    def flags(self) -> str:
        """The flags that read files of this dialect."""
        delimiter = "tab" if self.delimiter == "\t" else f"'{self.delimiter}'"
        decimal = f" --decimal '{self.decimal}'" if self.decimal != "." else ""
        return f"--delimiter {delimiter}{decimal}"


DEFAULT_DIALECT = Dialect()


def read_delimiter(text: str) -> str:
    """The delimiter that a flag names."""
    return _NAMES.get(text.lower(), text)
