"""Arrow values of any type as text or JSON: exactly, and without an error for any of them."""

from __future__ import annotations

import decimal
import json
import math
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# Seconds since 1970; a day short of both limits, whatever the zone.
_YEAR_1, _YEAR_9999 = -62_135_510_400, 253_402_214_399
# Digits after the point of a second in each unit.
_DIGITS = {"s": 0, "ms": 3, "us": 6, "ns": 9}


def is_text(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds text, plain or in a dictionary."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def is_bytes(kind: pa.DataType) -> bool:
    """Whether an Arrow type holds bytes, plain or in a dictionary: old writers' text is so."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def as_text(array: pa.Array) -> pa.Array:
    """Writes an Arrow array of any type as text, so that no type can stop a run.

    Numbers keep every digit that tells them apart, and decimals have no exponent. Times keep their
    unit's digits, and those in a zone that this machine doesn't know are written in UTC. Durations
    are ISO 8601. Bytes are text if they are UTF-8, otherwise hexadecimal digits in double quotes.
    Nested values are JSON (`as_json`).

    Returns:
      Strings ``[n]``, null where the array is.
    """
    return next(write(array) for applies, write in _TEXTS if applies(array.type))


def as_json(array: pa.Array) -> list[Any]:
    """Converts an Arrow array of any type to values that legal JSON can hold.

    Lists stay lists, maps become lists of pairs, as keys may be of any type, and structs become
    objects whose repeated names are numbered. Bytes are hexadecimal digits. NaN and infinities are
    text, as is any other value that JSON has no type for.
    """
    return next(list(convert(array)) for applies, convert in _JSON if applies(array.type))


def to_json(value: Any) -> str:
    """One value of `as_json` as JSON text."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def number_repeats(names: Sequence[str]) -> list[str]:
    """Returns names of which each is different: the second ``a`` becomes ``a (2)``."""
    taken, seen = set(names), Counter[str]()
    found = []
    for name in names:
        seen[name] += 1
        label = name
        if seen[name] > 1:
            while (label := f"{name} ({seen[name]})") in taken:
                seen[name] += 1
            taken.add(label)
        found.append(label)
    return found


def _from_zoned(array: pa.Array) -> pa.Array:
    """Writes times in their zone, or in UTC if that is unknown here.

    Outside the years 1 to 9999 Arrow can't tell the time in a zone, and doesn't notice.
    """
    plain = array.cast(pa.int64()).cast(pa.timestamp(array.type.unit)).cast(pa.string())
    in_utc = pc.if_else(
        pc.starts_with(plain, "<"), plain, pc.binary_join_element_wise(plain, "Z", "")
    )
    seconds = pc.divide(array.cast(pa.int64()), 10 ** _DIGITS[array.type.unit])
    known = pc.and_(pc.greater(seconds, _YEAR_1), pc.less(seconds, _YEAR_9999))
    try:
        in_zone = pc.if_else(known, array, None).cast(pa.string())
    except pa.ArrowInvalid:
        return in_utc
    return pc.coalesce(in_zone, in_utc)


def _physical_places(array: pa.Array) -> npt.NDArray[np.int64]:
    """The position of each row's value among the values of a run-end encoded array."""
    rows = np.arange(array.offset, array.offset + len(array))
    return np.searchsorted(array.run_ends.to_numpy(), rows, side="right")


def _storage(array: pa.Array) -> pa.Array:
    """The values of an extension type, as of another type."""
    return array.storage.cast(pa.bool_()) if array.type == pa.bool8() else array.storage


def _octets(array: pa.Array) -> list[bytes | None]:
    return list(array.cast(pa.large_binary()).to_pylist())


def _from_uuid(octets: bytes | None) -> str | None:
    return None if octets is None else str(uuid.UUID(bytes=octets))


def _from_binary(array: pa.Array) -> pa.Array:
    octets = array.cast(pa.large_binary())
    try:
        return octets.cast(pa.string())
    except pa.ArrowInvalid:
        return _each(_from_bytes, octets.to_pylist())


def _from_bytes(octets: bytes | None) -> str | None:
    try:
        return None if octets is None else octets.decode()
    except UnicodeDecodeError:
        return to_json(_digits(octets))


def _from_json(value: Any) -> str | None:
    return None if value is None else to_json(value)


def _escape(octets: bytes | None) -> str | None:
    return None if octets is None else octets.decode(errors="backslashreplace")


def _digits(octets: bytes | None) -> str | None:
    return None if octets is None else octets.hex()


def _from_decimals(array: pa.Array) -> pa.Array:
    texts = array.cast(pa.string())
    if not pc.any(pc.match_substring(texts, "E")).as_py():
        return texts
    return pa.array(
        [None if text is None else f"{decimal.Decimal(text):f}" for text in texts.to_pylist()],
        pa.string(),
    )


def _from_durations(array: pa.Array) -> Iterator[str | None]:
    digits = _DIGITS[array.type.unit]
    for value in array.cast(pa.int64()).to_pylist():
        if value is None:
            yield None
            continue
        seconds, part = divmod(abs(value), 10**digits)
        fraction = f".{part:0{digits}}" if digits else ""
        yield f"{'-' if value < 0 else ''}PT{seconds}{fraction}S"


def _from_interval(value: Any) -> str | None:
    if value is None:
        return None
    seconds, part = divmod(abs(value.nanoseconds), 10**9)
    sign = "-" if value.nanoseconds < 0 else ""
    return f"P{value.months}M{value.days}DT{sign}{seconds}.{part:09}S"


def _finite(text: str | None) -> float | str | None:
    """The number that a text spells; the text itself for NaN and infinities."""
    if text is None:
        return None
    value = float(text)
    return value if math.isfinite(value) else text


def _lists(array: pa.Array) -> Iterator[list[Any] | None]:
    kind = array.type
    if pa.types.is_fixed_size_list(kind):
        starts = np.arange(array.offset, array.offset + len(array)) * kind.list_size
        stops = starts + kind.list_size
    else:
        starts = array.offsets.to_numpy()
        if len(starts) == len(array):  # a view
            stops = starts + array.sizes.to_numpy()
        else:
            starts, stops = starts[:-1], starts[1:]
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    first = int(starts[valid].min()) if valid.any() else 0
    last = int(stops[valid].max()) if valid.any() else 0
    children = (array.keys, array.items) if pa.types.is_map(kind) else (array.values,)
    values = [as_json(child.slice(first, last - first)) for child in children]
    items = values[0] if len(values) == 1 else [list(pair) for pair in zip(*values, strict=True)]
    for start, stop, ok in zip(starts.tolist(), stops.tolist(), valid.tolist(), strict=True):
        yield items[start - first : stop - first] if ok else None


def _structs(array: pa.Array) -> Iterator[dict[str, Any] | None]:
    names = number_repeats([field.name for field in array.type])
    fields = [as_json(array.field(place)) for place in range(len(names))]
    for row, ok in enumerate(array.is_valid().to_pylist()):
        yield {name: each[row] for name, each in zip(names, fields, strict=True)} if ok else None


def _unions(array: pa.Array) -> Iterator[Any]:
    kind = array.type
    place_of = {code: place for place, code in enumerate(kind.type_codes)}
    fields = [as_json(array.field(place)) for place in range(kind.num_fields)]
    # pyarrow's own `type_codes` and `offsets` ignore where a slice begins.
    here = slice(array.offset, array.offset + len(array))
    codes = np.frombuffer(array.buffers()[1], np.int8)[here]
    dense = kind.mode == "dense"
    rows = np.frombuffer(array.buffers()[2], np.int32)[here] if dense else np.arange(len(array))
    for code, row in zip(codes.tolist(), rows.tolist(), strict=True):
        yield fields[place_of[code]][row]


def _pick(values: Sequence[Any], places: Sequence[int | None]) -> list[Any]:
    return [None if place is None else values[place] for place in places]


def _each(write: Callable[[Any], str | None], values: Iterable[Any]) -> pa.Array:
    return pa.array(list(map(write, values)), pa.string())


def _is_uuid(kind: pa.DataType) -> bool:
    return bool(kind == pa.uuid())


def _is_extended(kind: pa.DataType) -> bool:
    return isinstance(kind, pa.BaseExtensionType)


def _is_zoned(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)


def _is_exact(kind: pa.DataType) -> bool:
    """Whether JSON has the type."""
    return bool(pa.types.is_null(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind))


def _always(_: pa.DataType) -> bool:
    return True


# The first that applies to an array's type.
_TEXTS: tuple[tuple[Callable[[Any], bool], Callable[[Any], pa.Array]], ...] = (
    (pa.types.is_dictionary, lambda each: as_text(each.dictionary).take(each.indices)),
    (
        pa.types.is_run_end_encoded,
        lambda each: as_text(each.values).take(pa.array(_physical_places(each))),
    ),
    (_is_uuid, lambda each: _each(_from_uuid, _octets(each.storage))),
    (_is_extended, lambda each: as_text(_storage(each))),
    (is_bytes, _from_binary),
    (pa.types.is_decimal, _from_decimals),
    (pa.types.is_duration, lambda each: pa.array(_from_durations(each), pa.string())),
    (pa.types.is_interval, lambda each: _each(_from_interval, each.to_pylist())),
    (_is_zoned, _from_zoned),
    (pa.types.is_nested, lambda each: _each(_from_json, as_json(each))),
    (_always, lambda each: each.cast(pa.string())),
)
_JSON: tuple[tuple[Callable[[Any], bool], Callable[[Any], Iterable[Any]]], ...] = (
    (_is_exact, lambda each: each.to_pylist()),
    (
        pa.types.is_dictionary,
        lambda each: _pick(as_json(each.dictionary), each.indices.to_pylist()),
    ),
    (
        pa.types.is_run_end_encoded,
        lambda each: _pick(as_json(each.values), _physical_places(each).tolist()),
    ),
    (_is_uuid, lambda each: as_text(each).to_pylist()),
    (_is_extended, lambda each: as_json(_storage(each))),
    (pa.types.is_floating, lambda each: map(_finite, as_text(each).to_pylist())),
    (is_text, lambda each: map(_escape, _octets(each))),
    (is_bytes, lambda each: map(_digits, _octets(each))),
    (pa.types.is_struct, _structs),
    (pa.types.is_union, _unions),
    (pa.types.is_nested, _lists),
    (_always, lambda each: as_text(each).to_pylist()),
)
