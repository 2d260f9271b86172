"""Strict JSON: a card's text to values, and values to typed records, naming the field at fault.

A field is named as in ``features[2].scale`` or ``reference.features.BodyMass.edges[3]``.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import math
import re
import types
import typing
from collections.abc import Mapping
from typing import Any

from penguin_model.errors import CardError

# Cards have 6 levels. Python itself gives up at about 1000.
_MOST_LEVELS = 50
# Longer integers are read as floats: Python refuses to convert very long ones.
_MOST_DIGITS = 30
_PLAIN_KEY = re.compile(r"[\w -]*\w[\w -]*")
_KINDS = {
    str: "text", int: "an integer", float: "a number", bool: "true or false", dict: "an object",
    list: "a list",
}  # fmt: skip


class _Repeated(dict[str, Any]):
    """An object whose text has a name twice."""

    name = ""


def parse(content: bytes | str) -> Any:
    """Reads JSON of which no part is ambiguous or can't be written again.

    Raises:
      CardError: the text isn't UTF-8 or isn't JSON, a name appears twice in an object, a number
        isn't finite, or a text has half a surrogate pair.
    """
    try:
        text = content if isinstance(content, str) else content.decode()
    except UnicodeDecodeError as error:
        raise CardError("is not UTF-8 text") from error
    if text.startswith("\ufeff"):
        raise CardError("begins with a byte-order mark; save it as UTF-8 without one")
    try:
        values = json.loads(text, object_pairs_hook=_read_object, parse_int=_read_integer)
    except RecursionError as error:
        raise CardError("is nested too deeply") from error
    except ValueError as error:
        raise CardError(f"is not JSON: {error}") from error
    _check(values, "", 0)
    return values


def decode(kind: Any, value: Any, field: str = "") -> Any:
    """Converts a JSON value to a type, exactly: no text for a number, no number for a truth value.

    Args:
      kind: ``str``, ``int``, ``float`` (which an integer may also be), ``bool``, ``Any``, a tuple
        of one kind, a mapping from text, a dataclass, one of several, or one of these or None.
      value: of `parse`.
      field: names the value.

    Raises:
      CardError: the value is of another kind, or a dataclass lacks it, doesn't know it or refuses
        it. A dataclass begins the message of its own CardError with the name of its field.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any or (origin is types.UnionType and value is None and types.NoneType in arguments):
        return value
    if origin is types.UnionType:
        return decode(_choose(arguments, value), value, field)
    if origin is tuple:
        items = _expect(list, value, field)
        return tuple(decode(arguments[0], each, f"{field}[{n}]") for n, each in enumerate(items))
    if origin is Mapping:
        named = _expect(dict, value, field).items()
        return {name: decode(arguments[1], each, join(field, name)) for name, each in named}
    if dataclasses.is_dataclass(kind):
        return _decode_record(kind, _expect(dict, value, field), field)
    is_whole = kind is float and type(value) is int
    return float(value) if is_whole else _expect(kind, value, field)


def join(field: str, name: str) -> str:
    """The name of a part of a field."""
    if not _PLAIN_KEY.fullmatch(name):
        return f"{field}[{name!r}]"
    return f"{field}.{name}" if field else name


def _choose(kinds: tuple[Any, ...], value: Any) -> Any:
    """The kind of which the most required fields are there; the first of equals."""
    if not isinstance(value, dict):
        return kinds[0]
    return max(kinds, key=lambda kind: len(_required(kind) & value.keys()))


def _required(kind: Any) -> set[str]:
    """The names of a dataclass's fields without a default; empty for other kinds."""
    if not dataclasses.is_dataclass(kind):
        return set()
    fields = dataclasses.fields(kind)
    return {
        each.name for each in fields
        if {each.default, each.default_factory} == {dataclasses.MISSING}
    }  # fmt: skip


def _decode_record(kind: Any, values: dict[str, Any], field: str) -> Any:
    hints = typing.get_type_hints(kind)
    fields = [each.name for each in dataclasses.fields(kind)]
    for name in values:
        if name not in fields:
            raise CardError(f"{join(field, name)}: this release knows no such field")
    for name in fields:
        if name in _required(kind) - values.keys():
            raise CardError(f"{join(field, name)}: is missing")
    known = {name: decode(hints[name], each, join(field, name)) for name, each in values.items()}
    try:
        return kind(**known)
    except CardError as error:
        raise CardError(f"{field}.{error}" if field else str(error)) from error


def _expect(kind: type, value: Any, field: str) -> Any:
    if type(value) is not kind and not (kind is dict and isinstance(value, dict)):
        raise CardError(f"{field}: {show(value)} is not {_KINDS[kind]}")
    return value


def show(value: Any, limit: int = 40) -> str:
    """A JSON value as text, shortened, for a message."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = collections.Counter(name for name, _ in pairs)
        found = _Repeated(found)
        found.name = counts.most_common(1)[0][0]
    return found


def _read_integer(text: str) -> int | float:
    return int(text) if len(text) <= _MOST_DIGITS else float(text)


def _check(value: Any, field: str, level: int) -> None:
    if level > _MOST_LEVELS:
        raise CardError("is nested too deeply")
    if isinstance(value, _Repeated):
        raise CardError(f"{join(field, value.name)}: appears twice")
    if isinstance(value, dict):
        for name, each in value.items():
            _check(name, field, level)
            _check(each, join(field, name), level + 1)
    elif isinstance(value, list):
        for place, each in enumerate(value):
            _check(each, f"{field}[{place}]", level + 1)
    elif isinstance(value, float) and not math.isfinite(value):
        raise CardError(f"{field}: {show(value)} is not a finite number")
    elif isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise CardError(f"{field}: {value!a} has half a surrogate pair") from error
