"""Drift in the whole job: the manifest, which runs are held, and what is compared."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_model import bundle
from penguin_model.card import ModelCard, read_card
from penguin_model.features import normalize
from penguin_model.training import dataset, evaluation
from pipelines.counts.figures import add_up
from pipelines.datasets import schemas
from pipelines.monitoring import histograms
from pipelines.reading.settings import Sizes
from pipelines.report import page
from pipelines.report.data import gather
from pipelines.scoring.transforms import NormalizeFn
from tests.support import samples
from tests.support.running import (
    listing,
    manifest,
    published,
    run_here,
    run_sized,
    run_small_pieces,
)
from tests.support.toy import toy_bundle
from tests.support.trusted import copy_model, trusted_card

NIGHT_ROWS = 342
ROW = st.integers(1, 40)


def write_birds(path: Path, species: str | None = None, rows: int = NIGHT_ROWS) -> Path:
    """Real birds drawn at random, of one species or of all."""
    data = dataset.load(str(samples.PROJECT / "data/penguins.csv"))
    everybody = data.rows
    raw = everybody.raw
    if species:
        raw = raw[everybody.labels == data.recipe.classes.index(species)]
    drawn = raw[np.random.default_rng(0).integers(0, len(raw), rows)]
    pd.DataFrame(drawn, columns=list(card().feature_names)).to_csv(path, index=False)
    return path


def card() -> ModelCard:
    return read_card(str(samples.MODEL))


@pytest.fixture
def gentoos(tmp_path: Path) -> Path:
    return write_birds(tmp_path / "gentoos.csv", "Gentoo")


def run_night(output: Path, night: Path, run_id: str, *flags: object) -> int:
    arguments = ("--input", night, "--model", samples.MODEL, "--run_id", run_id, *flags)
    return run_here(output, *arguments)


def test_the_samples_have_histograms_and_drift(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_here(tmp_path, *samples.FLAGS, "--max_drift", "0.2") == 0
    found = manifest(tmp_path, samples.RUN_ID)
    frame = pd.concat(
        pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        for path in samples.OBSERVATIONS.iterdir()
    ).dropna(subset=list(card().feature_names))
    reference = card().reference
    assert reference is not None
    counted = histograms.from_json(found["histograms"])
    for name, each in reference.features.items():
        assert counted.features[name] == evaluation.histogram(frame[name].to_numpy(), each.edges)
    best = published(tmp_path, "predictions", samples.RUN_ID)["probability"].to_numpy()
    assert counted.probability == evaluation.histogram(best, reference.probability.edges)
    assert counted.classes == found["species"]
    assert found["labels"] is None
    drift = found["drift"]
    names = {*histograms.by_name(reference), "species"}
    assert (drift["score"], drift["max_drift"], drift["drifted"]) == (0, 0.2, [])
    assert (set(drift["training"]), drift["baseline"], drift["baseline_runs"]) == (names, None, [])
    assert drift["rule"] == "chance"
    assert all(each["rows"] == 342 for each in drift["training"].values())
    assert "\ndrift        none beyond chance\n" in capsys.readouterr().out


def test_a_drifted_night_is_held(
    tmp_path: Path, gentoos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    assert run_night(output, gentoos, "n1", "--max_drift", "0.2") == 4
    out, err = capsys.readouterr()
    assert "n1 (held)" in out
    assert err.count("\n") == 1
    assert err.startswith("penguin-score: error: the data have drifted: PSI species ")
    assert " against training" in err
    assert err.endswith(
        "more than --max_drift 0.2; nothing is published, the details are in "
        f"{output / '_held/n1'}\n"
    )
    held = output / "_held/n1"
    assert listing(output) == sorted(
        ["_held/", "_held/n1/", *(f"_held/n1/{name}/" for name in ("files", "predictions"))]
        + [f"_held/n1/{name}/part-00000.parquet" for name in ("files", "predictions")]
        + ["_held/n1/manifest.json"]
    )
    assert pq.read_table(held / "predictions").num_rows == NIGHT_ROWS
    written = json.loads((held / "manifest.json").read_text())
    assert (written["status"], written["drift"]["max_drift"]) == ("held", 0.2)
    assert set(written["drift"]["drifted"]) >= {*card().feature_names, "species"}


def test_without_a_limit_a_drifted_night_is_published_and_named(
    tmp_path: Path, gentoos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_night(tmp_path / "out", gentoos, "n1") == 0
    drift = manifest(tmp_path / "out", "n1")["drift"]
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("drift"))
    names = ", ".join(drift["drifted"])
    assert line == f"drift        PSI {drift['score']:.2f} beyond chance  ({names})"
    assert {"species", *card().feature_names} <= set(drift["drifted"])
    assert (drift["max_drift"], drift["score"] > 1) == (None, True)


def baseline_of(output: Path, run_id: str) -> list[str]:
    runs: list[str] = manifest(output, run_id)["drift"]["baseline_runs"]
    return runs


def test_a_night_is_compared_with_the_nights_before(
    tmp_path: Path, gentoos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output, everybody = tmp_path / "out", write_birds(tmp_path / "everybody.csv")
    few = write_birds(tmp_path / "few.csv", rows=29)
    limit = ("--max_drift", "0.2")
    assert run_night(output, everybody, "n1") == 0
    # Held runs aren't in the baseline, nor are small or empty ones.
    assert run_night(output, gentoos, "n2", *limit) == 4
    assert run_night(output, tmp_path / "*.parquet", "n3") == 0
    assert run_night(output, few, "n4") == 0
    assert manifest(output, "n3")["drift"]["training"] == {}
    assert run_night(output, everybody, "n5", *limit) == 0
    same = manifest(output, "n5")["drift"]
    assert (same["baseline_runs"], same["score"]) == (["n1"], 0)
    assert {each["psi"] for each in same["baseline"].values()} == {0}
    # Released by a higher limit, the drifted night doesn't become what clean nights differ from.
    assert run_night(output, gentoos, "n2", "--max_drift", "9") == 0
    assert run_night(output, everybody, "n6", *limit) == 0
    assert baseline_of(output, "n6") == ["n1", "n5"]
    # Nor does a night that is replaced, or any, as the user likes.
    assert run_night(output, everybody, "n5", "--replace", *limit) == 0
    assert baseline_of(output, "n5") == ["n1", "n6"]
    assert run_night(output, everybody, "n7", *limit, "--baseline_nights", "1") == 0
    assert baseline_of(output, "n7") == ["n5"]
    assert run_night(output, everybody, "n8", "--baseline-nights=0") == 0
    assert manifest(output, "n8")["drift"]["baseline"] is None
    # Once there are enough nights, their variation counts, and all say so.
    capsys.readouterr()
    assert run_night(output, everybody, "n9", *limit, "--report") == 0
    found = manifest(output, "n9")["drift"]
    assert (len(found["baseline_runs"]), found["rule"]) == (5, "between_nights")
    usual = "the variation of the last 5 nights"
    assert f"none beyond {usual}\n" in capsys.readouterr().out
    assert usual in (output / "reports/n9.html").read_text()


@pytest.mark.parametrize("as_baseline", [False, True])
def test_an_accepted_night_is_in_the_baseline_if_its_reviewer_said_so(
    tmp_path: Path, gentoos: Path, as_baseline: bool
) -> None:
    output, everybody = tmp_path / "out", write_birds(tmp_path / "everybody.csv")
    assert run_night(output, gentoos, "n1") == 0
    written = output / "runs/n1.json"
    review = {"status": "published", "at": "2026-11-28T00:00:00Z", "as_baseline": as_baseline}
    accepted = {"held_because": "drift", "reviews": [review]}
    written.write_text(json.dumps(json.loads(written.read_text()) | accepted))
    assert run_night(output, everybody, "n2", "--max_drift", "0.2") == (4 if as_baseline else 0)


def test_an_early_manifest_counts_and_is_shown(tmp_path: Path) -> None:
    output, everybody = tmp_path / "out", write_birds(tmp_path / "everybody.csv")
    assert run_night(output, everybody, "n1") == 0
    written = output / "runs/n1.json"
    values = json.loads(written.read_text())
    found = values["drift"]
    for name in ("baseline", "baseline_runs", "rule"):
        del found[name]
    for shift in found["training"].values():
        del shift["rule"]
    values["drift"] = found | {"previous": found["training"], "previous_run": "n0"}
    del values["histograms"]["novelty"]
    written.write_text(json.dumps(values))
    assert "run n0" in page.render(gather(str(output), "n1"))
    assert run_night(output, everybody, "n2", "--max_drift", "0.2") == 0
    assert baseline_of(output, "n2") == ["n1"]


def test_lengths_shuffled_between_birds_hold_the_night(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A join gone wrong: no feature by itself has changed, but the birds are far from all known."""
    model = copy_model(tmp_path, trusted_card())
    night = write_birds(tmp_path / "birds.csv")
    birds = pd.read_csv(night)
    random = np.random.default_rng(0)
    birds["FlipperLength"] = random.permutation(birds["FlipperLength"].to_numpy())
    birds.to_csv(tmp_path / "shuffled.csv", index=False)
    output, flags = tmp_path / "out", ("--model", model, "--max_drift", "0.2")
    assert run_here(output, *flags, "--input", night, "--run_id", "n1") == 0
    shuffled = ("--input", tmp_path / "shuffled.csv", "--run_id", "n2")
    assert run_here(output, *flags, *shuffled) == 4
    assert "PSI novelty" in capsys.readouterr().err
    held = json.loads((output / "_held/n2/manifest.json").read_text())["drift"]
    assert "novelty" in held["drifted"]
    assert not {*card().feature_names} & {*held["drifted"]}


@pytest.mark.parametrize("value", ["-1", "1.5", "1001", "seven", ""])
def test_a_baseline_has_a_number_of_nights(
    tmp_path: Path, gentoos: Path, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_night(tmp_path / "out", gentoos, "n1", f"--baseline_nights={value}") == 2
    assert "is not a number of nights from 0 to 1000" in capsys.readouterr().err


def test_too_many_rejects_go_first(
    tmp_path: Path, gentoos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with gentoos.open("a") as file:
        file.write("NA,,,\n" * 100)
    output = tmp_path / "out"
    assert run_night(output, gentoos, "n1", "--max_drift", "0.2") == 3
    assert "of the rows were rejected" in capsys.readouterr().err
    held = json.loads((output / "_held/n1/manifest.json").read_text())
    assert held["drift"]["score"] > 0.2


def test_a_card_without_a_reference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = toy_bundle(tmp_path)
    features = read_card(model).features
    middle = {each.name: [(each.minimum + each.maximum) / 2] * 9 for each in features}
    night = tmp_path / "night.parquet"
    pq.write_table(pa.table(middle), night)
    flags = ("--input", night, "--model", model, "--run_id", "n1")
    assert run_here(tmp_path / "out", *flags, "--max_drift", "0.2") == 2
    assert capsys.readouterr().err == (
        f"penguin-score: error: --max_drift: the card of {model} has no reference to compare with; "
        "train the model again\n"
    )
    assert run_here(tmp_path / "out", *flags) == 0
    found = manifest(tmp_path / "out", "n1")
    assert (found["histograms"], found["drift"], found["labels"]) == (None, None, None)
    assert "drift" not in capsys.readouterr().out


@pytest.mark.parametrize("value", ["-0.1", "inf", "nan", "high", ""])
def test_limits_that_are_none(
    tmp_path: Path, gentoos: Path, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_night(tmp_path / "out", gentoos, "n1", f"--max_drift={value}") == 2
    assert "is not a number of 0 or more, such as 0.2" in capsys.readouterr().err


def counted(batches: Iterator[Any]) -> dict[Any, Any]:
    """The histograms among what a step gives, added up."""
    sums: dict[Any, Any] = {}
    for each in batches:
        if not isinstance(each, pa.RecordBatch):
            for key, counts in each.value.items():
                if key[0] == histograms.GROUP:
                    sums[key] = add_up([sums.get(key, 0), counts])
    return sums


@given(st.lists(st.tuples(ROW, ROW, ROW, ROW), min_size=1, max_size=30), st.data())
def test_pieces_of_a_chunk_are_counted_as_the_whole(rows: list[Any], data: Any) -> None:
    cut = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    shipped = card()
    # Numbers between the bins' edges, and at them.
    scales = [np.linspace(each.minimum, each.maximum, 40) for each in shipped.features]
    assert shipped.reference is not None
    for scale, each in zip(scales, shipped.reference.features.values(), strict=True):
        scale[: len(each.edges)] = each.edges
    columns = [
        pa.array(scale[np.array(values) - 1])
        for scale, values in zip(scales, zip(*rows, strict=True), strict=True)
    ]
    whole = pa.RecordBatch.from_arrays(
        [schemas.constant("f", len(rows)), pa.array(range(len(rows))), *columns],
        schema=schemas.observations((), shipped.features),
    )
    step = NormalizeFn(shipped, ())
    pieces = [
        whole.slice(start, stop - start)
        for start, stop in zip([0, *cut], [*cut, len(rows)], strict=True)
    ]
    merged = counted(each for piece in pieces for each in step.process(piece))
    assert merged == counted(step.process(whole))
    assert {sum(counts) for counts in merged.values()} == {len(rows)}


@settings(max_examples=3)
@given(st.integers(200, 6000), st.integers(1, 400), st.integers(200, 6000))
def test_pieces_of_a_night_are_counted_as_the_whole(
    tmp_path_factory: pytest.TempPathFactory, block: int, batch: int, span: int
) -> None:
    folder = tmp_path_factory.mktemp("pieces")
    write_birds(folder / "birds.csv", rows=200)
    pd.read_csv(folder / "birds.csv").to_parquet(folder / "birds.parquet", row_group_size=70)
    sizes = Sizes(
        small_file_bytes=0,
        span_bytes=span,
        range_bytes=block,
        block_bytes=block,
        batch_rows=batch,
    )
    flags = ("--input", folder / "birds.*", "--model", samples.MODEL, "--run_id", "test")
    pieces = run_sized(sizes, folder / "pieces", *flags)
    small = run_small_pieces(folder / "small", *flags)
    assert run_here(folder / "whole", *flags) == 0
    whole = manifest(folder / "whole")
    assert pieces["histograms"] == small["histograms"] == whole["histograms"]
    assert pieces["drift"] == small["drift"] == whole["drift"]


def test_what_the_model_answers_is_counted(tmp_path: Path) -> None:
    """The probabilities of Keras itself, with the bins of the card."""
    night = write_birds(tmp_path / "birds.csv")
    assert run_night(tmp_path / "out", night, "n1") == 0
    classifier = bundle.load(str(samples.MODEL))
    assert classifier.card.reference is not None
    frame = pd.read_csv(night)
    matrix = normalize(list(frame.to_numpy().T), classifier.card.features)
    best = classifier.model.predict(matrix, verbose=0).max(axis=1)
    expected = evaluation.histogram(best, classifier.card.reference.probability.edges)
    counts = manifest(tmp_path / "out", "n1")["histograms"]["probability"]["counts"]
    assert tuple(counts) == expected.counts
