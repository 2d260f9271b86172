"""The committed data: what the README of data/ says of them."""

import csv
import gzip
import hashlib
import io
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

MEASURED = ["CulmenLength", "CulmenDepth", "FlipperLength", "BodyMass"]


@pytest.fixture(scope="module")
def penguins(project: Path) -> list[list[str]]:
    with open(project / "data/penguins.csv", encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


@pytest.fixture(scope="module")
def samples(observations: Path) -> dict[str, pa.Table]:
    tables = {}
    for path in sorted(observations.iterdir()):
        if path.suffix == ".parquet":
            tables[path.name] = pq.ParquetFile(path).read()
        else:
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            tables[path.name] = pa_csv.read_csv(io.BytesIO(data))
    return tables


def test_penguins(penguins: list[list[str]]) -> None:
    header, *rows = penguins
    assert header == [*MEASURED, "Species"]
    assert len(rows) == 344
    assert rows[0] == ["39.1", "18.7", "181", "3750", "0"]
    assert Counter(row[4] for row in rows) == {"0": 152, "1": 124, "2": 68}
    blank = [index for index, row in enumerate(rows) if "" in row]
    assert blank == [3, 271]
    assert [rows[index] for index in blank] == [["", "", "", "", "0"], ["", "", "", "", "1"]]


def test_penguins_by_sex(project: Path, penguins: list[list[str]]) -> None:
    with open(project / "data/penguins-by-sex.csv", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["Island", "Sex", *MEASURED, "Species"]
    names = ("Adelie", "Gentoo", "Chinstrap")
    assert [[*row[2:6], str(names.index(row[6]))] for row in rows] == penguins[1:]
    assert Counter(row[0] for row in rows) == {"Biscoe": 168, "Dream": 124, "Torgersen": 52}
    assert Counter(row[1] for row in rows) == {"male": 168, "female": 165, "": 11}


@pytest.mark.parametrize("name", ["penguins.csv", "penguins-by-sex.csv"])
def test_penguins_bytes(name: str, project: Path) -> None:
    data = (project / "data" / name).read_bytes()
    assert b"\r" not in data
    assert data.endswith(b"\n")
    assert hashlib.sha256(data).hexdigest() in (project / "data/README.md").read_text()


def test_samples_come_in_every_format(samples: dict[str, pa.Table]) -> None:
    kinds = Counter(name.partition(".")[2] for name in samples)
    assert kinds == {"csv": 5, "csv.gz": 1, "parquet": 3}
    assert len({tuple(table.column_names) for table in samples.values()}) >= 3
    stored = {str(t.field("BodyMass").type) for n, t in samples.items() if n.endswith("parquet")}
    assert stored == {"double", "int32", "int64"}


def test_samples_differ_as_files_do(observations: Path) -> None:
    assert b'"dream-2007-001"' in (observations / "dream-2007.csv").read_bytes()
    assert (observations / "torgersen-2009.csv").read_bytes().count(b"\r\n") == 17
    # No file name and no time in the gzip header, so the same rows give the same bytes.
    assert (observations / "biscoe-2009.csv.gz").read_bytes()[3:8] == bytes(5)


def test_samples_hold_every_bird_once(
    samples: dict[str, pa.Table], penguins: list[list[str]]
) -> None:
    ids = [each for table in samples.values() for each in table["observation_id"].to_pylist()]
    assert len(ids) == len(set(ids)) == 344
    assert "torgersen-2007-003" in ids
    assert all("Species" not in table.column_names for table in samples.values())
    birds = Counter(
        tuple(None if value is None else round(float(value), 4) for value in row)
        for table in samples.values()
        for row in zip(*(table[name].to_pylist() for name in MEASURED), strict=True)
    )
    expected = Counter(
        tuple(float(value) if value else None for value in row[:4]) for row in penguins[1:]
    )
    assert birds == expected
    assert birds[(None,) * 4] == 2
    blank = {name for name, table in samples.items() if table["BodyMass"].null_count}
    assert blank == {"biscoe-2009.csv.gz", "torgersen-2007.csv"}


def test_the_readme_names_every_file_with_its_rows(
    samples: dict[str, pa.Table], project: Path
) -> None:
    readme = (project / "data/README.md").read_text()
    for name, table in samples.items():
        assert f"| `{name}` | {len(table)} |" in readme
