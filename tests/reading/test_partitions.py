"""Values from the folders of a path, as Hive, Spark and Arrow write partitions."""

from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pa_dataset
import pytest

from pipelines.reading.partitions import partition_values
from tests.support.running import PLAIN, manifest, published, run_here, run_small_pieces
from tests.support.wrong_files import COLUMNS, GOOD, HEADER


@pytest.mark.parametrize(
    ("path", "values"),
    [
        ("/data/year=2007/part-0.parquet", {"year": "2007"}),
        ("/data/year=2007/island=Biscoe%20N/a.csv", {"year": "2007", "island": "Biscoe N"}),
        ("s3://b/a%3Db=1%2F2/x.csv", {"a=b": "1/2"}),
        ("/data/year=__HIVE_DEFAULT_PARTITION__/a.csv", {"year": None}),
        ("/data/year=/a.csv", {"year": ""}),
        ("/data/year=1/year=2/a.csv", {"year": "2"}),
        ("/data/a=b=c/a.csv", {"a": "b=c"}),
        ("/data/=1/year/a=1.csv", {}),
        ("/data/%ff=x/a.csv", {"\ufffd": "x"}),
        ("year=1", {}),
    ],
)
def test_values_of_a_path(path: str, values: dict[str, str | None]) -> None:
    assert partition_values(path) == values


def test_partitions_are_passed_through(tmp_path: Path) -> None:
    """From files alone and together, of every format; a file's own column wins."""
    table = pa.table(COLUMNS | {"year": [2007, 2008], "Site name": ["A b", None]})
    partitions = pa_dataset.partitioning(
        pa.schema([("year", pa.int64()), ("Site name", pa.string())]), flavor="hive"
    )
    for form in ("parquet", "feather", "csv"):
        pa_dataset.write_dataset(
            table, tmp_path / "in" / form, format=form, partitioning=partitions
        )
    own = tmp_path / "in/YEAR=1999/Site name=x"
    own.mkdir(parents=True)
    (own / "a.csv").write_text(f"{HEADER},year\n39.1,18.7,181,3750,2020\n")
    (own / "b.csv").write_text(GOOD)
    flags = ["--input", tmp_path / "in", "--passthrough", "year", "--passthrough", "Site name"]
    expected = [
        ("1999", "x"), ("1999", "x"), ("2007", "A b"), ("2007", "A b"), ("2007", "A b"),
        ("2008", None), ("2008", None), ("2008", None), ("2020", "x"),
    ]  # fmt: skip
    together, alone = tmp_path / "together", tmp_path / "alone"
    assert run_here(together, *flags, *PLAIN) == 0
    run_small_pieces(alone, *flags, *PLAIN)
    for out in (together, alone):
        assert manifest(out)["totals"]["rows_rejected"] == 0
        scored = published(out, "predictions")
        found = zip(scored["year"].to_pylist(), scored["Site name"].to_pylist(), strict=True)
        assert sorted(found, key=str) == expected


def test_labels_from_a_path_and_never_features(tmp_path: Path) -> None:
    for name in ("Adelie", "Gentoo penguin", "Chinstrap"):
        folder = tmp_path / f"in/species={name.replace(' ', '%20')}"
        folder.mkdir(parents=True)
        (folder / "a.csv").write_text(GOOD)
    missing = tmp_path / "in/BodyMass=3750"
    missing.mkdir()
    (missing / "a.csv").write_text(GOOD.replace("BodyMass", "note"))
    out = tmp_path / "out"
    assert run_here(out, "--input", tmp_path / "in", *PLAIN, "--max_reject_fraction=0.5") == 0
    (reject,) = published(out, "rejects").to_pylist()
    assert (reject["reason"], reject["column"]) == ("missing_column", "BodyMass")
    found = manifest(out)["labels"]
    assert (found["rows"], found["unknown"], found["accuracy"]) == (6, 0, pytest.approx(1 / 3))
