"""A run compared with training and the nights before, in words and as JSON."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks import false_alarms
from penguin_model import trust
from penguin_model.card import Category, Histogram, Reference, read_card
from penguin_model.features import normalize
from penguin_model.training import dataset, evaluation, trusting
from pipelines.counts.figures import Counts
from pipelines.monitoring import drift, histograms
from pipelines.monitoring.divergence import FALSE_ALARMS, compare

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
    assert (found.score, found.baseline, found.baseline_runs) == (0, {}, ())
    assert not found.is_over
    written = found.to_json()
    assert (written["baseline"], written["baseline_runs"]) == (None, [])
    assert drift.name_rule(written) == "chance"


def test_the_worst_that_is_beyond_chance_is_the_score() -> None:
    found = drift.measure(HEAVY, night(), baseline={"run1": HEAVY}, max_drift=0.2)
    assert found.score == found.training["Mass"].psi > 0.2
    assert found.baseline["Mass"].psi == 0
    assert found.is_over
    assert not dataclasses.replace(found, max_drift=None).is_over
    assert not dataclasses.replace(found, max_drift=found.score).is_over
    written = json.loads(json.dumps(found.to_json()))
    assert written["drifted"] == ["Mass"]
    assert (written["baseline_runs"], written["max_drift"]) == (["run1"], 0.2)
    assert set(written["training"]["Mass"]) == {
        "psi", "js", "threshold", "rule", "rows", "reference_rows", "drifted",
    }  # fmt: skip
    assert drift.explain(written) == f"Mass {found.score:.2f} against training"


def test_the_nights_before_may_be_what_a_night_differs_from() -> None:
    odd = night(species=(0, 0, 239))
    before = dataclasses.replace(odd, features=HEAVY.features)
    found = drift.measure(night(), night(), baseline={"run1": before}, max_drift=0.2)
    assert found.is_over
    assert not any(shift.drifted for shift in found.training.values())
    words = drift.explain(found.to_json())
    assert words.startswith("species ") or words.startswith("Mass ")
    assert words.count(" against run run1") == 2
    two = drift.measure(night(), night(), baseline={"a": before, "b": before}, max_drift=0.2)
    assert drift.explain(two.to_json()).count(" against the last 2 nights") == 2


def test_what_a_high_limit_lets_pass_has_drifted_all_the_same() -> None:
    found = drift.measure(HEAVY, night(), max_drift=99)
    assert not found.is_over
    assert found.to_json()["drifted"] == ["Mass"]


def test_a_low_limit_is_what_matters() -> None:
    tonight, training = (night((10**6 + n, *(10**6,) * 9), rows=10**7) for n in (120_000, 0))
    assert not drift.measure(tonight, training).training["Mass"].drifted
    found = drift.measure(tonight, training, max_drift=0.0001)
    assert found.is_over
    assert drift.explain(found.to_json()).startswith("Mass 0.00 against training")


def test_the_error_names_what_is_over_the_limit() -> None:
    odd = dataclasses.replace(HEAVY, classes={"Adelie": 100, "Gentoo": 108, "Chinstrap": 1})
    found = drift.measure(odd, night(), max_drift=1.5)
    assert found.to_json()["drifted"] == ["Mass", "species"]
    assert "species" not in drift.explain(found.to_json())


def test_a_giant_night_does_not_drown_the_others() -> None:
    """Summed up as they are, tonight would differ from a baseline that is nearly all one night."""
    giant = night(counts=tuple(10**4 * n for n in HEAVY.features["Mass"].counts))
    baseline = {"a": night(), "b": giant, "c": night()}
    found = drift.measure(night(), night(), baseline=baseline).baseline["Mass"]
    assert found.reference_rows == 3 * 239
    assert found.psi < 1


def vary(count: int, rows: int = 100_000, seed: int = 0, *, shift: int = 0) -> list[Reference]:
    """Nights whose species vary, and so the mass with them; `shift` moves all birds by bins."""
    random = np.random.default_rng(seed)
    shapes = np.array([[9, 7, 5, 3, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 2, 4, 6, 7, 4, 2],
                       [2, 4, 6, 8, 3, 1, 1, 0, 0, 0]])  # fmt: skip
    shapes = np.roll(shapes, shift, axis=1) / shapes.sum(axis=1, keepdims=True)
    nights = []
    for shares in random.dirichlet([17.6, 14.4, 8], count):
        species = random.multinomial(rows, shares)
        mass = [random.multinomial(n, shape) for n, shape in zip(species, shapes, strict=True)]
        counts = tuple(np.sum(mass, axis=0).tolist())
        nights.append(night(counts, tuple(species.tolist()), rows))
    return nights


def as_baseline(nights: Sequence[Reference]) -> dict[str, Reference]:
    return {f"n{place}": each for place, each in enumerate(nights)}


def test_nights_that_vary_have_not_drifted() -> None:
    """With chance alone, nearly each of them would have."""
    training = vary(1, 239)[0]
    by_chance = usual = 0
    for seed in range(40):
        tonight, *before = vary(8, seed=seed)
        by_chance += drift.measure(tonight, training, baseline=as_baseline(before[:2])).score > 0
        found = drift.measure(tonight, training, baseline=as_baseline(before))
        assert {shift.rule for _, shift in found.shifts} == {"between_nights"}
        assert drift.name_rule(found.to_json()) == "the variation of the last 7 nights"
        usual += found.score > 0
    assert by_chance > 30
    assert usual <= 2


def test_what_all_nights_differ_by_from_training_is_still_seen() -> None:
    training = vary(1, 239)[0]
    tonight, *before = vary(8, seed=3, shift=2)
    found = drift.measure(tonight, training, baseline=as_baseline(before))
    assert found.training["Mass"].drifted
    assert not any(shift.drifted for shift in found.baseline.values())


def test_a_drifted_night_is_seen_among_nights_that_vary() -> None:
    training = vary(1, 239)[0]
    found = drift.measure(HEAVY, training, baseline=as_baseline(vary(7, seed=5)))
    assert found.training["Mass"].drifted
    assert found.baseline["Mass"].drifted
    assert found.to_json()["drifted"] == ["Mass"]


def test_an_early_manifest_is_read_as_one_of_today() -> None:
    shift = {"psi": 0.3, "js": 0.1, "threshold": 0.1, "rows": 9, "reference_rows": 9,
             "drifted": True}  # fmt: skip
    early = {
        "training": {"Mass": shift}, "previous": {"Mass": shift}, "previous_run": "n1",
        "score": 0.3, "max_drift": 0.2, "drifted": ["Mass"],
    }  # fmt: skip
    found = drift.upgrade(early)
    assert found == drift.upgrade(found)
    assert found["baseline"] == {"Mass": {**shift, "rule": "chance"}}
    assert (found["baseline_runs"], found["rule"]) == (["n1"], "chance")
    assert "previous" not in found
    assert drift.explain(found) == "Mass 0.30 against run n1, Mass 0.30 against training"
    alone = drift.upgrade(early | {"previous": None, "previous_run": None})
    assert (alone["baseline"], alone["baseline_runs"]) == (None, [])
    today = drift.measure(HEAVY, night(), baseline={"run1": HEAVY}).to_json()
    assert drift.upgrade(today) == today


def test_lengths_shuffled_between_birds_show_in_the_novelty(
    project: Path, shipped_model: Path
) -> None:
    """A join gone wrong: each feature by itself is as it was."""
    data = dataset.load(str(project / "data" / "penguins.csv"))
    everybody, held_out = data.rows, data.test
    answers = np.full((len(held_out.raw), 3), 1 / 3, np.float32)
    shipped = read_card(str(shipped_model))
    card = trusting.add_trust(shipped, everybody, held_out, answers)

    def measured(raw: npt.NDArray[np.float64]) -> Reference:
        assert card.reference is not None
        assert card.reference.novelty is not None
        distances = trust.TrustScorer(card).measure(normalize(list(raw.T), card.features))
        novelty = histograms.count_values(distances, card.reference.novelty.edges)
        counts = histograms.count_features(list(raw.T), card.features, card.reference)
        counts[histograms.NOVELTY] = novelty
        figures = {(histograms.GROUP, name): each for name, each in counts.items()}
        found = histograms.of_run(figures, card)
        assert found is not None
        return found

    def drifted(raw: npt.NDArray[np.float64]) -> list[str]:
        assert card.reference is not None
        shifts = drift.measure(measured(raw), card.reference).training
        assert len(shifts) == 5
        return [name for name, shift in shifts.items() if shift.drifted]

    shuffled = everybody.raw.copy()
    lengths = card.feature_names.index("FlipperLength")
    shuffled[:, lengths] = np.random.default_rng(2).permutation(shuffled[:, lengths])
    assert drifted(everybody.raw) == []
    assert drifted(shuffled) == ["novelty"]


def test_novelty_is_compared_where_both_have_it() -> None:
    novelty = Histogram(edges=(1.0,), counts=(200, 39))
    with_it, without = dataclasses.replace(night(), novelty=novelty), night()
    assert "novelty" not in drift.measure(with_it, without).training
    assert "novelty" not in drift.measure(without, with_it).training
    found = drift.measure(with_it, with_it, baseline={"a": without, "b": with_it})
    assert found.training["novelty"].psi == 0
    assert found.baseline["novelty"].reference_rows == 239
    assert found.baseline["Mass"].reference_rows == 2 * 239


def test_a_hundred_features_take_less_than_two_seconds() -> None:
    assert false_alarms.seconds(100) < 2


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
    found = drift.measure(empty, night(), baseline={"run1": empty}, max_drift=0.0)
    assert (found.training, found.baseline, found.score) == ({}, {}, 0)
    assert not found.is_over
    assert found.to_json()["baseline"] == {}


def test_other_bins_are_not_compared() -> None:
    mass = Histogram(edges=(3.0,), counts=(100, 139))
    other = dataclasses.replace(night(), features={"Mass": mass})
    assert "Mass" not in drift.measure(night(), other).training
    assert "Mass" not in drift.measure(night(), dataclasses.replace(other, features={})).training


def test_the_shipped_card_can_be_compared(shipped_model: Path) -> None:
    reference = read_card(str(shipped_model)).reference
    assert reference is not None
    found = drift.measure(reference, reference, baseline={"run1": reference}, max_drift=0.2)
    names = {*histograms.by_name(reference), "species"}
    assert set(found.training) == set(found.baseline) == names
    assert found.score == 0


@pytest.mark.parametrize(
    ("birds", "drifts"), [("held out", False), ("all", False), ("Adelie", True)]
)
def test_nights_of_real_birds(birds: str, drifts: bool, project: Path, shipped_model: Path) -> None:
    card = read_card(str(shipped_model))
    assert card.reference is not None
    data = dataset.load(str(project / "data" / "penguins.csv"))
    everybody, held_out = data.rows, data.test
    adelie = everybody.raw[everybody.labels == 0]
    raw = {"held out": held_out.raw, "all": everybody.raw, "Adelie": adelie}[birds]
    counts = histograms.count_features(list(raw.T), card.features, card.reference)
    compared = [
        compare(counts[name], each.counts, level=FALSE_ALARMS / 6)
        for name, each in card.reference.features.items()
    ]
    assert [shift.drifted for shift in compared] == [drifts] * 4


def test_thousands_of_texts_are_compared_by_the_frequent_ones() -> None:
    """A bin for each of them would take gigabytes to simulate, and rare ones differ by chance."""
    texts = 10_000
    random = np.random.default_rng(0)
    shares = 1 / np.arange(1, texts + 1)
    place = Category(name="place", categories=tuple(map(str, range(texts))))

    def counted(rows: int, shares: Any) -> Reference:
        codes = random.choice(texts, rows, p=shares / shares.sum())
        return Reference(
            features={"place": evaluation.histogram_by_code(codes.astype(float), place)},
            classes={"a": rows}, probability=Histogram(edges=(), counts=(rows,)),
        )  # fmt: skip

    training = counted(2000, shares)
    baseline = {"before": counted(20_000, shares)}
    found = drift.measure(counted(30_000, shares), training, baseline=baseline)
    assert found.score == 0
    # The third most frequent text in training is never seen, and a rare one every fifth time.
    changed = shares.copy()
    changed[2], changed[7000] = 0, 0.25 * shares.sum()
    found = drift.measure(counted(30_000, changed), training, baseline=baseline)
    assert found.training["place"].drifted
    assert found.baseline["place"].drifted
