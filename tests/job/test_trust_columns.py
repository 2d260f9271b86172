"""The columns that say how far to trust a row, from the command to the published files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from penguin_model.names import fold
from penguin_model.trust import Sets
from pipelines.datasets import schemas
from pipelines.job.options import parse_arguments
from pipelines.monitoring.trust import write_sets
from tests.support.running import (
    ONE_WORKER,
    PLAIN,
    TWO_WORKERS,
    manifest,
    published,
    run_here,
    run_small_pieces,
)  # fmt: skip
from tests.support.trusted import copy_model, trusted_card, untrusted_card

COLUMNS = ["novelty", "out_of_distribution", "species_set"]


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_model(tmp_path_factory.mktemp("trusted"), trusted_card())


def test_columns_follow_the_probabilities(
    trusted: Path, observations: Path, tmp_path: Path
) -> None:
    card = trusted_card()
    assert card.trust is not None
    assert run_here(tmp_path, "--input", observations, "--model", trusted, *PLAIN) == 0
    table = published(tmp_path, "predictions")
    assert table.column_names[-6:] == [*card.probability_columns, *COLUMNS]
    assert [table.schema.field(name).type for name in COLUMNS] == [
        pa.float32(), pa.bool_(), pa.string()
    ]  # fmt: skip
    frame = table.to_pandas()
    sets = frame["species_set"].map(json.loads)
    assert (frame["out_of_distribution"] == (frame["novelty"] > card.trust.novelty_limit)).all()
    assert (sets.map(lambda each: each[0]) == frame["species"]).all()
    # A sure answer stands alone, an unsure one doesn't.
    assert (sets[frame["probability"] > 0.99].map(len) == 1).all()
    assert (sets[frame["probability"] < 0.9].map(len) > 1).all()
    known = manifest(tmp_path)
    ambiguous, far = int((sets.map(len) > 1).sum()), int(frame["out_of_distribution"].sum())
    assert 0 < ambiguous < 60
    assert known["trust"] == {
        "rows": 342, "out_of_distribution": far, "ambiguous": ambiguous, "coverage": 0.95
    }  # fmt: skip
    histogram = known["histograms"]["novelty"]
    found = np.searchsorted(histogram["edges"], frame["novelty"].to_numpy(float), side="right")
    assert np.bincount(found, minlength=len(histogram["counts"])).tolist() == histogram["counts"]


def test_birds_that_nobody_has_seen_are_told_apart(trusted: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    raw = {
        each.name: random.uniform(each.minimum, each.maximum, 2000)
        for each in trusted_card().features
    }
    night = tmp_path / "night.parquet"
    pd.DataFrame(raw).to_parquet(night)
    assert run_here(tmp_path / "out", "--input", night, "--model", trusted, *PLAIN) == 0
    assert manifest(tmp_path / "out")["trust"]["out_of_distribution"] > 0.95 * 2000


def test_the_pieces_make_no_difference(trusted: Path, observations: Path, tmp_path: Path) -> None:
    flags = ("--input", observations, "--model", trusted, *PLAIN)
    assert run_here(tmp_path / "whole", *flags, *ONE_WORKER) == 0
    parts = run_small_pieces(tmp_path / "parts", *flags, *TWO_WORKERS)
    assert parts["trust"] == manifest(tmp_path / "whole")["trust"]
    assert parts["histograms"]["novelty"] == manifest(tmp_path / "whole")["histograms"]["novelty"]
    whole, pieces = (published(tmp_path / name, "predictions") for name in ("whole", "parts"))
    for name in ("out_of_distribution", "species_set"):
        assert whole.column(name).to_pylist() == pieces.column(name).to_pylist()
    np.testing.assert_allclose(whole.column("novelty"), pieces.column("novelty"), rtol=1e-5)


def test_more_coverage_makes_larger_sets(
    trusted: Path, observations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = []
    for coverage in ("0.5", "0.99", "0.9999"):
        flags = ("--input", observations, "--model", trusted, "--run_id", f"c{coverage}")
        assert run_here(tmp_path, *flags, f"--coverage={coverage}") == 0
        known = manifest(tmp_path, f"c{coverage}")["trust"]
        assert known["coverage"] == float(coverage)
        found.append(known["ambiguous"])
        line = f"out of distribution, {known['ambiguous']} ambiguous  (coverage {coverage})"
        assert line in capsys.readouterr().out
    assert found == sorted(found)
    # 103 held-out birds can't promise 0.9999, so no species is ruled out.
    assert found[-1] == 342


def test_a_card_without_the_numbers_leaves_the_columns_out(
    observations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = copy_model(tmp_path, untrusted_card())
    out = tmp_path / "out"
    # Then a passthrough column may have such a name.
    night = tmp_path / "night.csv"
    night.write_text(
        "novelty,CulmenLength,CulmenDepth,FlipperLength,BodyMass\nno,39.1,18.7,181,3750\n"
    )
    flags = ("--input", night, "--model", model, "--passthrough", "novelty", *PLAIN)
    assert run_here(out, *flags) == 0
    said = capsys.readouterr()
    assert "trust" not in said.out
    table = published(out, "predictions")
    assert table.column_names[-1] == "probability_chinstrap"
    assert table.column("novelty").to_pylist() == ["no"]
    assert manifest(out)["trust"] is None
    assert manifest(out)["histograms"]["novelty"] is None
    assert run_here(out, *flags, "--replace", "--coverage", "0.9") == 2
    assert f"--coverage: the card of {model} has no trust" in capsys.readouterr().err


@pytest.mark.parametrize("name", [*COLUMNS, "Novelty", " SPECIES_SET "])
def test_a_passthrough_column_cannot_have_their_names(
    name: str, trusted: Path, observations: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ("--input", observations, "--model", trusted, "--passthrough", name, *PLAIN)
    assert run_here(tmp_path, *flags) == 2
    assert f"the predictions have a column {fold(name)} already" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "1", "-0.1", "1.01", "nan", "inf", "1e400", "95%", "0,95"])
def test_a_coverage_is_a_share(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments("penguin-score", ["--coverage", value])
    assert ended.value.code == 2
    assert "is not a share above 0 and below 1, such as 0.95" in capsys.readouterr().err


def test_an_empty_night_has_no_line_of_them(
    trusted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(tmp_path, "--input", tmp_path / "none*", "--model", trusted, *PLAIN) == 0
    assert manifest(tmp_path)["trust"] == {
        "rows": 0, "out_of_distribution": 0, "ambiguous": 0, "coverage": 0.95
    }  # fmt: skip
    assert "ambiguous" not in capsys.readouterr().out


def test_any_names_can_be_read_back_from_a_set() -> None:
    names = ['a", "b', "a", "b", "é|,", "\\"]
    sets = [(0,), (1,), (2, 1), (3, 4, 0), (4, 3)]
    codes = np.array([3, 1, 4, 0, 2, 2], np.int32)
    found = write_sets(Sets(codes, sets, 0), names)
    expected = [[names[index] for index in sets[code]] for code in codes]
    assert [json.loads(text) for text in found.to_pylist()] == expected
    assert found.type == schemas.predictions((), trusted_card()).field("species_set").type
