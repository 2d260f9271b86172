"""A run compared with training and the previous run, in words and as JSON."""

import dataclasses
import json
from pathlib import Path

import pytest

from penguin_model.card import Histogram, Reference, read_card
from penguin_model.training import dataset
from pipelines.monitoring import drift, histograms
from pipelines.monitoring.divergence import compare
from pipelines.monitoring.histograms import Counts

TEN = (24, 18, 28, 26, 21, 20, 26, 28, 23, 25)


def night(counts: Counts = TEN, species: Counts = (100, 88, 51), rows: int = 239) -> Reference:
    return Reference(
        features={"Mass": Histogram(edges=tuple(map(float, range(9))), counts=counts)},
        classes=dict(zip(("Adelie", "Gentoo", "Chinstrap"), species, strict=True)),
        probability=Histogram(edges=(0.5,), counts=(0, rows)),
    )


HEAVY = night(counts=(0, 0, 0, 0, 0, 0, 0, 0, 0, 239))


def test_a_calm_night() -> None:
    found = drift.measure(night(), night())
    assert set(found.training) == {"Mass", "species", "probability"}
    assert (found.score, found.previous, found.previous_run) == (0, {}, None)
    assert not found.is_over
    assert found.to_json()["previous"] is None


def test_the_worst_that_is_beyond_chance_is_the_score() -> None:
    found = drift.measure(HEAVY, night(), previous=("run1", HEAVY), max_drift=0.2)
    assert found.score == found.training["Mass"].psi > 0.2
    assert found.previous["Mass"].psi == 0
    assert found.is_over
    assert not dataclasses.replace(found, max_drift=None).is_over
    assert not dataclasses.replace(found, max_drift=found.score).is_over
    written = json.loads(json.dumps(found.to_json()))
    assert written["drifted"] == ["Mass"]
    assert (written["previous_run"], written["max_drift"]) == ("run1", 0.2)
    assert set(written["training"]["Mass"]) == {
        "psi", "js", "threshold", "rows", "reference_rows", "drifted",
    }  # fmt: skip
    assert drift.explain(written) == f"Mass {found.score:.2f} against training"


def test_the_last_run_may_be_what_a_night_differs_from() -> None:
    odd = night(species=(0, 0, 239))
    previous = ("run1", dataclasses.replace(odd, features=HEAVY.features))
    found = drift.measure(night(), night(), previous=previous, max_drift=0.2)
    assert found.is_over
    assert not any(shift.drifted for shift in found.training.values())
    words = drift.explain(found.to_json())
    assert words.startswith("species ") or words.startswith("Mass ")
    assert words.count(" against run run1") == 2


def test_no_more_than_some_are_named() -> None:
    mass = HEAVY.features["Mass"]
    many = dataclasses.replace(HEAVY, features={f"M{n}": mass for n in range(5)})
    calm = dataclasses.replace(
        night(), features={f"M{n}": night().features["Mass"] for n in range(5)}
    )
    words = drift.explain(drift.measure(many, calm, max_drift=0.2).to_json())
    assert words.count("against training") == 3
    assert words.endswith(" and 2 more")


def test_a_night_without_rows_is_not_compared() -> None:
    empty = night(counts=(0,) * 10, species=(0, 0, 0), rows=0)
    found = drift.measure(empty, night(), previous=("run1", empty), max_drift=0.0)
    assert (found.training, found.previous, found.score) == ({}, {}, 0)
    assert not found.is_over
    assert found.to_json()["previous"] == {}


def test_other_bins_are_not_compared() -> None:
    mass = Histogram(edges=(3.0,), counts=(100, 139))
    other = dataclasses.replace(night(), features={"Mass": mass})
    assert "Mass" not in drift.measure(night(), other).training
    assert "Mass" not in drift.measure(night(), dataclasses.replace(other, features={})).training


def test_the_shipped_card_can_be_compared(shipped_model: Path) -> None:
    reference = read_card(str(shipped_model)).reference
    assert reference is not None
    found = drift.measure(reference, reference, previous=("run1", reference), max_drift=0.2)
    assert len(found.training) == len(found.previous) == 6
    assert found.score == 0


@pytest.mark.parametrize(
    ("birds", "drifts"), [("held out", False), ("all", False), ("Adelie", True)]
)
def test_nights_of_real_birds(birds: str, drifts: bool, project: Path, shipped_model: Path) -> None:
    card = read_card(str(shipped_model))
    assert card.reference is not None
    everybody = dataset.complete(dataset.read(str(project / "data" / "penguins.csv")))
    _, held_out = dataset.split(everybody)
    adelie = everybody.raw[everybody.labels == 0]
    raw = {"held out": held_out.raw, "all": everybody.raw, "Adelie": adelie}[birds]
    counts = histograms.count_features(list(raw.T), card.features, card.reference)
    compared = [
        compare(counts[name], each.counts, comparisons=6)
        for name, each in card.reference.features.items()
    ]
    assert [shift.drifted for shift in compared] == [drifts] * 4
