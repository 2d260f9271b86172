"""Values of flags that are lists or name what they are about: ``a,b`` and ``a=mm,b=g``."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence

from penguin_model.command_line import did_you_mean
from penguin_model.errors import UsageError
from penguin_model.formatting import listed
from penguin_model.names import fold


def split(flag: str, text: str) -> tuple[str, ...]:
    """Splits a list at its commas, as a record of a CSV: quotes hold a name with a comma together.

    Raises:
      UsageError: a quote isn't closed, or a part is blank; names the flag.
    """
    try:
        (parts,) = csv.reader([text], strict=True, skipinitialspace=True)
    except (csv.Error, ValueError) as error:
        raise UsageError(
            f'{flag} {text}: isn\'t a list such as a,b or "a, with a comma",b'
        ) from error
    trimmed = tuple(part.strip() for part in parts)
    if not (trimmed and all(trimmed)):
        raise UsageError(f"{flag} {text}: a name in the list is blank")
    return trimmed


def join(parts: Iterable[str]) -> str:
    """Writes a list that `split` reads."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(parts)
    return out.getvalue()


def by_name(flag: str, texts: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    """Reads lists of NAME=VALUE, such as ``a=mm,b=g``; each name once.

    Raises:
      UsageError: a part has no ``=``, or its name isn't one of these; names the flag.
    """
    return _collect(flag, (part for text in texts for part in split(flag, text)), names)


def lists_by_name(
    flag: str, texts: Sequence[str], names: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Reads texts of NAME=LIST, such as ``a=one,two``; see `split` for the list.

    Raises:
      UsageError: as by `by_name` and `split`, or a list goes on with another name's.
    """
    found = _collect(flag, texts, names)
    lists = {name: split(f"{flag} {name}", value) for name, value in found.items()}
    for name, parts in lists.items():
        others = {fold(each) for each in names if each != name}
        for part in parts:
            if "=" in part and fold(part.partition("=")[0]) in others:
                raise UsageError(f"{flag} {name}: give {part} with another {flag}")
    return lists


def numbers(flag: str, values: Mapping[str, str]) -> dict[str, float]:
    """Reads each value as a finite number.

    Raises:
      UsageError: one isn't; names the flag and the name.
    """
    return {name: _number(f"{flag} {name}={value}", value) for name, value in values.items()}


def ranges(flag: str, values: Mapping[str, str]) -> dict[str, tuple[float, float]]:
    """Reads each value as two numbers, such as ``0:10``.

    Raises:
      UsageError: one isn't; names the flag and the name.
    """
    found = {}
    for name, value in values.items():
        shown = f"{flag} {name}={value}"
        ends = value.split(":")
        if len(ends) != 2:
            raise UsageError(f"{shown}: must be two numbers, such as {name}=0:10")
        low, high = (_number(shown, end) for end in ends)
        if not low < high:
            raise UsageError(f"{shown}: {low:g} isn't less than {high:g}")
        found[name] = (low, high)
    return found


def _number(shown: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UsageError(f"{shown}: {text.strip() or 'a blank'} is not a number")
    return value


def _collect(flag: str, parts: Iterable[str], names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in parts:
        name, value = _divide(flag, part, names)
        if name in found:
            raise UsageError(f"{flag} {part}: {name} is given twice")
        found[name] = value
    return found


def _divide(flag: str, part: str, names: Sequence[str]) -> tuple[str, str]:
    """Divides at the ``=`` that follows a known name: a name may have one, and so may a value."""
    known = {fold(name): name for name in names}
    pieces = part.split("=")
    if len(pieces) == 1:
        raise UsageError(f"{flag} {part}: must be NAME=VALUE, such as {names[0]}=…")
    for place in range(1, len(pieces)):
        name = known.get(fold("=".join(pieces[:place])))
        if name is not None:
            return name, "=".join(pieces[place:]).strip()
    given = pieces[0].strip()
    advice = did_you_mean(given, names) or f"; they are {listed(names)}"
    raise UsageError(f"{flag} {part}: {given} isn't among the features{advice}")
