"""Arrays of every Arrow type that a file can hold, three rows each, and their texts."""

import decimal
import uuid

import numpy as np
import pyarrow as pa

D = decimal.Decimal


def extended(storage: pa.Array, kind: pa.DataType) -> pa.Array:
    """An array of an extension type."""
    return pa.ExtensionArray.from_storage(kind, storage)


ARRAYS: dict[str, tuple[pa.Array, list[str | None]]] = {
    "list": (pa.array([[1.5, float("nan")], None, []]), ['[1.5, "nan"]', None, "[]"]),
    "large_list": (
        pa.array([[1], None, [2, 3]], pa.large_list(pa.int64())),
        ["[1]", None, "[2, 3]"],
    ),
    "fsl": (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2)), ["[1, 2]", None, "[3, 4]"]),
    "list_view": (pa.array([[1], None, [2]], pa.list_view(pa.int64())), ["[1]", None, "[2]"]),
    "large_list_view": (
        pa.array([[1], None, [2]], pa.large_list_view(pa.int64())),
        ["[1]", None, "[2]"],
    ),
    "struct": (
        pa.array([{"a": 1, "b": b"\xff"}, None, {"a": 2, "b": None}]),
        ['{"a": 1, "b": "ff"}', None, '{"a": 2, "b": null}'],
    ),
    "map": (
        pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int64())),
        ['[["a", 1]]', None, "[]"],
    ),
    "map_int": (
        pa.array([[(1, 1)], None, []], pa.map_(pa.int64(), pa.int64())),
        ["[[1, 1]]", None, "[]"],
    ),
    "map_struct_key": (
        pa.array([[({"x": 1}, 1)], None, []], pa.map_(pa.struct([("x", pa.int64())]), pa.int64())),
        ['[[{"x": 1}, 1]]', None, "[]"],
    ),
    "struct_dup": (
        pa.StructArray.from_arrays([pa.array([1, 2, 3]), pa.array([4, 5, 6])], names=["a", "a"]),
        ['{"a": 1, "a (2)": 4}', '{"a": 2, "a (2)": 5}', '{"a": 3, "a (2)": 6}'],
    ),
    "binary": (pa.array([b"a", None, b"b"]), ["a", None, "b"]),
    "binary_bad": (pa.array([b"a", None, b"\xff"]), ["a", None, '"ff"']),
    "fixed": (pa.array([b"ab", None, b"cd"], pa.binary(2)), ["ab", None, "cd"]),
    "fixed_bad": (pa.array([b"ab", None, b"\xff\xfe"], pa.binary(2)), ["ab", None, '"fffe"']),
    "large_binary": (pa.array([b"ab", None, b"cd"], pa.large_binary()), ["ab", None, "cd"]),
    "binary_view": (pa.array([b"ab", None, b"cd"], pa.binary_view()), ["ab", None, "cd"]),
    "dict": (pa.array(["a", None, "b"]).dictionary_encode(), ["a", None, "b"]),
    "dict_int": (pa.array([1, None, 2]).dictionary_encode(), ["1", None, "2"]),
    "dict_float": (pa.array([1.5, None, 2]).dictionary_encode(), ["1.5", None, "2"]),
    "dict_bin": (pa.array([b"1.5", None, b"2"]).dictionary_encode(), ["1.5", None, "2"]),
    "dict_ts": (
        pa.array([1, None, 2], pa.timestamp("ns")).dictionary_encode(),
        ["1970-01-01 00:00:00.000000001", None, "1970-01-01 00:00:00.000000002"],
    ),
    "dict_struct": (
        pa.DictionaryArray.from_arrays(pa.array([0, None, 1]), pa.array([{"a": 1}, {"a": 2}])),
        ['{"a": 1}', None, '{"a": 2}'],
    ),
    "dict_list": (
        pa.DictionaryArray.from_arrays(pa.array([0, None, 1]), pa.array([[1], [2]])),
        ["[1]", None, "[2]"],
    ),
    "dict_dec": (
        pa.array([D("1.50"), None, D("2.00")]).dictionary_encode(),
        ["1.50", None, "2.00"],
    ),
    "dict_bool": (
        pa.DictionaryArray.from_arrays(pa.array([0, None, 1]), pa.array([True, False])),
        ["true", None, "false"],
    ),
    "dict_null": (
        pa.DictionaryArray.from_arrays(pa.array([0, None, 0]), pa.nulls(1)),
        [None, None, None],
    ),
    "dict_view": (
        pa.DictionaryArray.from_arrays(
            pa.array([0, None, 1]), pa.array(["a", "b"], pa.string_view())
        ),
        ["a", None, "b"],
    ),
    "date32": (
        pa.array([0, None, 2**31 - 1], pa.int32()).cast(pa.date32()),
        ["1970-01-01", None, "<value out of range: 2147483647>"],
    ),
    "date64": (
        pa.array([0, None, 86400000 * 40], pa.int64()).cast(pa.date64()),
        ["1970-01-01", None, "1970-02-10"],
    ),
    "date64max": (
        pa.array([0, None, 2**62 // 86400000 * 86400000], pa.int64()).cast(pa.date64()),
        ["1970-01-01", None, "<value out of range: 4611686018371200000>"],
    ),
    "time32s": (pa.array([0, None, 1], pa.time32("s")), ["00:00:00", None, "00:00:01"]),
    "time32ms": (pa.array([0, None, 1], pa.time32("ms")), ["00:00:00.000", None, "00:00:00.001"]),
    "time64us": (
        pa.array([0, None, 1], pa.time64("us")),
        ["00:00:00.000000", None, "00:00:00.000001"],
    ),
    "time64ns": (
        pa.array([0, None, 1], pa.time64("ns")),
        ["00:00:00.000000000", None, "00:00:00.000000001"],
    ),
    "ts_s_max": (
        pa.array([0, None, 2**62], pa.timestamp("s")),
        ["1970-01-01 00:00:00", None, "<value out of range: 4611686018427387904>"],
    ),
    "ts_ns": (
        pa.array([0, None, 2**62 + 1], pa.timestamp("ns")),
        ["1970-01-01 00:00:00.000000000", None, "2116-02-20 23:53:38.427387905"],
    ),
    "ts_utc": (
        pa.array([0, None, 2**62 + 1], pa.timestamp("ns", "UTC")),
        ["1970-01-01 00:00:00.000000000Z", None, "2116-02-20 23:53:38.427387905Z"],
    ),
    "ts_berlin": (
        pa.array([0, None, 2**60 + 1], pa.timestamp("ns", "Europe/Berlin")),
        ["1970-01-01 01:00:00.000000000+0100", None, "2006-07-15 01:58:24.606846977+0200"],
    ),
    "ts_off": (
        pa.array([0, None, 2**60 + 1], pa.timestamp("ns", "+05:30")),
        ["1970-01-01 05:30:00.000000000+0530", None, "2006-07-15 05:28:24.606846977+0530"],
    ),
    "ts_unknown": (
        pa.array([0, None, 2**60 + 1], pa.timestamp("ns", "Mars/Base")),
        ["1970-01-01 00:00:00.000000000Z", None, "2006-07-14 23:58:24.606846977Z"],
    ),
    "ts_s_zone_max": (
        pa.array([0, None, 2**62], pa.timestamp("s", "Europe/Berlin")),
        ["1970-01-01 01:00:00+0100", None, "<value out of range: 4611686018427387904>"],
    ),
    "duration": (
        pa.array([0, None, 2**62], pa.duration("s")),
        ["PT0S", None, "PT4611686018427387904S"],
    ),
    "mdn": (
        pa.array([(1, 2, 3), None, (4, 5, 6)], pa.month_day_nano_interval()),
        ["P1M2DT0.000000003S", None, "P4M5DT0.000000006S"],
    ),
    "dec32": (pa.array([D("1.50"), None, D("2.00")], pa.decimal32(5, 2)), ["1.50", None, "2.00"]),
    "dec64": (pa.array([D("1.50"), None, D("2.00")], pa.decimal64(12, 2)), ["1.50", None, "2.00"]),
    "dec128": (
        pa.array([D("1.50"), None, D("2.00")], pa.decimal128(38, 2)),
        ["1.50", None, "2.00"],
    ),
    "dec256": (
        pa.array([D("1.50"), None, D("2.00")], pa.decimal256(76, 20)),
        ["1.50000000000000000000", None, "2.00000000000000000000"],
    ),
    "dec_negscale": (
        pa.array([D("1.5E+8"), None, D("2E+8")], pa.decimal128(10, -5)),
        ["150000000", None, "200000000"],
    ),
    "f16": (pa.array(np.array([1.5, np.nan, 0.1], np.float16)), ["1.5", "nan", "0.0999755859375"]),
    "f32": (pa.array([0.1, None, float("inf")], pa.float32()), ["0.1", None, "inf"]),
    "f64": (pa.array([0.1, None, 1e300]), ["0.1", None, "1e+300"]),
    "null": (pa.nulls(3), [None, None, None]),
    "bool": (pa.array([True, None, False]), ["true", None, "false"]),
    "u64": (pa.array([2**64 - 1, None, 0], pa.uint64()), ["18446744073709551615", None, "0"]),
    "ree": (
        pa.RunEndEncodedArray.from_arrays(
            pa.array([1, 2, 3], pa.int32()), pa.array(["a", None, "b"])
        ),
        ["a", None, "b"],
    ),
    "ree_struct": (
        pa.RunEndEncodedArray.from_arrays(
            pa.array([1, 2, 3], pa.int32()), pa.array([{"a": 1}, None, {"a": 2}])
        ),
        ['{"a": 1}', None, '{"a": 2}'],
    ),
    "ree_dict": (
        pa.RunEndEncodedArray.from_arrays(
            pa.array([1, 2, 3], pa.int32()), pa.array(["a", None, "b"]).dictionary_encode()
        ),
        ["a", None, "b"],
    ),
    "dict_ree": (
        pa.DictionaryArray.from_arrays(
            pa.array([0, None, 1]),
            pa.RunEndEncodedArray.from_arrays(pa.array([1, 2], pa.int32()), pa.array(["a", "b"])),
        ),
        ["a", None, "b"],
    ),
    "sparse_union": (
        pa.UnionArray.from_sparse(
            pa.array([0, 1, 0], pa.int8()), [pa.array([1, 2, 3]), pa.array(["a", "b", "c"])]
        ),
        ["1", '"b"', "3"],
    ),
    "dense_union": (
        pa.UnionArray.from_dense(
            pa.array([0, 1, 0], pa.int8()),
            pa.array([0, 0, 1], pa.int32()),
            [pa.array([1, 2]), pa.array(["b"])],
        ),
        ["1", '"b"', "2"],
    ),
    "uuid": (
        extended(
            pa.array([uuid.UUID(int=5).bytes, None, uuid.UUID(int=7).bytes], pa.binary(16)),
            pa.uuid(),
        ),
        ["00000000-0000-0000-0000-000000000005", None, "00000000-0000-0000-0000-000000000007"],
    ),
    "json": (extended(pa.array(['{"a":1}', None, "[1]"]), pa.json_()), ['{"a":1}', None, "[1]"]),
    "bool8": (extended(pa.array([1, None, 0], pa.int8()), pa.bool8()), ["true", None, "false"]),
    "opaque": (
        extended(pa.array(["a", None, "b"]), pa.opaque(pa.string(), "t", "v")),
        ["a", None, "b"],
    ),
    "opaque_bin": (
        extended(pa.array([b"a", None, b"\xff"]), pa.opaque(pa.binary(), "t", "v")),
        ["a", None, '"ff"'],
    ),
    "tensor": (
        extended(
            pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int32(), 2)),
            pa.fixed_shape_tensor(pa.int32(), (2,)),
        ),
        ["[1, 2]", None, "[3, 4]"],
    ),
    "sview": (pa.array(["a", None, "b"], pa.string_view()), ["a", None, "b"]),
    "list_ts": (
        pa.array([[2**62], None, [1]], pa.list_(pa.timestamp("s"))),
        ['["<value out of range: 4611686018427387904>"]', None, '["1970-01-01 00:00:01"]'],
    ),
    "list_ts_ns": (
        pa.array([[2**60 + 1], None, [1]], pa.list_(pa.timestamp("ns"))),
        ['["2006-07-14 23:58:24.606846977"]', None, '["1970-01-01 00:00:00.000000001"]'],
    ),
    "list_tz": (
        pa.array([[1], None, [1]], pa.list_(pa.timestamp("s", "Mars/Base"))),
        ['["1970-01-01 00:00:01Z"]', None, '["1970-01-01 00:00:01Z"]'],
    ),
    "list_dur": (
        pa.array([[1], None, [2**62]], pa.list_(pa.duration("s"))),
        ['["PT1S"]', None, '["PT4611686018427387904S"]'],
    ),
    "list_dec": (
        pa.array([[D("1.50")], None, [D("0.0000001")]], pa.list_(pa.decimal128(20, 7))),
        ['["1.5000000"]', None, '["0.0000001"]'],
    ),
    "list_sview": (
        pa.array([["a"], None, ["b"]], pa.list_(pa.string_view())),
        ['["a"]', None, '["b"]'],
    ),
    "list_bview": (
        pa.array([[b"a"], None, [b"\xff"]], pa.list_(pa.binary_view())),
        ['["61"]', None, '["ff"]'],
    ),
    "list_ree": (
        pa.ListArray.from_arrays(
            pa.array([0, 1, 2, 3], pa.int32()),
            pa.RunEndEncodedArray.from_arrays(
                pa.array([1, 2, 3], pa.int32()), pa.array(["a", None, "b"])
            ),
        ),
        ['["a"]', "[null]", '["b"]'],
    ),
    "list_dict": (
        pa.ListArray.from_arrays(
            pa.array([0, 1, 2, 3], pa.int32()), pa.array(["a", None, "b"]).dictionary_encode()
        ),
        ['["a"]', "[null]", '["b"]'],
    ),
    "list_f16": (
        pa.array([[np.float16(0.1)], None, []], pa.list_(pa.float16())),
        ["[0.0999755859375]", None, "[]"],
    ),
    "list_f32": (pa.array([[0.1], None, []], pa.list_(pa.float32())), ["[0.1]", None, "[]"]),
    "list_mdn": (
        pa.array([[(1, 2, 3)], None, []], pa.list_(pa.month_day_nano_interval())),
        ['["P1M2DT0.000000003S"]', None, "[]"],
    ),
    "list_uuid": (
        pa.ListArray.from_arrays(
            pa.array([0, 1, 2, 3], pa.int32()),
            extended(pa.array([uuid.UUID(int=5).bytes] * 3, pa.binary(16)), pa.uuid()),
        ),
        [
            '["00000000-0000-0000-0000-000000000005"]',
            '["00000000-0000-0000-0000-000000000005"]',
            '["00000000-0000-0000-0000-000000000005"]',
        ],
    ),
    "list_badutf8": (
        pa.ListArray.from_arrays(
            pa.array([0, 1, 2, 3], pa.int32()), pa.array([b"a", b"\xff", b"c"]).view(pa.string())
        ),
        ['["a"]', '["\\\\xff"]', '["c"]'],
    ),
    "list_date": (
        pa.array([[0], None, [2**31 - 1]], pa.list_(pa.date32())),
        ['["1970-01-01"]', None, '["<value out of range: 2147483647>"]'],
    ),
    "list_time": (
        pa.array([[0], None, [1]], pa.list_(pa.time64("ns"))),
        ['["00:00:00.000000000"]', None, '["00:00:00.000000001"]'],
    ),
    "list_union": (
        pa.ListArray.from_arrays(
            pa.array([0, 1, 2, 3], pa.int32()),
            pa.UnionArray.from_dense(
                pa.array([0, 1, 0], pa.int8()),
                pa.array([0, 0, 1], pa.int32()),
                [pa.array([1, 2]), pa.array(["b"])],
            ),
        ),
        ["[1]", '["b"]', "[2]"],
    ),
}
