"""Finds the columns that a job reads among those that a file has."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import pyarrow as pa

from penguin_model import validate
from penguin_model.names import fold
from pipelines.reading.rows import InputColumns
from pipelines.reading.unreadable import UnreadableFile

# How a column was found, best first.
RENAMED, EXACT, CASE, ALIAS = "renamed", "exact", "case", "alias"

# How many names a message shows, and their maximum length.
_SHOWN, _LONGEST = 12, 40
# How many of a file's columns are compared with a missing one, and how alike they must be.
_COMPARED, _ALIKE = 100, 0.65
_UNITS = ("mm", "cm", "dm", "m", "km", "in", "inch", "inches", "ft", "mg", "g", "kg", "lb", "oz")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileColumns:
    """Where a file has the columns that a job reads.

    Attributes:
      names: all columns of the file, in order.
      sources: the file's column for each that the job reads, by the job's name, with the label last
        if the file has it. Two columns of the job may be the same one of the file.
      ways: how each was found.
      label: the column of the job that the file needn't have; None if it must have all.
      missing: required columns that the file lacks.
      clashes: columns of the file that are equally good for a required one, by the job's name.
    """

    names: tuple[str, ...]
    sources: Mapping[str, str]
    ways: Mapping[str, str] = dataclasses.field(default_factory=dict)
    label: str | None = None
    missing: tuple[str, ...] = ()
    clashes: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)

    @property
    def read(self) -> tuple[str, ...]:
        """The columns of the file to read, each once."""
        return tuple(dict.fromkeys(self.sources.values()))

    @property
    def required(self) -> dict[str, str]:
        """The sources without the label, unless it is required too."""
        return {name: each for name, each in self.sources.items() if name != self.label}

    def sources_of(self, names: Iterable[str]) -> list[str]:
        """The file's column for each of some of the job's columns that it has."""
        return [self.sources[name] for name in names if name in self.sources]

    def rename(self, table: pa.Table) -> pa.Table:
        """Converts a table of the columns read to one of the job's columns, with its names."""
        return table.select(list(self.sources.values())).rename_columns(list(self.sources))


class UnclearColumns(UnreadableFile):
    """Raised if a file lacks a required column, or has two that could be it.

    Attributes:
      found: the columns that it has.
    """

    def __init__(self, message: str, column: str, found: FileColumns) -> None:
        super().__init__(message, reason=validate.MISSING_COLUMN, column=column)
        self.found = found


def find_columns(
    names: Sequence[str], wanted: InputColumns, hint: Callable[[], str] = lambda: ""
) -> FileColumns:
    """Finds the columns to read, and refuses a file in which a required one isn't clear.

    Args:
      names: all columns of the file, in order.
      wanted: the columns to find.
      hint: returns what else may be wrong with a file that lacks a column, for the message.

    Raises:
      UnclearColumns: a required column is missing, or two are equally good.
    """
    found = match_columns(names, wanted)
    if found.missing:
        advice = hint() or _advise(found, wanted)
        listed = f"{'T' if advice.endswith('?') else '; t'}he file has: {_list(names)}"
        space = " " if advice.endswith("?") else ""
        are = "column {} is" if len(found.missing) == 1 else "columns {} are"
        message = f"{are.format(_list(found.missing))} missing{advice}{space}{listed}"
        raise UnclearColumns(message, found.missing[0], found)
    for name, columns in found.clashes.items():
        first, second, *_ = columns
        if first == second:
            message = f"column {_show(first)} appears twice in the header"
        else:
            message = (
                f"columns {_show(first)} and {_show(second)} could both be {name}: choose with "
                f"{_flag(first, name)}"
            )
        raise UnclearColumns(message, name, found)
    return found


def match_columns(names: Sequence[str], wanted: InputColumns) -> FileColumns:
    """Matches a file's columns with those that a job reads.

    For each, the first of these that the file has: the column that `InputColumns.renames` names,
    one of exactly this name, one whose name differs in case or spaces, one with an alias from the
    card. Features and the label never share a column of the file, and one that is renamed is only
    what it is renamed to. A passthrough column has no aliases, and may be any column; one whose
    value the file's path holds isn't missed.
    """
    of_model = [feature.name for feature in wanted.features]
    if wanted.label is not None and wanted.label not in of_model:
        of_model.append(wanted.label)
    others = [name for name in wanted.columns if name not in of_model]
    chosen: dict[str, tuple[str, ...]] = {}
    ways: dict[str, str] = {}
    taken: set[str] = set()
    for way, columns in _levels(names, wanted):
        for name in of_model:
            free = tuple(each for each in columns.get(name, ()) if each not in taken)
            if free and name not in chosen:
                chosen[name], ways[name] = free, way
                taken.update(free)
        for name in others:
            if way != ALIAS and name not in chosen and columns.get(name):
                chosen[name], ways[name] = tuple(columns[name]), way
        if way == RENAMED:
            taken.update(each for found in columns.values() for each in found)
        if len(chosen) == len(of_model) + len(others):
            break
    required = wanted.columns
    # The rows of a file are counted by a column that is read.
    in_path = wanted.in_path if any(name in chosen for name in required) else frozenset()
    read = dict.fromkeys((*required, *of_model))
    clear = [name for name in read if len(chosen.get(name, ())) == 1]
    return FileColumns(
        names=tuple(names),
        sources={name: chosen[name][0] for name in clear},
        ways={name: ways[name] for name in clear},
        label=None if wanted.label in required else wanted.label,
        missing=tuple(name for name in required if name not in chosen and name not in in_path),
        clashes={name: chosen[name] for name in required if len(chosen.get(name, ())) > 1},
    )


def _levels(
    names: Sequence[str], wanted: InputColumns
) -> Iterator[tuple[str, Mapping[str, Sequence[str]]]]:
    """Yields each way of finding columns, with the file's columns it finds by the job's name."""
    by_name: dict[str, list[str]] = {}
    for name in names:
        by_name.setdefault(name, []).append(name)
    renamed: dict[str, list[str]] = {}
    by_fold: dict[str, list[str]] = {}
    if wanted.renames:
        by_fold = _by_fold(names)
        for old, new in wanted.renames:
            columns = by_name.get(old) or by_fold.get(fold(old), [])
            renamed.setdefault(new, []).extend(columns)
    yield RENAMED, renamed
    yield EXACT, by_name
    by_fold = by_fold or _by_fold(names)
    folded = wanted.folded.items()
    yield CASE, {name: by_fold.get(key, ()) for name, (key, _) in folded}
    yield (
        ALIAS,
        {
            name: [each for alias in aliases for each in by_fold.get(alias, ())]
            for name, (_, aliases) in folded
        },
    )


def _by_fold(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(fold(name), []).append(name)
    return found


def _advise(found: FileColumns, wanted: InputColumns) -> str:
    """Says what to do about missing columns, with a separator before it; empty if unknown."""
    names = found.names
    if names and all(validate.is_number(name) for name in names):
        return "; its first line holds no names: add a header"
    likely = suggest(found, wanted)
    units = {feature.name: feature.unit for feature in wanted.features}
    other = {n: c for n, c in likely.items() if _is_in_another_unit(c, units.get(n))}
    advice = "".join(
        f"; {_show(column)} is in another unit: {name} must be in {units[name]}"
        for name, column in other.items()
    )
    meant = [(name, column) for name, column in likely.items() if name not in other]
    if meant:
        flags = " ".join(_flag(column, name) for name, column in meant)
        columns = ", ".join(_show(column) for _, column in meant)
        advice += f"; did you mean {columns} ({flags})?"
    return advice


def suggest(found: FileColumns, wanted: InputColumns) -> dict[str, str]:
    """Guesses which columns of a file are the missing ones: a column for each that has one.

    A guess is never read; it is for a message. It may be in another unit.
    """
    if len(found.names) == 1 and len(found.missing) > 1:
        return {}  # its fields aren't separated as they should be
    used = {*found.sources.values(), *(each for some in found.clashes.values() for each in some)}
    free = [
        name
        for name in dict.fromkeys(found.names[:_COMPARED])
        if name not in used and _can_be_typed(name)
    ]
    scores = sorted(
        (
            (score, name, column)
            for name in found.missing[:_SHOWN]
            for column in free
            if (score := _likeness(column, (name, *wanted.aliases.get(name, ())))) >= _ALIKE
        ),
        key=lambda each: -each[0],
    )
    chosen: dict[str, str] = {}
    for _, name, column in scores:
        if name not in chosen and column not in chosen.values():
            chosen[name] = column
    return {name: chosen[name] for name in found.missing if name in chosen}


def _likeness(column: str, spellings: Iterable[str]) -> float:
    letters = _letters(column)
    return max(_ratio(letters, each) for each in dict.fromkeys(map(_letters, spellings)))


# Many files of a night have the same wrong header.
@functools.lru_cache(maxsize=1 << 14)
def _ratio(first: str, second: str) -> float:
    matcher = difflib.SequenceMatcher(None, first, second, autojunk=False)
    if matcher.real_quick_ratio() < _ALIKE or matcher.quick_ratio() < _ALIKE:
        return 0.0
    return matcher.ratio()


@functools.lru_cache(maxsize=1 << 12)
def _letters(name: str) -> str:
    """A name's letters and digits, without its unit."""
    words = _words(name)
    return "".join(words[:-1] if len(words) > 1 and words[-1] in _UNITS else words)


def _words(name: str) -> list[str]:
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[\W_]+", fold(parts)) if word]


def _is_in_another_unit(column: str, unit: str | None) -> bool:
    words = _words(column)
    return unit in _UNITS and len(words) > 1 and words[-1] in _UNITS and words[-1] != unit


def _flag(column: str, name: str) -> str:
    shown = column if _can_be_typed(column) else "COLUMN"
    return f"--rename {shlex.quote(f'{shown}={name}')}"


def _can_be_typed(column: str) -> bool:
    return column.isprintable() and len(column) <= 2 * _LONGEST


def _list(names: Sequence[str]) -> str:
    return ", ".join(map(_show, names[:_SHOWN])) + (", …" if len(names) > _SHOWN else "")


def _show(name: str) -> str:
    text = " ".join(name.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
