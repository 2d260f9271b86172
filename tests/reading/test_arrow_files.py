"""Arrow IPC input: files and streams, every numeric type, truncated files and damaged batches."""

import decimal
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather

from penguin_model.card import read_card
from pipelines.reading.arrow_files import messages, reader, sizes
from pipelines.reading.formats import Part
from pipelines.reading.settings import DEFAULT_SIZES, Sizes
from pipelines.reading.unreadable import UnreadableFile
from tests.support.reading import BAD_LENGTHS, WANTED, observations, score_ready
from tests.support.running import PLAIN, manifest, published, run_here, run_small_pieces
from tests.support.toy import toy_bundle

KINDS = ("file", "stream")
CODECS = (None, "lz4", "zstd")
Batches = Any  # a table, or record batches


def written(
    batches: Batches, kind: str = "file", codec: str | None = None, rows: int | None = None
) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=codec)
    schema = batches.schema if isinstance(batches, pa.Table) else batches[0].schema
    opening = pa.ipc.new_file if kind == "file" else pa.ipc.new_stream
    with opening(sink, schema, options=options) as writer:
        if isinstance(batches, pa.Table):
            writer.write_table(batches, max_chunksize=rows)
        else:
            for batch in batches:
                writer.write_batch(batch)
    return sink.getvalue()


def read_all(data: bytes, span_bytes: int = 1, batch_rows: int = 1000) -> Any:
    size = Sizes(batch_rows=batch_rows)
    file = reader.open_file(pa.BufferReader(data), WANTED)
    parts = list(reader.plan(file, span_bytes))
    blocks = [
        block for part in parts for block in reader.read_record_batches(file, part, WANTED, size)
    ]
    assert sum(part.rows for part in parts) == sum(block.rows_read for block in blocks)
    return score_ready(blocks)


@given(
    st.integers(1, 300), st.integers(1, 90), st.integers(1, 5000), st.integers(1, 70),
    st.sampled_from(KINDS), st.sampled_from(CODECS),
)  # fmt: skip
def test_spans_and_batches_of_any_size_give_the_same_rows(
    rows: int, chunk: int, span_bytes: int, batch_rows: int, kind: str, codec: str | None
) -> None:
    data = written(observations(rows), kind, codec, chunk)
    good, rejects, read = read_all(data, span_bytes, batch_rows)
    assert (rejects, read) == ([], rows)
    assert good == [(n, f"bird-{n}", float(n % 200 + 1), float(1000 + n)) for n in range(rows)]


@pytest.mark.parametrize("kind", KINDS)
def test_plan_covers_all_record_batches_once(kind: str) -> None:
    data = written(observations(250), kind, rows=100)
    file = reader.open_file(pa.BufferReader(data), WANTED)
    assert list(reader.plan(file, 1)) == [(0, 1, 0, 100), (1, 2, 100, 100), (2, 3, 200, 50)]
    assert list(reader.plan(file, 1 << 30)) == [(0, 3, 0, 250)]
    nothing = written(observations(0), kind)
    assert list(reader.plan(reader.open_file(pa.BufferReader(nothing), WANTED), 1)) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "lengths",
    [
        *(pa.array([39, 40], kind) for kind in (pa.int8(), pa.int16(), pa.int32(), pa.int64())),
        *(pa.array([39, 40], kind) for kind in (pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64())),
        *(pa.array([39, 40], kind) for kind in (pa.float16(), pa.float32(), pa.float64())),
        pa.array([decimal.Decimal("39.00"), decimal.Decimal(40)], pa.decimal32(9, 2)),
        pa.array([decimal.Decimal("39.00"), decimal.Decimal(40)], pa.decimal128(9, 2)),
        pa.array([decimal.Decimal("39.00"), decimal.Decimal(40)], pa.decimal256(50, 2)),
        pa.array(["39", " 4.0e1 "]),
        pa.array(["39", "40"], pa.large_string()),
        pa.array(["39", "40"], pa.string_view()),
        pa.array(["39", "40"]).dictionary_encode(),
        pa.array([39, 40]).dictionary_encode(),
        pc.run_end_encode(pa.array([39.0, 40.0])),
    ],
    ids=lambda array: str(array.type),
)
def test_numbers_of_any_type_score(lengths: pa.Array, kind: str) -> None:
    table = pa.table({"id": ["a", "b"], "length": lengths, "mass": [500, 600]})
    good, rejects, _ = read_all(written(table, kind))
    assert rejects == []
    assert good == [(0, "a", 39.0, 500.0), (1, "b", 40.0, 600.0)]


@pytest.mark.parametrize(("lengths", "reason"), BAD_LENGTHS, ids=str)
def test_reasons(lengths: pa.Array, reason: str) -> None:
    table = pa.table({"id": ["a"], "length": lengths, "mass": [500], "note": [b"\xff"]})
    for kind in KINDS:
        good, (reject,), read = read_all(written(table, kind))
        assert (good, read) == ([], 1)
        assert (reject.source_row, reject.reason, reject.column) == (0, reason, "length")
        assert set(json.loads(reject.raw)) == {"id", "length", "mass", "note"}
        assert json.loads(reject.raw)["mass"] == 500


@pytest.mark.parametrize("kind", KINDS)
def test_the_raw_text_of_a_late_reject_is_its_own(kind: str) -> None:
    table = observations(500)
    lengths = table.column("length").to_pylist()
    lengths[3] = lengths[250] = lengths[499] = None
    table = table.set_column(2, "length", pa.array(lengths))
    table = table.set_column(3, "note", pa.array([f"note {n}" for n in range(500)]))
    _, rejects, _ = read_all(written(table, kind, rows=200), 1 << 30, batch_rows=70)
    shown = [json.loads(reject.raw) for reject in rejects]
    assert [each["id"] for each in shown] == ["bird-3", "bird-250", "bird-499"]
    assert [each["note"] for each in shown] == ["note 3", "note 250", "note 499"]
    assert [r.source_row for r in rejects] == [3, 250, 499]


def test_a_stream_may_replace_its_dictionaries() -> None:
    kind = pa.dictionary(pa.int8(), pa.string())
    batches = [
        pa.record_batch({"id": pa.array(ids).dictionary_encode().cast(kind),
                         "length": [1.0] * len(ids), "mass": [500.0] * len(ids)})
        for ids in (["a", "b", "a"], ["c"], ["b", "d"])
    ]  # fmt: skip
    good, rejects, _ = read_all(written(batches, "stream"))
    assert (rejects, [row[1] for row in good]) == ([], ["a", "b", "a", "c", "b", "d"])


@pytest.mark.parametrize("kind", KINDS)
def test_text_that_is_no_utf8_costs_its_row(kind: str) -> None:
    broken = pa.Array.from_buffers(pa.string(), 3, pa.array([b"a", b"\xff", b"c"]).buffers())
    columns = {"length": [1.0] * 3, "mass": [500.0] * 3}
    good, (reject,), _ = read_all(written(pa.table({"id": broken, **columns}), kind))
    assert [row[:2] for row in good] == [(0, "a"), (2, "c")]
    assert (reject.source_row, reject.reason, reject.column) == (1, "bad_encoding", "id")
    # Bytes needn't be text.
    table = pa.table({"id": broken.view(pa.binary()), **columns})
    good, rejects, _ = read_all(written(table, kind))
    assert (rejects, [row[1] for row in good]) == ([], ["a", '"ff"', "c"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_anywhere_is_refused(kind: str) -> None:
    data = written(observations(30), kind, rows=10)
    for length in range(len(data)):
        with pytest.raises(UnreadableFile, match="not a readable Arrow file"):
            reader.open_file(pa.BufferReader(data[:length]), WANTED)
    for more in (b"\0", data):
        if kind == "stream":
            with pytest.raises(UnreadableFile, match="follow the end of the stream"):
                reader.open_file(pa.BufferReader(data + more), WANTED)


@pytest.mark.parametrize("data", [b"", b"id,length,mass\n", b"ARROW1", b"ARROW1" * 100, bytes(99)])
def test_a_file_that_is_no_arrow_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match="not a readable Arrow file"):
        reader.open_file(pa.BufferReader(data), WANTED)


def test_feather_version_1_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="Feather version 1; write it as version 2"):
        reader.open_file(pa.BufferReader(b"FEA1" + bytes(60)), WANTED)
    feather.write_feather(observations(30), str(tmp_path / "new.feather"), version=2)
    assert read_all((tmp_path / "new.feather").read_bytes())[2] == 30


def test_a_missing_column_is_named() -> None:
    data = written(pa.table({"id": ["a"], "mass": [1]}))
    with pytest.raises(UnreadableFile, match="column length is missing; the file has: id, mass"):
        reader.open_file(pa.BufferReader(data), WANTED)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_a_damaged_record_batch_costs_its_own_rows(kind: str, codec: str) -> None:
    data = bytearray(written(observations(300), kind, codec, 100))
    place = reader.open_file(pa.BufferReader(bytes(data)), WANTED).places[1]
    message = messages.read_message(pa.BufferReader(bytes(data)), place.start, len(data))
    for offset, length in message.buffers.tolist():
        begin = message.body + offset + 8
        data[begin : begin + max(0, length - 8)] = b"\xa5" * max(0, length - 8)
    good, rejects, read = read_all(bytes(data))
    assert read == 300
    assert [row[0] for row in good] == [*range(100), *range(200, 300)]
    assert [r.source_row for r in rejects] == list(range(100, 200))
    assert {r.reason for r in rejects} == {"unreadable_file"}
    assert "record batch 1 cannot be read" in rejects[0].message


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("codec", CODECS)
def test_sizes_are_known_before_a_batch_is_read(kind: str, codec: str | None) -> None:
    nested = pa.array([[{"a": "x", "b": None}], None, []] * 100)
    columns = {
        "id": [f"bird-{n}" for n in range(300)],
        "view": pa.array(["a long text that is no inline view"] * 300, pa.string_view()),
        "nested": nested,
        "coded": pa.array(["a", "b", "c"] * 100).dictionary_encode(),
        "runs": pc.run_end_encode(pa.array([1] * 300)),
        "map": pa.array([[("k", 1)]] * 300, pa.map_(pa.string(), pa.int8())),
        "nothing": pa.nulls(300),
        "views": pa.array([[1, 2]] * 300, pa.list_view(pa.int8())),
        "fixed": pa.array([b"1234"] * 300, pa.binary(4)),
        "flag": [True] * 300,
        "length": np.zeros(300),
        "mass": np.zeros(300),
    }
    data = written(pa.table(columns), kind, codec)
    file = reader.open_file(pa.BufferReader(data), WANTED)
    (place,) = file.places
    message = messages.read_message(file.source, place.start, len(data))
    for name in columns:
        foreseen = sizes.decoded_bytes(file.source, message, file.schema, [name])
        batch = file.read_batch(0, [name])
        if name != "coded":  # a dictionary is measured on its own
            assert batch.nbytes <= foreseen <= 3 * batch.get_total_buffer_size() + 64


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_that_takes_too_much_memory_is_rejected(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = pa.table({"id": ["x" * 1000] * 1000, "length": [1.0] * 1000, "mass": [500.0] * 1000})
    data = written(table, kind, "zstd", 900)
    monkeypatch.setattr(reader, "HELD_BYTES", 600_000)
    good, rejects, read = read_all(data)
    assert (read, len(good), len(rejects)) == (1000, 100, 900)
    assert "write it with smaller record batches" in rejects[0].message


def test_dictionaries_that_take_too_much_memory_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ids = pa.array([f"{n}" * 100 for n in range(1000)]).dictionary_encode()
    table = pa.table({"id": ids, "length": [1.0] * 1000, "mass": [500.0] * 1000})
    monkeypatch.setattr(reader, "HELD_BYTES", 100_000)
    with pytest.raises(UnreadableFile, match="its dictionaries take more than"):
        reader.open_file(pa.BufferReader(written(table)), WANTED)


@pytest.mark.parametrize(
    "ids",
    [
        pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int32()), pa.array(["x" * 10_000])),
        pc.run_end_encode(pa.array(["x" * 10_000] * 1000)),
        pa.array(["x" * 10_000] * 1000, pa.string_view()),
    ],
    ids=["dictionary", "runs", "views"],
)
def test_few_bytes_that_stand_for_much_text_are_read_few_rows_at_a_time(ids: pa.Array) -> None:
    data = written(pa.table({"id": ids, "length": [1.0] * 1000, "mass": [500.0] * 1000}))
    file = reader.open_file(pa.BufferReader(data), WANTED)
    size = Sizes(batch_bytes=1 << 20)
    blocks = list(reader.read_record_batches(file, Part(0, 1, 0, 1000), WANTED, size))
    assert sum(block.rows_read for block in blocks) == 1000
    assert max(block.rows_read for block in blocks) <= 105


def test_ordinary_batches_are_read_in_full() -> None:
    data = written(observations(1000))
    file = reader.open_file(pa.BufferReader(data), WANTED)
    assert len(list(reader.read_record_batches(file, Part(0, 1, 0), WANTED, DEFAULT_SIZES))) == 1


@pytest.mark.parametrize("run", ["plain", "small pieces", "by flag"])
def test_the_command_scores_arrow_files_as_it_scores_csv(tmp_path: Path, run: str) -> None:
    model = toy_bundle(tmp_path)
    card = read_card(model)
    folder = tmp_path / "in"
    folder.mkdir()
    values = {f.name: [(f.minimum + f.maximum) / 2] * 200 for f in card.features}
    first = card.feature_names[0]
    table = pa.table({**values, first: [*values[first][:-1], None]})
    suffix = "data" if run == "by flag" else "arrow"
    for kind in KINDS:
        for codec in CODECS:
            name = f"{kind}-{codec}.{suffix}"
            (folder / name).write_bytes(written(table, kind, codec, 50))
    (folder / f"torn.{suffix}").write_bytes(written(table)[:-20])
    (folder / f"empty.{suffix}").write_bytes(b"")
    (folder / f"none.{suffix}").write_bytes(written(table.slice(0, 0), "stream"))
    flags = ("--input", folder, "--model", model, *PLAIN, "--direct_num_workers=1",
             "--max_reject_fraction=1")  # fmt: skip
    if run == "small pieces":
        run_small_pieces(tmp_path / "out", *flags)
    else:
        by_flag = ("--format=arrow",) if run == "by flag" else ()
        assert run_here(tmp_path / "out", *flags, *by_flag) == 0
    found = manifest(tmp_path / "out")["totals"]
    assert (found["files"], found["files_unreadable"]) == (9, 2)
    assert (found["rows_read"], found["rows_scored"]) == (6 * 200, 6 * 199)
    rows = published(tmp_path / "out", "predictions").column("source_row").to_pylist()
    assert rows == [*range(199)] * 6
    rejects = published(tmp_path / "out", "rejects").to_pylist()
    assert sorted(str(r["source_row"]) for r in rejects) == ["199"] * 6 + ["None"] * 2
