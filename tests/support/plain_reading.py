"""A slow reference reader of observation files, independent of the readers it checks.

It walks bytes one at a time, parses numbers with Python, and shares nothing with the code under
test but the wording of the contract.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from pipelines.reading.rows import InputColumns
from tests.support.reading import Outcome

NOTHING = (
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
    "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null",
)  # fmt: skip
DIGITS = "0123456789"


def records(data: bytes, delimiter: bytes = b",") -> list[tuple[bytes, list[bytes]]]:
    """The records of a CSV that aren't blank, each as raw text and as fields."""
    found: list[tuple[bytes, list[bytes]]] = []
    fields: list[bytes] = []
    field = bytearray()
    begin, state, position = 0, "start", 0
    while position <= len(data):
        byte = data[position : position + 1]
        if not byte or (byte in b"\r\n" and state not in ("quoted",)):
            raw = data[begin:position]
            values = [*fields, bytes(field)]
            # A quote that is never closed isn't a blank field.
            if any(each.strip(b" \t") for each in values) or (raw and state == "quoted"):
                found.append((raw, values))
            fields, field, state = [], bytearray(), "start"
            if data[position : position + 2] == b"\r\n":
                position += 1
            begin = position + 1
        elif state == "quoted":
            if byte != b'"':
                field += byte
            elif data[position + 1 : position + 2] == b'"':
                field += byte
                position += 1
            else:
                state = "plain"
        elif byte == delimiter:
            fields.append(bytes(field))
            field, state = bytearray(), "start"
        elif byte == b'"' and state == "start":
            state = "quoted"
        else:
            field += byte
            state = "plain"
        position += 1
    return [record for record in found if record[0] != b"\x1a"]


def number(text: str | None, decimal: str = ".") -> float | None:
    """The value of a field: NaN if it says there is none, None if it isn't a number."""
    text = (text or "").strip(" \t")
    if text in NOTHING:
        return math.nan
    if decimal != ".":
        text = text.replace(".", "x").replace(decimal, ".")
    sign = -1 if text[:1] == "-" else 1
    digits = text[1:] if text[:1] in ("+", "-") else text
    word = digits.lower()
    if word in ("inf", "infinity"):
        return sign * math.inf
    if word == "nan":
        return math.nan
    if word.startswith("nan(") and word.endswith(")"):
        inner = word[4:-1]
        return (
            math.nan if inner.replace("_", "a").isalnum() * inner.isascii() or not inner else None
        )
    mantissa, mark, exponent = word.partition("e")
    whole, _, part = mantissa.partition(".")
    if not whole + part or any(each not in DIGITS for each in whole + part):
        return None
    power = exponent[1:] if exponent[:1] in ("+", "-") else exponent
    if mark and (not power or any(each not in DIGITS for each in power)):
        return None
    return sign * float(word)


def label(text: str | None, classes: Sequence[str]) -> int:
    """The index of the class that a label names; -1 for none, -2 for an unknown one."""
    text = (text or "").strip()
    value = number(text)
    if value is not None and math.isnan(value):
        return -1
    names = [name.lower() for name in classes]
    if text.lower() in names:
        return names.index(text.lower())
    return int(value) if value is not None and value in range(len(classes)) else -2


def problems(
    values: Sequence[str | None], wanted: InputColumns, decimal: str
) -> list[tuple[str, str, str]]:
    """Reason, column and message for each feature that has a problem."""
    found = []
    for text, feature in zip(values, wanted.features, strict=True):
        value, name, unit = number(text, decimal), feature.name, feature.unit
        if value is None:
            shown = str(text) if len(str(text)) <= 40 else str(text)[:39] + "…"
            message = f"{name} is {shown!r}, which is not a number such as 39{decimal}1"
            found.append(("not_a_number", name, message))
        elif math.isnan(value):
            found.append(("missing_value", name, f"{name} is missing"))
        elif not feature.minimum <= value <= feature.maximum:
            low, high = feature.minimum, feature.maximum
            message = f"{value:g} {unit}, outside the plausible {low:g} to {high:g} {unit}"
            found.append(("out_of_range", name, f"{name} is {message}"))
    return found


def row(
    place: int, cells: dict[str, str | None], raw: Any, wanted: InputColumns, decimal: str = "."
) -> Any:
    """The expected outcome of a row of text cells: its number, columns and label, or a reject."""
    values = [cells[feature.name] for feature in wanted.features]
    found = problems(values, wanted, decimal)
    if found:
        reason, column, _ = found[0]
        return (place, reason, column, "; ".join(each[2] for each in found), raw)
    carried = [cells[name] for name in wanted.passthrough]
    code = []
    if wanted.label is not None and wanted.label in cells:
        code = [label(cells[wanted.label], wanted.classes)]
    return (place, *carried, *(number(value, decimal) for value in values), *code)


def csv_file(data: bytes, wanted: InputColumns) -> Outcome:
    """The outcomes of all rows of a CSV in order, or why there are none."""
    data = data.removeprefix(b"\xef\xbb\xbf")
    delimiter, decimal = wanted.dialect.delimiter.encode(), wanted.dialect.decimal
    for line_end in (b"\r\n", b"\r", b"\n"):
        line, found, rest = data.partition(line_end)
        if found and line.lower().startswith((b"sep=", b'"sep=')) and b"\n" not in line:
            delimiter, data = line.strip(b'"')[4:5], rest
            break
    header, *rows = records(data, delimiter) or [(b"", [])]
    if not header[0]:
        return "unreadable_file"
    try:
        names = [name.decode().strip() for name in header[1]]
    except UnicodeDecodeError:
        return "unreadable_file"
    if b"\0" in header[0]:
        return "unreadable_file"
    places = {name: find(name, names) for name in (*wanted.columns, wanted.label or "")}
    if any(len(places[name]) != 1 for name in wanted.columns):
        return "missing_column"
    known = {name: found[0] for name, found in places.items() if len(found) == 1}
    rows_read = (
        _csv_row(place, *each, known, wanted, len(names)) for place, each in enumerate(rows)
    )
    return [_advised(row, delimiter.decode(), decimal) for row in rows_read]


def find(name: str, names: Sequence[str]) -> list[int]:
    """The columns of this name: exactly, or else in any case and with spaces around."""
    exact = [place for place, each in enumerate(names) if each == name]
    alike = [each.replace("\ufeff", "").strip().lower() for each in names]
    return exact or [place for place, each in enumerate(alike) if each == name.lower()]


def _advised(row: Any, delimiter: str, decimal: str) -> Any:
    """A row, with the advice that a reject gets for a decimal comma."""
    if (
        row[1] != "not_a_number"
        or decimal == ","
        or not re.search(r"'\s*[+-]?\d+,\d+\s*'", row[3], re.ASCII)
    ):
        return row
    flag = "tab" if delimiter == "\t" else f"'{delimiter}'"
    advice = f"to read decimal commas, give --delimiter {flag} --decimal ','"
    if delimiter == ",":
        advice = "decimal commas are only read from files with another delimiter"
    return (*row[:3], f"{row[3]}; {advice}", row[4])


def _csv_row(
    place: int,
    raw: bytes,
    fields: list[bytes],
    known: dict[str, int],
    wanted: InputColumns,
    width: int,
) -> Any:
    shown = raw.decode(errors="backslashreplace")
    if len(fields) != width:
        message = f"the row has {len(fields)} fields, the header has {width}"
        if not raw.strip(b"\0"):
            message = "the row is nothing but NUL bytes: the file was cut off; deliver it again"
        return (place, "wrong_field_count", None, message, shown)
    cells: dict[str, str | None] = {}
    for name in wanted.columns:
        try:
            cells[name] = fields[known[name]].decode()
        except UnicodeDecodeError:
            message = f"{name} has bytes that are not UTF-8; save the file as UTF-8"
            return (place, "bad_encoding", name, message, shown)
    if wanted.label is not None and wanted.label in known:
        cells[wanted.label] = fields[known[wanted.label]].decode(errors="replace")
    return row(place, cells, shown, wanted, wanted.dialect.decimal)
