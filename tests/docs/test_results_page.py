"""docs/results.md: every block runs on the page's own nights, and the libraries agree."""

import contextlib
import functools
import io
import os
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipelines import score
from tests.support.running import PROJECT

duckdb = pytest.importorskip("duckdb")
polars = pytest.importorskip("polars")

PAGE = (PROJECT / "docs/results.md").read_text()
ANSWERS = ("night", "latest", "current", "twice", "joined", "reasons", "ledger")


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S)
    return found


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def make_nights(folder: Path) -> None:
    """Does what the page's first block shows."""
    (console,) = blocks(PAGE.partition("\n## ")[0], "console")
    shown, alias, *nights = re.split(r"^\$ ", console, flags=re.M)[1:]
    (folder / "late.csv").write_text(shown.partition("\n")[2])
    program, *flags = shlex.split(alias.partition("=")[2])[0].split()
    assert program == "penguin-score"
    for night in nights:
        assert score.main([*flags, *shlex.split(night)[1:]]) == 0


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The working directory, with the page's nights in it."""
    folder = tmp_path_factory.mktemp("a station")
    for name in ("data", "models"):
        (folder / name).symlink_to(PROJECT / name)
    with contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        make_nights(folder)
        yield folder


def run_python(title: str) -> dict[str, Any]:
    """Runs a section's block, checks what it prints, and gives its variables."""
    (code,), (expected,) = blocks(section(title), "python"), blocks(section(title), "text") or [""]
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, f"docs/results.md, {title}", "exec"), names)
    assert printed.getvalue() == expected
    return names


def as_frame(answer: Any) -> pd.DataFrame:
    answer = answer.collect() if isinstance(answer, polars.LazyFrame) else answer
    return answer if isinstance(answer, pd.DataFrame) else answer.to_pandas()


@functools.cache
def answers(title: str) -> dict[str, pd.DataFrame]:
    if title != "DuckDB":
        names = run_python(title)
        return {name: as_frame(names[name]) for name in ANSWERS}
    (code,) = blocks(section(title), "sql")
    with duckdb.connect() as connection:
        for statement in filter(str.strip, code.split(";")):
            connection.execute(statement)
        return {name: connection.execute(f"SELECT * FROM {name}").fetch_df() for name in ANSWERS}


def comparable(frame: pd.DataFrame, columns: list[str]) -> list[tuple[Any, ...]]:
    """The rows in one order; numbers with six digits."""
    rows = (
        tuple(f"{value:.6g}" if isinstance(value, float) else str(value) for value in row)
        for row in frame[columns].itertuples(index=False)
    )
    return sorted(rows)


@pytest.mark.parametrize("title", ["pyarrow", "DuckDB", "Polars"])
@pytest.mark.usefixtures("station")
def test_the_answers_are_those_of_pandas(title: str) -> None:
    for name in ANSWERS:
        expected, got = answers("pandas")[name], answers(title)[name]
        # One run needs no column that names it; observations bring what columns they have.
        columns = [column for column in expected if column in got and column != "run_id"]
        columns += ["run_id"] if "run_id" in expected and "run_id" in got else []
        assert len(columns) >= (1 if name == "twice" else 2)
        assert comparable(got, columns) == comparable(expected, columns), name


@pytest.mark.usefixtures("station")
def test_the_answers_are_right(station: Path) -> None:
    found = answers("pandas")
    assert {name: len(found[name]) for name in ANSWERS} == {
        "night": 109, "latest": 45, "current": 343, "twice": 0, "joined": 343, "reasons": 4,
        "ledger": 10,
    }  # fmt: skip
    current, joined = found["current"], found["joined"]
    assert current["observation_id"].is_unique
    again = current["source_file"] == str(station / "data/observations/biscoe-2007.csv")
    assert (again.sum(), set(current[again]["run_id"])) == (44, {"night3"})
    assert set(found["latest"]["run_id"].astype(str)) == {"night3"}
    assert joined["FlipperLength"].notna().all()
    # Beside its observation: flippers of Gentoos are the longest.
    means = joined.groupby("species")["FlipperLength"].mean()
    assert means.idxmax() == "Gentoo"
    place = joined.set_index("observation_id").loc["late-001"]
    assert (place["FlipperLength"], place["run_id"]) == (181, "night3")
    assert found["ledger"].set_index("source_file")["times"].to_dict() == {
        os.fspath(path): 2 if path.name == "biscoe-2007.csv" else 1
        for path in [*(station / "data/observations").iterdir(), station / "late.csv"]
    }


def test_no_join_counts_rows() -> None:
    """Readers disagree on what a row is, so pairs found by number may be of two birds."""
    for title in ("pandas", "pyarrow", "DuckDB", "Polars"):
        assert "source_row" not in section(title)
        assert "row_number" not in section(title)


@pytest.mark.parametrize("title", ["pandas", "pyarrow", "DuckDB", "Polars"])
@pytest.mark.usefixtures("station")
def test_each_prediction_is_beside_its_own_observation(title: str) -> None:
    joined = answers(title)["joined"]
    plain = pd.concat(
        pd.read_csv(path) if ".csv" in path.name else pd.read_parquet(path)
        for path in [*Path("data/observations").iterdir(), Path("late.csv")]
    )
    expected = plain.set_index("observation_id")["FlipperLength"].to_dict()
    found = joined.set_index("observation_id")["FlipperLength"].astype(float).to_dict()
    assert len(found) == len(joined) == 343
    for name, length in found.items():
        # A spelling with a decimal comma is read by none of them, and isn't scored.
        assert float(expected[name]) == length


@pytest.mark.usefixtures("station")
def test_a_file_whose_rows_are_all_rejected_now_has_no_predictions(station: Path) -> None:
    """The reason why the newest run of a file is sought in `files`. Comes late: it adds a night."""
    header = "observation_id,CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"
    (station / "late.csv").write_text(header + "late-001,,,,\n")
    flags = ["--output", "out", "--passthrough", "observation_id", "--run_id", "night4"]
    assert score.main([*flags, "--input", "late.csv", "--max_reject_fraction", "1"]) == 0
    names: dict[str, Any] = {}
    (code,) = blocks(section("pandas"), "python")
    exec(code, names)
    assert len(names["latest"]) == 0
    assert len(names["current"]) == 342


@pytest.mark.usefixtures("station")
def test_an_id_that_comes_twice(station: Path) -> None:
    """It is found, and does what the page says: it stops the join, or multiplies rows."""
    header = "observation_id,CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"
    rows = "007,39.1,18.7,181,3750\n\n007,46.1,13.2,211,4500\n8,39.1,18.7,181,3750\n"
    (station / "late.csv").write_text(header + rows)
    flags = ["--output", "out", "--passthrough", "observation_id", "--run_id", "night5"]
    assert score.main([*flags, "--input", "late.csv"]) == 0
    stops = {"pandas": pd.errors.MergeError, "Polars": polars.exceptions.ComputeError}
    for title in ("pandas", "pyarrow", "Polars"):
        names: dict[str, Any] = {}
        (code,) = blocks(section(title), "python")
        stop = pytest.raises(stops[title]) if title in stops else contextlib.nullcontext()
        with contextlib.redirect_stdout(io.StringIO()), stop:
            exec(code, names)
            joined = as_frame(names["joined"])
            assert joined["observation_id"].tolist().count("007") == 4
        assert as_frame(names["twice"])["observation_id"].tolist() == ["007"]
    (code,) = blocks(section("DuckDB"), "sql")
    with duckdb.connect() as connection:
        for statement in filter(str.strip, code.split(";")):
            connection.execute(statement)
        assert connection.execute("FROM twice").fetchall() == [("007",)]
        query = "SELECT count(*) FROM joined WHERE observation_id = '007'"
        assert connection.execute(query).fetchall() == [(4,)]
