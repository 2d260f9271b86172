"""Labels in the whole job: they measure accuracy and change nothing else."""

import dataclasses
import gzip
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penguin_model import bundle
from penguin_model.card import read_card
from penguin_model.features import normalize
from penguin_model.labels import MISSING, UNKNOWN
from pipelines.reading.column_names import find_columns
from pipelines.reading.csv_files import reader
from pipelines.reading.formats import Part
from pipelines.reading.parquet_files import reader as parquet_spans
from pipelines.reading.rows import InputColumns
from tests.support import samples
from tests.support.reading import LENGTH, MASS, score_ready
from tests.support.running import (
    ONE_WORKER,
    TWO_WORKERS,
    manifest,
    published,
    run_here,
    run_small_pieces,
)
from tests.torture import fuzz

PENGUINS = samples.PROJECT / "data/penguins.csv"
FLAGS = ("--model", samples.MODEL, "--run_id", "test")
CODES = InputColumns(features=(LENGTH, MASS), label="kind", classes=("Ash", "Birch"))

A, B, M, U = 0, 1, MISSING, UNKNOWN


@pytest.fixture(scope="module")
def penguins() -> pd.DataFrame:
    """All rows, the two blank ones as well; `Species` holds codes."""
    return pd.read_csv(PENGUINS)


@pytest.fixture(scope="module")
def expected(penguins: pd.DataFrame) -> dict[str, Any]:
    """What scikit-learn says of the answers of Keras itself."""
    from sklearn import metrics

    classifier = bundle.load(str(samples.MODEL))
    classes, features = classifier.card.classes, classifier.card.features
    birds = penguins.dropna()
    matrix = normalize([birds[each.name].to_numpy(float) for each in features], features)
    answers = classifier.model.predict(matrix, verbose=0).astype(np.float64)
    answers /= answers.sum(axis=1, keepdims=True)
    truth, guessed, known = birds["Species"].to_numpy(), answers.argmax(axis=1), [0, 1, 2]
    recall = metrics.recall_score(truth, guessed, labels=known, average=None)
    return {
        "accuracy": metrics.accuracy_score(truth, guessed),
        "log_loss": metrics.log_loss(truth, answers, labels=known),
        "confusion": metrics.confusion_matrix(truth, guessed, labels=known).tolist(),
        "recall": dict(zip(classes, recall, strict=True)),
    }


def run_night(output: Path, *arguments: object) -> Any:
    """The labels' part of the manifest; nothing but the blank rows is ever rejected."""
    assert run_here(output, *FLAGS, *arguments) == 0
    assert set(manifest(output)["rejects_by_reason"]) <= {"missing_value"}
    return manifest(output)["labels"]


def assert_judged(found: Any, expected: dict[str, Any]) -> None:
    assert (found["rows"], found["unlabelled"], found["unknown"]) == (342, 0, 0)
    assert found["confusion"] == expected["confusion"]
    assert found["accuracy"] == pytest.approx(expected["accuracy"], abs=1e-6)
    assert found["log_loss"] == pytest.approx(expected["log_loss"], rel=1e-4)
    assert found["recall"] == pytest.approx(expected["recall"], abs=1e-6)


def test_a_labelled_night_is_judged_as_by_scikit_learn(
    tmp_path: Path, expected: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = run_night(tmp_path, "--input", PENGUINS)
    assert_judged(found, expected)
    assert found["accuracy"] > 0.98
    error = found["calibration"]["error"]
    assert (
        f"\nlabelled     342  (accuracy {found['accuracy']:.1%}, log-loss {found['log_loss']:.3f}, "
        f"calibration error {error:.3f})\n"
    ) in capsys.readouterr().out


@pytest.mark.parametrize("form", ["csv", "csv.gz", "parquet", "text.parquet", "categories.parquet"])
def test_labels_in_every_format(
    tmp_path: Path, penguins: pd.DataFrame, expected: dict[str, Any], form: str
) -> None:
    names = penguins["Species"].map({0: "Adelie", 1: " gentoo", 2: "CHINSTRAP"})
    path = tmp_path / f"night.{form}"
    if form.endswith("parquet"):
        columns = {"parquet": penguins["Species"], "text.parquet": names}
        frame = penguins.assign(Species=columns.get(form, names.astype("category")))
        frame.to_parquet(path, row_group_size=100)
    else:
        content = penguins.assign(Species=names).to_csv(index=False).encode()
        path.write_bytes(gzip.compress(content) if form == "csv.gz" else content)
    assert_judged(run_night(tmp_path / "out", "--input", path), expected)


@pytest.mark.parametrize("workers", [ONE_WORKER, TWO_WORKERS], ids=["one worker", "two"])
def test_pieces_of_a_labelled_night_are_judged_as_the_whole(
    tmp_path: Path, penguins: pd.DataFrame, expected: dict[str, Any], workers: list[str]
) -> None:
    penguins.to_csv(tmp_path / "a.csv", index=False)
    penguins.to_parquet(tmp_path / "a.parquet", row_group_size=90)
    whole = run_night(tmp_path / "whole", "--input", PENGUINS)
    for name in ("a.csv", "a.parquet"):
        flags = ("--input", tmp_path / name, *FLAGS, *workers)
        found = run_small_pieces(tmp_path / f"out-{name}", *flags)
        assert_judged(found["labels"], expected)
        assert found["labels"]["calibration"] == whole["calibration"]


def test_labels_never_reach_the_model(tmp_path: Path, penguins: pd.DataFrame) -> None:
    folder = tmp_path / "night"
    folder.mkdir()
    night, tables = folder / "night.csv", []
    birds = penguins.dropna()
    turned = birds.assign(Species=(birds["Species"] + 1) % 3)
    for number, frame in enumerate([birds, turned, birds.drop(columns="Species")]):
        frame.to_csv(night, index=False)
        found = run_night(tmp_path / str(number), "--input", folder)
        assert (found is None) == (number == 2)
        tables.append(published(tmp_path / str(number), "predictions"))
    assert tables[0].equals(tables[1])
    assert tables[0].equals(tables[2])
    assert "Species" not in tables[0].column_names


def test_labels_that_say_nothing_cost_no_row(tmp_path: Path, penguins: pd.DataFrame) -> None:
    birds = penguins.dropna().reset_index(drop=True)
    names = birds["Species"].map({0: "Adelie", 1: "1", 2: "2.0"}).astype(object)
    names[:10], names[10:13], names[13] = "", ["?", "Macaroni", "9"], "NA"
    birds.assign(Species=names).to_csv(tmp_path / "a.csv", index=False)
    birds.drop(columns="Species").to_csv(tmp_path / "b.csv", index=False)
    found = run_night(tmp_path / "out", "--input", tmp_path / "*.csv")
    counted = (found["rows"], found["unlabelled"], found["unknown"])
    assert counted == (342 - 14, 342 + 14, 3)
    assert found["accuracy"] > 0.98


def test_a_night_of_labels_that_name_no_class(
    tmp_path: Path, penguins: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    penguins.assign(Species="Macaroni").to_csv(tmp_path / "a.csv", index=False)
    found = run_night(tmp_path / "out", "--input", tmp_path / "a.csv")
    assert (found["rows"], found["unknown"], found["accuracy"]) == (0, 342, None)
    assert "\nlabelled     0\n" in capsys.readouterr().out


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_the_label_may_be_passed_through(
    tmp_path: Path, penguins: pd.DataFrame, expected: dict[str, Any], form: str
) -> None:
    kinds = penguins["Species"].map(dict(enumerate("012")))
    frame = penguins.drop(columns="Species").assign(kind=kinds)
    path = tmp_path / f"a.{form}"
    frame.to_csv(path, index=False) if form == "csv" else frame.to_parquet(path)
    flags = ["--rename", "kind=Species", "--passthrough", "kind"]
    assert_judged(run_night(tmp_path / "out", "--input", path, *flags), expected)
    rows = published(tmp_path / "out", "predictions")
    assert rows["kind"].to_pylist() == frame.dropna()["kind"].tolist()


def read_codes(blocks: Any) -> list[Any]:
    """The codes of all rows, which all are good; None where a chunk has no such column."""
    rows, rejects, _ = score_ready(blocks, CODES)
    assert rejects == []
    return [row[3] if len(row) > 3 else None for row in rows]


def read_csv(text: bytes) -> list[Any]:
    return read_codes(reader.read_csv(pa.BufferReader(text), CODES, block_bytes=1 << 20))


def read_parquet(table: pa.Table, batch_rows: int = 100, damage: Any = bytes) -> list[Any]:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="none")
    data = damage(sink.getvalue().to_pybytes())
    file = parquet_spans.open_file(pa.BufferReader(data), CODES)
    return read_codes(
        parquet_spans.read_row_groups(file, Part(0, 1, 0), CODES, batch_rows=batch_rows)
    )


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (b"length,mass,kind\n1,500,Ash\n1,500,1\n1,500,\n1,500,Elm\n", [A, B, M, U]),
        (b'kind,length,mass\n"birch",1,500\n', [B]),
        (b"kind,length,mass\nAs\xff,1,500\n\xe9,1,500\nAsh,1,500\n", [U, U, A]),
        (b"kind,length,mass\nAs\xff,1, 500\nBirch,1, 5e2 \n", [U, B]),
        (b"kind,length,mass,kind\nAsh,1,500,Birch\n", [None]),
        (b"Kind,length,mass\nAsh,1,500\n", [A]),
        (b"Kind,KIND,length,mass\nAsh,Ash,1,500\n", [None]),
        (b"sort,length,mass\nAsh,1,500\n", [None]),
    ],
    ids=[
        "any",
        "quoted",
        "no UTF-8",
        "no UTF-8, row by row",
        "twice",
        "another case",
        "two cases",
        "another name",
    ],
)
def test_labels_of_a_csv(text: bytes, codes: list[Any]) -> None:
    assert read_csv(text) == codes


def test_labels_stay_with_their_rows() -> None:
    text = b"kind,length,mass\nAsh,1,500\nAsh,,500\nBirch,1,500\nAsh\nElm,x,500\n,1,500\n"
    blocks = reader.read_csv(pa.BufferReader(text), CODES, block_bytes=1 << 20)
    rows, rejects, read = score_ready(blocks, CODES)
    assert [(row[0], row[3]) for row in rows] == [(0, A), (2, B), (5, M)]
    assert ([reject.source_row for reject in rejects], read) == ([1, 3, 4], 6)


def table(kind: pa.Array) -> pa.Table:
    rows = len(kind)
    return pa.table({"length": [1.0] * rows, "mass": [500] * rows, "kind": kind})


@pytest.mark.parametrize(
    ("kind", "codes"),
    [
        (pa.array(["Ash", None, "birch", "Elm", "1"]), [A, M, B, U, B]),
        (pa.array(["Ash", "Birch"]).dictionary_encode(), [A, B]),
        (pa.array([b"a\xff", b"Birch"]).view(pa.string()), [U, B]),
        (pa.array([b"Ash", b"\xff"]), [A, U]),
        (pa.array([1, 0, 7, None], pa.int8()), [B, A, U, M]),
        (pa.array([{"a": 1}, None]), [U, M]),
        (pa.array([[1], None]), [U, M]),
        (pa.nulls(1), [M]),
    ],
    ids=lambda each: str(each.type) if isinstance(each, pa.Array) else "",
)
def test_labels_of_a_parquet_file(kind: pa.Array, codes: list[Any]) -> None:
    assert read_parquet(table(kind)) == codes


def test_a_parquet_file_with_two_label_columns() -> None:
    two = table(pa.array(["Ash"])).append_column("kind", pa.array(["Birch"]))
    assert read_parquet(two) == [None]


@pytest.mark.parametrize("batch_rows", [7, 100])
def test_labels_that_cannot_be_read_are_left_out(batch_rows: int) -> None:
    """The pages of one column are damaged: the rows are scored all the same."""
    rows = 50

    def damage(data: bytes) -> bytes:
        column = pq.ParquetFile(pa.BufferReader(data)).metadata.row_group(0).column(2)
        start = column.dictionary_page_offset or column.data_page_offset
        size = column.total_compressed_size
        return data[:start] + b"\xa5" * size + data[start + size :]

    kind = pa.array(["Ash", "Birch"] * (rows // 2))
    assert read_parquet(table(kind), batch_rows) == [A, B] * (rows // 2)
    assert read_parquet(table(kind), batch_rows, damage) == [None] * rows


@pytest.mark.parametrize("seed", [1129, 1184, 1286, 1681])
def test_damage_that_pyarrow_does_not_see_costs_no_row_twice(seed: int) -> None:
    """Cases that the fuzzer found: a column that ends early, indices without a value."""
    wanted = InputColumns(features=(LENGTH, MASS), label="id", classes=("b1", "b2"))
    data = fuzz.mutate(fuzz.parquet_seed(seed), random.Random(seed))
    file = parquet_spans.open_file(pa.BufferReader(data), wanted)
    part = Part(0, file.num_row_groups, 0)
    for batch_rows in (30, 1000):
        blocks = parquet_spans.read_row_groups(file, part, wanted, batch_rows=batch_rows)
        rows, rejects, read = score_ready(blocks, wanted)
        places = [row[0] for row in rows] + [reject.source_row for reject in rejects]
        assert sorted(places) == list(range(read)) == list(range(file.metadata.num_rows))


def test_a_feature_is_no_label() -> None:
    card = read_card(str(samples.MODEL))
    names = card.feature_names
    assert find_columns([*names, "Species"], InputColumns.of_card(card, ())).read == (
        *names,
        "Species",
    )
    changed = dataclasses.replace(card, label=names[0])
    assert find_columns([*names, "Species"], InputColumns.of_card(changed, ())).read == names
