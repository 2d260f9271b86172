"""The whole job in this process, run in other ways and on other data; `samples` has the oracle."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from penguin_model.card import read_card
from pipelines.reading.settings import Sizes
from tests.support.running import (
    ONE_WORKER,
    PLAIN,
    TWO_WORKERS,
    listing,
    manifest,
    published,
    run_here,
    run_sized,
    run_small_pieces,
    totals,
)
from tests.support.toy import toy_bundle


def made_up(model: Path, rows: int, seed: int = 0) -> pa.Table:
    """Plausible rows for a card, made up; a tenth has a blank."""
    random = np.random.default_rng(seed)
    columns = {"bird": [f"b{n}" for n in range(rows)]}
    for feature in read_card(str(model)).features:
        values = random.uniform(feature.minimum, feature.maximum, rows)
        columns[feature.name] = pa.array(values, mask=random.random(rows) < 0.02)
    return pa.table(columns)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(toy_bundle(tmp_path_factory.mktemp("toy"), features=5, classes=4))


def assert_same_rows(one: pa.Table, two: pa.Table) -> None:
    """Equal but for the last bits: a matrix of other height is multiplied in another order."""
    assert one.schema.equals(two.schema)
    for name in one.column_names:
        if pa.types.is_floating(one.schema.field(name).type):
            first, second = (table.column(name).to_numpy() for table in (one, two))
            np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-9, err_msg=name)
        else:
            assert one.column(name).equals(two.column(name)), name


@pytest.mark.parametrize("workers", [ONE_WORKER, TWO_WORKERS], ids=["one worker", "two"])
def test_csv_equals_parquet_and_pieces_equal_the_whole(
    tmp_path: Path, toy: Path, workers: list[str]
) -> None:
    table = made_up(toy, 1000)
    pq.write_table(table, tmp_path / "rows.parquet", row_group_size=130)
    pa_csv.write_csv(table, tmp_path / "rows.csv")
    common = ("--model", toy, "--passthrough", "bird", *PLAIN)
    tables = {}
    for name in ("rows.parquet", "rows.csv"):
        output = tmp_path / f"out-{name}"
        run_small_pieces(output, "--input", tmp_path / name, *common, *workers)
        tables[name] = published(output, "predictions").drop_columns("source_file")
        counted = manifest(output)["totals"]
        assert counted["rows_read"] == 1000 == counted["rows_scored"] + counted["rows_rejected"]
        rejects = published(output, "rejects")
        blank = [
            n
            for n, row in enumerate(table.drop_columns("bird").to_pylist())
            if None in row.values()
        ]
        assert rejects.column("source_row").to_pylist() == blank
    assert_same_rows(tables["rows.csv"], tables["rows.parquet"])
    assert len(list((output / "predictions/run_id=test").iterdir())) > 2


def test_another_card_scores_through_the_same_pipeline(tmp_path: Path, toy: Path) -> None:
    pq.write_table(made_up(toy, 50), tmp_path / "rows.parquet")
    output = tmp_path / "out"
    assert run_here(output, "--input", tmp_path / "rows.parquet", "--model", toy, *PLAIN) == 0
    card = read_card(str(toy))
    table = published(output, "predictions")
    assert table.column_names == [
        "source_file", "source_row", "species", "probability", *card.probability_columns,
    ]  # fmt: skip
    assert (len(card.features), len(card.classes)) == (5, 4)
    assert set(table.column("species").to_pylist()) <= set(card.classes)
    total = sum(table.column(name).to_numpy() for name in card.probability_columns)
    np.testing.assert_allclose(total, 1, atol=1e-5)


def test_two_workers_publish_what_one_does(
    tmp_path: Path, shipped_model: Path, observations: Path
) -> None:
    outputs = [tmp_path / "one", tmp_path / "two"]
    for output, flags in zip(outputs, (ONE_WORKER, TWO_WORKERS), strict=True):
        common = ("--input", observations, "--model", shipped_model)
        assert run_here(output, *common, *PLAIN, *flags) == 0
    for dataset in ("predictions", "rejects", "files"):
        one, two = (published(output, dataset) for output in outputs)
        assert_same_rows(one, two)
    first, second = (manifest(output) for output in outputs)
    for key in ("totals", "species", "rejects_by_reason"):
        assert first[key] == second[key]


def test_every_shard_has_one_schema_and_says_whose_it_is(tmp_path: Path, toy: Path) -> None:
    for number in range(3):
        pq.write_table(made_up(toy, 200, number), tmp_path / f"{number}.parquet")
    output = tmp_path / "out"
    run_small_pieces(output, "--input", tmp_path / "*.parquet", "--model", toy, *PLAIN)
    schemas = set()
    for shard in (output / "predictions/run_id=test").iterdir():
        file = pq.ParquetFile(shard)
        assert file.metadata.num_rows > 0
        assert file.metadata.metadata[b"run_id"] == b"test"
        assert file.metadata.metadata[b"model_sha256"].decode() == read_card(str(toy)).sha256
        schemas.add(str(file.schema_arrow))
    assert len(schemas) == 1
    whole = published(output, "predictions")
    assert whole.schema.field("species").type == pa.string()
    assert whole.schema.field("source_file").type == pa.string()
    assert whole.schema.field("probability").type == pa.float32()


def test_shards_follow_the_order_of_the_input(tmp_path: Path, toy: Path) -> None:
    for number in range(4):
        pq.write_table(made_up(toy, 30, number), tmp_path / f"{number}.parquet")
    output = tmp_path / "out"
    assert run_here(
        output, "--input", tmp_path / "*.parquet", "--model", toy, *PLAIN, *TWO_WORKERS
    ) == 0  # fmt: skip
    firsts = [
        pq.read_table(shard).column("source_file")[0].as_py()
        for shard in sorted((output / "predictions/run_id=test").iterdir())
    ]
    assert firsts == sorted(firsts)


def test_a_file_that_two_patterns_match_is_read_once(tmp_path: Path, toy: Path) -> None:
    pq.write_table(made_up(toy, 30), tmp_path / "a.parquet")
    output = tmp_path / "out"
    inputs = ("--input", tmp_path / "*.parquet", "--input", tmp_path / "a.parquet")
    assert run_here(output, *inputs, "--model", toy, *PLAIN) == 0
    scored = published(output, "predictions").num_rows
    assert manifest(output)["totals"] == totals(
        files=1, rows_read=30, rows_scored=scored, rows_rejected=30 - scored
    )


def test_relative_patterns_match(
    tmp_path: Path, toy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(made_up(toy, 30), tmp_path / "a.parquet")
    monkeypatch.chdir(tmp_path)
    assert run_here(Path("out"), "--input", "*.parquet", "--model", toy, *PLAIN) == 0
    rows = published(tmp_path / "out", "predictions")
    assert set(rows.column("source_file").to_pylist()) == {str(tmp_path / "a.parquet")}


def test_an_empty_night_publishes_a_zero_row_run(
    tmp_path: Path, toy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert run_here(output, "--input", tmp_path / "*.csv", "--model", toy, *PLAIN) == 0
    assert listing(output) == ["runs/", "runs/test.json"]
    assert manifest(output)["totals"]["rows_read"] == 0
    assert "no file matches" in capsys.readouterr().err


def test_a_large_csv_is_read_in_parallel_with_exact_rows(tmp_path: Path, toy: Path) -> None:
    """Quoted newlines, CRLF and blank lines, in ranges of 300 bytes."""
    card = read_card(str(toy))
    middle = [str((feature.minimum + feature.maximum) / 2) for feature in card.features]
    lines = ['note,"' + '","'.join(card.feature_names) + '"']
    for number in range(200):
        note = f'"row {number}\r\n""quoted"", twice"' if number % 3 else str(number)
        lines.append(",".join([note, *middle]) if number % 10 else f"{number},,,,,")
        lines += [""] * (number % 4)
    (tmp_path / "large.csv").write_bytes("\r\n".join(lines).encode())
    output = tmp_path / "out"
    flags = ("--model", toy, "--passthrough", "note", *PLAIN, *TWO_WORKERS)
    sizes = Sizes(
        small_file_bytes=0, range_bytes=300, block_bytes=500, batch_rows=70, row_group_rows=90
    )
    assert run_sized(sizes, output, "--input", tmp_path / "large.csv", *flags)["totals"] == totals(
        files=1, rows_read=200, rows_scored=180, rows_rejected=20
    )
    rows = published(output, "predictions")
    expected = [n for n in range(200) if n % 10]
    assert rows.column("source_row").to_pylist() == expected
    assert rows.column("note").to_pylist() == [
        f'row {n}\r\n"quoted", twice' if n % 3 else str(n) for n in expected
    ]
    assert published(output, "rejects").column("raw").to_pylist() == [
        f"{n},,,,," for n in range(0, 200, 10)
    ]


def test_a_large_csv_without_its_columns_is_one_reject(tmp_path: Path, toy: Path) -> None:
    (tmp_path / "large.csv").write_text("a,b\n" + "1,2\n" * 500)
    flags = ("--model", toy, "--max_reject_fraction", "1", *PLAIN)
    run_small_pieces(tmp_path / "out", "--input", tmp_path / "large.csv", *flags)
    (reject,) = published(tmp_path / "out", "rejects").to_pylist()
    assert (reject["source_row"], reject["reason"]) == (None, "missing_column")
