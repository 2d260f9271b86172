"""`penguin-runs labels`: labels that come later are measured like those of the night itself."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.support.running import run_here
from tests.support.runs import act

Captured = pytest.CaptureFixture[str]
SPECIES = ("Adelie", "Gentoo", "Chinstrap")


@pytest.fixture
def truth(published: Path) -> pd.DataFrame:
    """A label for each prediction: the predicted species, but for every tenth row."""
    shards = sorted((published / "predictions/run_id=golden").glob("*.parquet"))
    frame = pd.concat([pq.ParquetFile(path).read().to_pandas() for path in shards])
    frame = frame[["source_file", "source_row", "observation_id", "species"]].reset_index(drop=True)
    wrong = frame.index % 10 == 0
    frame.loc[wrong, "species"] = frame.loc[wrong, "species"].map(
        dict(zip(SPECIES, (*SPECIES[1:], SPECIES[0]), strict=True))
    )
    return frame.rename(columns={"species": "Species"})


def label(root: Path, *arguments: object) -> int:
    return act(root, "labels", "golden", *arguments)


def measured(root: Path) -> Any:
    return json.loads((root / "runs/golden.json").read_text())


def csv(frame: pd.DataFrame, folder: Path) -> Path:
    frame.to_csv(folder / "labels.csv", index=False)
    return folder / "labels.csv"


def parquet(frame: pd.DataFrame, folder: Path) -> Path:
    frame.to_parquet(folder / "labels.parquet")
    return folder / "labels.parquet"


def zipped(frame: pd.DataFrame, folder: Path) -> Path:
    path = folder / "labels.tsv.gz"
    text = "\ufeff" + frame.to_csv(index=False, sep="\t")
    path.write_bytes(gzip.compress(text.encode()))
    return path


@pytest.mark.parametrize("write", [csv, parquet, zipped])
@pytest.mark.parametrize("key", [None, "observation_id", "Observation_ID"])
def test_labels_are_joined_with_their_predictions(
    published: Path, truth: pd.DataFrame, tmp_path: Path, capsys: Captured,
    write: Callable[[pd.DataFrame, Path], Path], key: str | None,
) -> None:  # fmt: skip
    shuffled = truth.sample(frac=1, random_state=0).iloc[:300]
    flags = ("--key", key) if key else ()
    assert label(published, "--labels", write(shuffled, tmp_path), *flags) == 0
    found = measured(published)
    wrong = int((shuffled.index % 10 == 0).sum())
    assert found["labels"]["rows"] == 300
    assert found["labels"]["unlabelled"] == 42
    assert found["labels"]["accuracy"] == pytest.approx(1 - wrong / 300, abs=1e-6)
    assert re.fullmatch(r"labels from /.*, 2\S+ by \S+@\S+", found["notes"][-1])
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "run golden: 300 rows  (without a label 42)"
    assert out[1].startswith("accuracy ")
    assert out[-1].startswith("next  ")


def test_later_labels_measure_what_the_nights_own_do(
    published: Path, truth: pd.DataFrame, tmp_path: Path, observations: Path
) -> None:
    """The same figures as if the input had had the labels."""
    assert label(published, "--labels", csv(truth, tmp_path)) == 0
    night, known = tmp_path / "night.csv", truth.set_index(["source_file", "source_row"])
    frames = []
    for path in sorted(observations.iterdir()):
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        place = [(str(path), row) for row in range(len(frame))]
        frame["Species"] = known["Species"].reindex(place).to_numpy()
        frames.append(frame)
    pd.concat(frames).to_csv(night, index=False)
    assert run_here(tmp_path / "own", "--input", night, "--run_id", "golden", "--no-progress") == 0
    assert _alike(measured(published)["labels"], measured(tmp_path / "own")["labels"])


def _alike(first: Any, second: Any) -> bool:
    """Equal but for the last digits of what was added up from probabilities."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(_alike(first[k], second[k]) for k in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(_alike, first, second))
    if isinstance(first, float):
        return isinstance(second, float) and abs(first - second) < 1e-5
    return bool(first == second)


def test_spellings_are_those_of_the_job(
    published: Path, truth: pd.DataFrame, tmp_path: Path
) -> None:
    spelled = truth.iloc[:6].copy()
    right = measured(published)["species"]
    assert right
    names = ["ADELIE", " adelie ", "0", "", "NA", "Emu"]
    spelled["label"] = names
    path = csv(spelled.drop(columns="Species"), tmp_path)
    assert label(published, "--labels", path, "--label_column", "LABEL") == 0
    found = measured(published)["labels"]
    assert (found["rows"], found["unknown"]) == (3, 1)


def test_labels_without_a_prediction_are_counted(
    published: Path, truth: pd.DataFrame, tmp_path: Path, capsys: Captured
) -> None:
    others = truth.iloc[:7].assign(source_row=10**6 + truth.index[:7])
    none = truth.iloc[:2].assign(source_file=None)
    path = parquet(pd.concat([truth, others, none]), tmp_path)
    assert label(published, "--labels", path) == 0
    assert "9 labels of the file without a prediction\n" in capsys.readouterr().out


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[[3]]])


@pytest.mark.parametrize(
    ("change", "flags", "words"),
    [
        (twice, [], r"two rows have source_file /\S+, source_row \d+: keep one"),
        (twice, ["--key", "observation_id"], r"two rows have observation_id \S+: keep one"),
        (lambda f: f.drop(columns="Species"), [], "which column has the labels"),
        (lambda f: f.rename(columns={"source_row": "row"}), [], "has no column source_row"),
        (lambda f: f.assign(source_row="x"), [], "source_row isn't a whole number everywhere"),
        (
            lambda f: f.assign(source_file="/x").iloc[:1],
            [],
            "no label, such as that of source_file /x, ",
        ),
        (lambda f: f.assign(Species="Emu").iloc[:0], [], "no label belongs to a prediction"),
        (lambda f: f, ["--key", "observation"], r"carry no such .*only observation_id; did you me"),
        (lambda f: f, ["--label_column", "specie"], "has no column specie; did you mean Species"),
    ],
)
def test_what_cannot_be_joined_is_refused(
    published: Path, truth: pd.DataFrame, tmp_path: Path, capsys: Captured,
    change: Callable[[pd.DataFrame], pd.DataFrame], flags: list[str], words: str,
) -> None:  # fmt: skip
    before = (published / "runs/golden.json").read_bytes()
    path = csv(change(truth), tmp_path)
    assert label(published, "--labels", path, *flags) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert re.search(words, err), err
    assert (published / "runs/golden.json").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.parquet", b"torn"), ("x.csv", b""), ("x.csv", b'a,b\n"1'), ("x.csv.gz", b"\x1f\x8b\x08")],
)
def test_a_file_that_cannot_be_read_is_named(
    published: Path, tmp_path: Path, capsys: Captured, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    assert label(published, "--labels", tmp_path / name) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"{tmp_path}/{name}" in err
    assert label(published, "--labels", tmp_path / "gone.csv") == 2
    assert "No such file" in capsys.readouterr().err


def test_two_predictions_with_one_key_are_refused(
    published: Path, truth: pd.DataFrame, tmp_path: Path, capsys: Captured
) -> None:
    for path in (published / "predictions/run_id=golden").glob("*.parquet"):
        table = pq.ParquetFile(path).read()
        place = table.column_names.index("observation_id")
        column = pa.array(["b1"] * table.num_rows)
        pq.write_table(table.set_column(place, table.field(place), column), path)
    path = csv(truth.iloc[:1].assign(observation_id="b1"), tmp_path)
    assert label(published, "--labels", path, "--key", "observation_id") == 2
    assert "two predictions have observation_id b1: a label needs one" in capsys.readouterr().err
