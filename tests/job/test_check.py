"""``--check``: what would be read from each kind of file, and what is wrong with the others."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import score
from pipelines.job import check
from pipelines.reading import checking
from tests.support.running import PLAIN, listing, manifest, run_here
from tests.support.wrong_files import GOOD, write_wrong_files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_wrong_files(tmp_path / "in")
    return tmp_path / "in"


def checked(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    capsys.readouterr()
    code = score.main(["--check", "--summary=json", *map(str, arguments)])
    return code, json.loads(capsys.readouterr().out)


# What the check says of each wrong file: the reason and some of the message.
REFUSED = {
    "empty.csv": ("unreadable_file", "the file is empty"),
    "misspelt.csv": (
        "missing_column", "did you mean CulmenLenght (--rename CulmenLenght=CulmenLength)?",
    ),
    "missing.csv": ("missing_column", "column BodyMass is missing; the file has: id, CulmenLeng"),
    "no_header.csv": ("missing_column", "its first line holds no names: add a header"),
    "notes.docx": ("unreadable_file", "a document; export its table as CSV"),
    "semicolons.csv": (
        "missing_column",
        "its fields are not separated by commas: give --delimiter ';' --decimal ','",
    ),
    "torn.parquet": ("unreadable_file", "not a readable Parquet file"),
    "twice.csv": ("missing_column", "column BodyMass appears twice in the header"),
    "zip.csv": ("unreadable_file", "this is a ZIP archive"),
}  # fmt: skip
READ = {
    "good.csv": ("CulmenLength", "exact", None),
    "utf_16.csv": ("CulmenLength", "exact", None),
    "boolean.parquet": ("CulmenLength", "exact", 2),
    "other_case.csv": ("CULMENLENGTH", "case", None),
    "palmer.feather": ("bill_length_mm", "alias", 2),
}


def test_everything_about_twelve_wrong_files(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = listing(folder.parent)
    code, found = checked(capsys, "--input", folder)
    assert code == 3
    assert listing(folder.parent) == before
    kinds = {Path(kind["example"]).name: kind for kind in found["kinds"]}
    assert kinds.keys() == REFUSED.keys() | READ.keys()
    assert (found["files"], found["files_refused"]) == (15, 9)
    assert {name: kind["files"] for name, kind in kinds.items() if kind["files"] > 1} == {
        "good.csv": 2
    }
    for name, (reason, message) in REFUSED.items():
        assert kinds[name]["reason"] == reason, name
        assert message in kinds[name]["message"], name
    for name, (source, way, rows) in READ.items():
        kind = kinds[name]
        assert (kind["reason"], kind["rows"]) == (None, rows), name
        first, *_ = kind["columns"]
        assert (first["name"], first["source"], first["way"]) == ("CulmenLength", source, way)
    assert kinds["palmer.feather"]["columns"][-1] == {
        "name": "Species", "source": "species", "way": "case", "type": "string", "likely": None,
        "required": False,
    }  # fmt: skip
    assert kinds["twice.csv"]["columns"][3]["way"] == "unclear"
    assert kinds["misspelt.csv"]["columns"][0]["likely"] == "CulmenLenght"
    assert kinds["missing.csv"]["extra"] == ["id", "note"]
    assert kinds["utf_16.csv"]["details"] == "UTF-16"
    assert kinds["boolean.parquet"]["warnings"] == [
        "BodyMass is of type bool: all rows would be rejected, as not_a_number"
    ]


def test_the_text_says_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score.main(["--check", "--input", str(folder)]) == 3
    out, err = capsys.readouterr()
    assert err == (
        "penguin-score: error: 9 of 15 files would be rejected whole; nothing was scored or "
        "written\n"
    )
    assert f"2 files (csv): {folder}/good.csv\n  CulmenLength   from CulmenLength\n" in out
    assert "  BodyMass       from body_mass_g (int64, an alias)\n" in out
    assert "  CulmenLength   from CULMENLENGTH (spelled otherwise)\n" in out
    assert "  CulmenLength   missing (perhaps CulmenLenght)\n" in out
    assert "  Species        none (optional)\n" in out
    assert f"1 file (csv, UTF-16): {folder}/utf_16.csv\n" in out
    assert "  not read: id, note\n" in out
    assert "  warning: BodyMass is of type bool" in out
    for _, message in REFUSED.values():
        assert message in out
    assert out.endswith("\n15 files: 6 would be read, 9 would be rejected whole\n")


def test_the_check_and_the_run_agree(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, found = checked(capsys, "--input", folder)
    out = folder.parent / "out"
    assert run_here(out, "--input", folder, "--max_reject_fraction=1", *PLAIN) == 0
    run = manifest(out)
    assert run["totals"]["files"] == found["files"]
    assert run["totals"]["files_unreadable"] == found["files_refused"]
    whole = sum(kind["files"] for kind in found["kinds"] if kind["reason"] == "missing_column")
    assert run["rejects_by_reason"]["missing_column"] == whole


def test_flags_that_mend_the_files(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inputs = ["--input", folder / "misspelt.csv", "--input", folder / "missing.csv"]
    code, found = checked(
        capsys, *inputs, "--rename=CulmenLenght=CulmenLength", "--rename=note=BodyMass"
    )
    assert (code, found["files_refused"]) == (0, 0)
    ways = {(each["source"], each["way"]) for kind in found["kinds"] for each in kind["columns"]}
    assert {("CulmenLenght", "renamed"), ("note", "renamed")} <= ways
    code, found = checked(
        capsys, "--input", folder / "semicolons.csv", "--delimiter", ";", "--decimal", ","
    )
    assert (code, found["kinds"][0]["details"]) == (0, "separated by semicolons")
    code, found = checked(capsys, "--input", folder / "missing.csv", "--passthrough", "ID")
    assert code == 3
    assert found["kinds"][0]["columns"][0]["source"] == "id"


def test_files_of_one_kind_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(30):
        (tmp_path / f"{number:02}.csv").write_text(GOOD)
    columns = ["CulmenLength", "CulmenDepth", "FlipperLength", "BodyMass"]
    for number in range(1, 4):
        table = pa.table([[1.5] * number] * 4, names=columns)
        pq.write_table(table, tmp_path / f"{number}.parquet")
    code, found = checked(capsys, "--input", tmp_path)
    assert code == 0
    assert [(kind["files"], kind["rows"]) for kind in found["kinds"]] == [(30, None), (3, 6)]
    monkeypatch.setattr(checking, "MOST_KINDS", 1)
    monkeypatch.setattr(check, "_KINDS", 1)
    assert score.main(["--check", "--input", str(tmp_path)]) == 0
    assert "3 files of other kinds, which --summary=json lists" in capsys.readouterr().out


def test_columns_in_the_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for year in (2007, 2008):
        (tmp_path / f"year={year}").mkdir()
        (tmp_path / f"year={year}/a.csv").write_text(GOOD)
    code, found = checked(capsys, "--input", tmp_path, "--passthrough", "year")
    assert code == 0
    (kind,) = found["kinds"]
    assert (kind["files"], kind["columns"][0]["source"], kind["columns"][0]["way"]) == (
        2, "year=", "path",
    )  # fmt: skip


def test_what_cannot_be_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.csv").write_text(GOOD)
    for flags, complaint in {
        ("--input", tmp_path / "nowhere"): "nowhere",
        (): "--input is required",
        ("--input", tmp_path, "--model", "no.keras"): "no such file",
        ("--input", tmp_path, "--rename", "x"): "--rename 'x' isn't OLD=NEW",
        ("--input", tmp_path, "--new_only"): "--new_only with --check needs --output",
    }.items():
        assert score.main(["--check", *map(str, flags)]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert complaint in err


def test_names_are_printable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a\x1b[31m.csv").write_text('"x\x1b[32m",' + GOOD.replace("\n", ",\n"))
    score.main(["--check", "--input", str(tmp_path)])
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
