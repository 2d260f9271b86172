"""The job on tables whose columns and species go by other names than the model's."""

import re
from pathlib import Path

import pandas as pd
import pytest

from penguin_model.training.penguins import LAB
from tests.support.running import PLAIN, manifest, published, run_here

# The published tables of the same birds: names of the columns, spellings of the species.
TABLES: dict[str, tuple[list[str], list[str]]] = {
    "palmerpenguins": (
        ["bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g", "species"],
        ["Adelie", "Gentoo", "Chinstrap"],
    ),
    "R 4.5": (
        ["bill_len", "bill_dep", "flipper_len", "body_mass", "species"],
        ["Adelie", "Gentoo", "Chinstrap"],
    ),
    "Kaggle": (
        ["culmen_length_mm", "culmen_depth_mm", "flipper_length_mm", "body_mass_g", "species"],
        ["Adélie", "GENTOO", " chinstrap"],
    ),
    "raw": (
        ["Culmen Length (mm)", "Culmen Depth (mm)", "Flipper Length (mm)", "Body Mass (g)",
         "Species"],
        ["Adelie Penguin (Pygoscelis adeliae)", "Gentoo penguin (Pygoscelis papua)",
         "Chinstrap penguin (Pygoscelis antarctica)"],
    ),
    "raw, read by R": (
        ["Culmen.Length..mm.", "Culmen.Depth..mm.", "Flipper.Length..mm.", "Body.Mass..g.",
         "Species"],
        ["Pygoscelis adeliae", "Pygoscelis papua", "Pygoscelis antarcticus"],
    ),
    "by hand": (
        ["Bill Length", "BILL DEPTH", " Flipper  Length ", "bodymass", "SPECIES"],
        ["adelie penguin", "Gentoo Penguin", "Chinstrap Penguin"],
    ),
}  # fmt: skip
BIRDS = [
    (39.1, 18.7, 181.0, 3750.0, 0), (46.1, 13.2, 211.0, 4500.0, 1), (46.5, 17.9, 192.0, 3500.0, 2),
]  # fmt: skip


def test_the_published_tables_are_scored_as_they_are(tmp_path: Path) -> None:
    for number, (names, species) in enumerate(TABLES.values()):
        rows = [(*row, species[code]) for *row, code in BIRDS]
        frame = pd.DataFrame(rows, columns=names)
        frame.to_csv(tmp_path / f"{number}.csv", index=False)
        frame.to_parquet(tmp_path / f"{number}.parquet")
        frame.iloc[:, ::-1].to_feather(tmp_path / f"{number}.feather")
    out = tmp_path / "out"
    assert run_here(out, "--input", tmp_path / "*.*", *PLAIN) == 0
    files = 3 * len(TABLES)
    found = manifest(out)
    assert found["totals"]["rows_scored"] == files * len(BIRDS)
    assert found["labels"]["rows"] == files * len(BIRDS)
    assert (found["labels"]["unknown"], found["labels"]["accuracy"]) == (0, 1.0)
    scored = published(out, "predictions").to_pydict()
    expected = dict(enumerate(LAB.classes))
    found = dict(zip(scored["source_row"], scored["species"], strict=True))
    assert found == expected
    assert scored["species"] == list(LAB.classes) * files


def test_no_alias_is_in_another_unit() -> None:
    for name, aliases in LAB.aliases.items():
        unit = "g" if name == "BodyMass" else "mm"
        for alias in aliases:
            words = {*re.split(r"[\W_]+", alias.lower())}
            assert not words & {"mm", "g", "cm", "m", "in", "kg", "lb"} - {unit}, alias


HEADER = "CulmenLength,CulmenDepth,FlipperLength,BodyMass,bird\n"


def write(folder: Path, name: str, header: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(header + "39.1,18.7,181,3750,n1\n46.1,13.2,211,4500,n2\n")


def test_renamed_columns(tmp_path: Path) -> None:
    write(tmp_path / "in", "a.csv", HEADER)
    write(tmp_path / "in", "b.csv", HEADER.replace("BodyMass", "heft").replace("bird", "id"))
    write(tmp_path / "in", "c.csv", HEADER.replace("BodyMass", "m=1").replace("bird", "ID"))
    flags = ["--rename", "heft=BodyMass", "--rename=m=1=BodyMass", "--rename", "bird = id"]
    out = tmp_path / "out"
    assert run_here(out, "--input", tmp_path / "in", "--passthrough", "id", *flags, *PLAIN) == 0
    assert published(out, "predictions")["id"].to_pylist() == ["n1", "n2"] * 3


def test_both_names_may_have_an_equals_sign(tmp_path: Path) -> None:
    write(tmp_path / "in", "a.csv", HEADER.replace("bird", "x=bird"))
    flags = ["--passthrough", "a=b", "--rename", "x=bird=a=b"]
    assert run_here(tmp_path / "out", "--input", tmp_path / "in", *flags, *PLAIN) == 0
    assert published(tmp_path / "out", "predictions")["a=b"].to_pylist() == ["n1", "n2"]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["heft"], "--rename 'heft' isn't OLD=NEW, such as bill_len=CulmenLength"),
        (["=BodyMass"], "isn't OLD=NEW"),
        (["heft= "], "isn't OLD=NEW"),
        (["heft=bodymass"], "the job reads no column 'bodymass'; did you mean BodyMass?"),
        (["heft=Bodymas"], "did you mean BodyMass?"),
        (["heft=x"], "it is one of CulmenLength, CulmenDepth, FlipperLength, BodyMass, Sp"),
        (["heft=BodyMass", "HEFT =CulmenDepth"], "'HEFT' is renamed twice"),
        (["heft=bird"], "the job reads no column 'bird'"),
    ],
)
def test_a_rename_that_cannot_be_meant(
    flags: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in", "a.csv", HEADER)
    renames = [f"--rename={flag}" for flag in flags]
    assert run_here(tmp_path / "out", "--input", tmp_path / "in", *renames) == 2
    error = capsys.readouterr().err
    assert error.startswith("penguin-score: error: --rename ")
    assert complaint in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_misspelt_column_is_named_with_the_flag_that_helps(tmp_path: Path) -> None:
    write(tmp_path / "in", "a.csv", HEADER)
    write(tmp_path / "in", "b.csv", HEADER.replace("CulmenLength", "CulmenLenght"))
    out = tmp_path / "out"
    assert run_here(out, "--input", tmp_path / "in", "--max_reject_fraction=1", *PLAIN) == 0
    (reject,) = published(out, "rejects").to_pylist()
    assert reject["column"] == "CulmenLength"
    assert reject["message"] == (
        "column CulmenLength is missing; did you mean CulmenLenght (--rename CulmenLenght="
        "CulmenLength)? The file has: CulmenLenght, CulmenDepth, FlipperLength, BodyMass, bird"
    )
    flag = reject["message"].split("(")[1].split(")")[0].split()
    assert run_here(out, "--input", tmp_path / "in", *flag, "--run_id", "again") == 0
