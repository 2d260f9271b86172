"""The tables of docs/input.md say what the job does."""

import datetime
import decimal
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from penguin_model import validate
from penguin_model.arrow_text import as_text
from penguin_model.card import Category, read_card
from penguin_model.labels import to_codes
from pipelines import score, storage
from pipelines.errors import UsageError
from pipelines.reading.column_names import match_columns
from pipelines.reading.format_table import SUFFIXES
from pipelines.reading.rows import InputColumns
from pipelines.storage.rubbish import RULES
from pipelines.storage.store import Exclusions
from tests.support.running import PLAIN, PROJECT, run_here
from tests.support.samples import MODEL
from tests.support.wrong_files import write_wrong_files

PAGE = (PROJECT / "docs/input.md").read_text()
HEADER = "CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"
CARD = read_card(str(MODEL))


def rows_of(first_cell: str) -> list[list[str]]:
    """The rows of the table whose header begins with this cell."""
    _, _, after = PAGE.partition(f"\n| {first_cell} |")
    lines = after.split("\n\n")[0].splitlines()[2:]
    assert len(lines) > 5
    return [[cell.strip() for cell in line.strip()[1:-1].split(" |")] for line in lines]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


def code(cell: str) -> str:
    """A cell's one code; an empty cell has none."""
    return (codes(cell) or [""])[0]


def octets(cell: str) -> bytes:
    return code(cell).encode("latin-1").decode("unicode_escape").encode("latin-1")


def test_formats() -> None:
    table = {
        suffix: code(name)
        for ends, name, _ in rows_of("the name ends in")
        for suffix in codes(ends)
    }
    assert table == SUFFIXES


def tree(root: Path) -> None:
    block = re.search(r"```text\n(obs/.*?)```", PAGE, re.DOTALL)
    assert block is not None
    for name in block[1].split("\n"):
        if name:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()


@pytest.mark.parametrize("row", rows_of("`--input`"), ids=lambda row: code(row[0]))
def test_patterns(tmp_path: Path, row: list[str]) -> None:
    tree(tmp_path)
    pattern = f"{tmp_path}/{code(row[0])}"
    if "an error" in row[1]:
        with pytest.raises(UsageError, match="doesn't exist"):
            storage.match(pattern, Exclusions())
        return
    found = storage.match(pattern, Exclusions())
    assert [file.path.removeprefix(f"{tmp_path}/obs/") for file in found.files] == codes(row[1])


def test_ignored_names() -> None:
    rules = [rule for names, _ in rows_of("name") for rule in codes(names)]
    assert sorted(rules) == sorted(rule.replace("\r", "\\r") for rule in RULES)


@pytest.mark.parametrize("row", rows_of("the file's column"), ids=lambda row: row[0])
def test_column_names(row: list[str]) -> None:
    column, name, why = row[0].strip("`"), code(row[1]), row[2]
    found = match_columns([column], InputColumns.of_card(CARD, ()))
    assert found.sources == ({name: column} if name else {})
    assert found.ways == ({name: why} if name else {})


@pytest.mark.parametrize("row", rows_of("label"), ids=lambda row: row[0])
def test_labels(row: list[str]) -> None:
    (found,) = to_codes(pa.array([code(row[0])]), CARD.classes, CARD.class_aliases).tolist()
    assert (CARD.classes[found] if found >= 0 else "none") == row[1].split(":")[0]


def reasons(output: Path) -> Iterator[tuple[str, int | None, str]]:
    for path in sorted(output.rglob("_held/**/rejects/*.parquet")):
        table = pq.read_table(path).select(["source_file", "source_row", "reason"])
        for each in table.to_pylist():
            yield Path(each["source_file"]).name, each["source_row"], each["reason"]


def outcome(row: list[str]) -> str:
    return code(row[1]) if row[1].startswith("rejected") else row[1]


def test_rows(tmp_path: Path) -> None:
    cells = [row[0].strip("`") for row in rows_of("row")]
    data = "\n".join(cells).encode("latin-1").decode("unicode_escape").encode("latin-1")
    (tmp_path / "rows.csv").write_bytes(HEADER.encode() + data)
    assert run_here(tmp_path / "out", *PLAIN, "--input", tmp_path / "rows.csv") == 3
    found = {row: reason for _, row, reason in reasons(tmp_path / "out")}
    expected = [outcome(row) for row in rows_of("row") if not row[1].startswith("not counted")]
    assert [found.get(place, "scored") for place in range(len(expected))] == expected
    assert len(found) == len([each for each in expected if each != "scored"])


def test_files(tmp_path: Path) -> None:
    table = rows_of("the file's bytes")
    (tmp_path / "in").mkdir()
    for place, row in enumerate(table):
        (tmp_path / f"in/{place:02}.csv").write_bytes(octets(row[0]))
    assert run_here(tmp_path / "out", *PLAIN, "--input", tmp_path / "in") == 3
    found = {int(name[:2]): reason for name, row, reason in reasons(tmp_path / "out")}
    assert [found.get(place, "read") for place in range(len(table))] == list(map(outcome, table))


PLACE = Category(name="place", categories=("Biscoe", "Dream", "2007", "NA"))


@pytest.mark.parametrize("row", rows_of("text"), ids=lambda row: row[0])
def test_categories(row: list[str]) -> None:
    column = validate.read_column(pa.array([octets(row[0]).decode()]), PLACE)
    if validate.good_rows([column], [PLACE]) is None:
        assert PLACE.categories[int(column.values[0])] == row[1]
    else:
        assert row[1] == f"rejected, `{validate.explain(0, [column], [PLACE]).reason}`"


VALUES = {
    "text": pa.array(["007"]),
    "integer": pa.array([2**53 + 1]),
    "float64": pa.array([0.1]),
    "decimal": pa.array([decimal.Decimal("0.00000001")]),
    "boolean": pa.array([True]),
    "date": pa.array([datetime.date(2008, 11, 5)]),
    "timestamp in UTC": pa.array(
        [datetime.datetime(2008, 11, 5, 6, 7, 8, 1)], pa.timestamp("us", "UTC")
    ),
    "dictionary of text": pa.array(["Biscoe"]).dictionary_encode(),
    "list": pa.array([[1.5, None, float("nan")]]),
    "struct": pa.array([{"island": "Biscoe", "nest": 7}]),
    "map": pa.array([[("egg", 1)]], pa.map_(pa.string(), pa.int8())),
    "bytes that are UTF-8": pa.array([b"Dream"]),
    "other bytes": pa.array([b"\0\xff"]),
    "null": pa.array([None]),
}


def test_passthrough_types() -> None:
    table = {kind: code(text) or None for kind, text in rows_of("type")}
    assert table == {kind: as_text(values)[0].as_py() for kind, values in VALUES.items()}


def test_the_transcript_of_a_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_wrong_files(tmp_path / "night")
    assert score.main(["--check", "--input", "night"]) == 3
    out, err = capsys.readouterr()
    shown = f"$ penguin-score --check --input night\n{out}{err}".replace(str(tmp_path), "…")
    assert shown in PAGE
