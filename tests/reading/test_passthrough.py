"""Passthrough columns of every type, however their file is read, and what rejects show of them."""

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.reading.rows import InputColumns
from tests.support.arrow_types import ARRAYS
from tests.support.reading import LENGTH, MASS, in_a_pack, in_spans
from tests.support.running import ONE_WORKER, PLAIN, published, run_here

WANTED = InputColumns(features=(LENGTH, MASS), passthrough=("x",))


def write(table: pa.Table, form: str) -> bytes | None:
    """The bytes of a file; None if the format can't hold the table."""
    sink = io.BytesIO()
    try:
        if form == "parquet":
            pq.write_table(table, sink)
        else:
            opening = pa.ipc.new_file if form == "arrow file" else pa.ipc.new_stream
            with opening(sink, table.schema) as writer:
                writer.write_table(table)
    except (pa.ArrowException, OSError):
        return None
    return sink.getvalue()


@pytest.mark.parametrize("form", ["parquet", "arrow file", "arrow stream"])
@pytest.mark.parametrize("name", ARRAYS)
def test_a_column_of_any_type_is_carried(name: str, form: str) -> None:
    array, texts = ARRAYS[name]
    rows = len(array)
    for mass in ([200.0] * rows, [200.0] * (rows - 1) + [None]):
        columns = {"length": [100.0] * rows, "mass": pa.array(mass, pa.float64()), "x": array}
        data = write(pa.table({**columns, "y": array}), form)
        if data is None:
            pytest.skip(f"no {form} can hold it")
        known = form.split(maxsplit=1)[0]
        found = in_spans(known, data, WANTED, 1 << 30, 1 << 17)
        assert in_spans(known, data, WANTED, 1, 1) == found
        assert in_a_pack([data] * 2, WANTED, known) == [found] * 2
        good = [(row[0], row[1]) for row in found if len(row) == 4]
        expected = [seconds(text) if form == "parquet" else text for text in texts]
        assert good == list(enumerate(expected))[: len(good)]
        assert len(good) == rows - (mass[-1] is None)
        for row in found[len(good) :]:
            shown = json.loads(row[-1], parse_constant=pytest.fail)
            # Of columns that scoring doesn't need, those in runs aren't shown.
            if not name.startswith("ree"):
                assert list(shown) == ["length", "mass", "x", "y"]
                assert shown["x"] == shown["y"]


def seconds(text: str | None) -> str | None:
    """Parquet has no times in seconds, only in milliseconds, and no dates in milliseconds."""
    return SECONDS.get(text, text) if text is not None else None


SECONDS = {
    "00:00:00": "00:00:00.000",
    "00:00:01": "00:00:01.000",
    '["1970-01-01 00:00:01Z"]': '["1970-01-01 00:00:01.000Z"]',
    "<value out of range: 4611686018371200000>": "<value out of range: 1836388031>",
}


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_a_night_of_all_types_is_published(tmp_path: Path, form: str) -> None:
    features = {"CulmenLength": 39.1, "CulmenDepth": 18.7, "FlipperLength": 181, "BodyMass": 3750}
    carried: dict[str, pa.Array] = {}
    for name, (array, _) in ARRAYS.items():
        if write(pa.table({"x": array}), f"{form} file".replace("parquet file", form)):
            carried[name] = array
    flags: list[object] = [flag for name in carried for flag in ("--passthrough", name)]
    table = pa.table({**{name: [value] * 3 for name, value in features.items()}, **carried})
    data = write(table, "parquet" if form == "parquet" else "arrow file")
    assert data is not None
    for number in range(2):
        (tmp_path / f"{number}.{form}").write_bytes(data)
    flags += ["--input", tmp_path / f"*.{form}", *PLAIN, *ONE_WORKER]
    with contextlib.redirect_stdout(io.StringIO()):
        assert run_here(tmp_path / "out", *flags) == 0
    found: Any = published(tmp_path / "out", "predictions")
    for name in carried:
        expected = ARRAYS[name][1]
        texts = [seconds(text) if form == "parquet" else text for text in expected]
        assert found.column(name).to_pylist() == texts * 2, name


@pytest.mark.parametrize("form", ["parquet", "arrow file", "arrow stream"])
def test_columns_of_one_name_are_both_shown(form: str) -> None:
    twice = [pa.array([n, n]) for n in range(4)]
    table = pa.Table.from_arrays(
        [pa.array([1.0, None]), *twice, pa.array([200, 200])],
        ["length", "note", "note", "x", "note", "mass"],
    )
    data = write(table, form)
    assert data is not None
    reject: Any = in_spans(form.split(maxsplit=1)[0], data, WANTED, 1 << 30, 1 << 17)[1]
    assert json.loads(reject[-1]) == {
        "length": None, "note": 0, "note (2)": 1, "x": 2, "note (3)": 3, "mass": 200,
    }  # fmt: skip


@pytest.mark.parametrize("form", ["parquet", "arrow file"])
def test_a_name_with_a_dot_is_one_column(form: str) -> None:
    wanted = InputColumns(features=(LENGTH, MASS), passthrough=("a.b", "a"))
    columns = {"length": [1.0], "mass": [200], "a": [{"b": 1}], "a.b": ["own"]}
    data = write(pa.table(columns), form)
    assert data is not None
    for outcome in (
        in_spans(form.split(maxsplit=1)[0], data, wanted, 1 << 30, 1 << 17),
        in_a_pack([data], wanted, form.split(maxsplit=1)[0])[0],
    ):
        assert outcome == [(0, "own", '{"b": 1}', 1.0, 200.0)]
