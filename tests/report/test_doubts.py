"""Each reason for a look: raised when it should be, and by chance alone rarely."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model.card import ModelCard
from pipelines.monitoring import divergence
from pipelines.report import doubts
from pipelines.report.doubts import Evidence, find_doubts
from pipelines.report.verdict import LEVELS, judge
from pipelines.runs.manifest import Totals, from_json
from tests.support import reports
from tests.support.reports import labelled, manifest, measured

Record = dict[str, Any]
CARD = reports.card()


def night(number: int = 10, rows: int = 10_000, rejected: int = 0, **known: Any) -> Record:
    """A measured night without a problem, unless it is given one."""
    reasons = {"missing_value": rejected} if rejected else {}
    found = manifest(f"n{number}", night=number, rows=rows, rejects_by_reason=reasons, **known)
    return measured(found, seed=1)


def evidence(
    found: Mapping[str, Any],
    earlier: Sequence[Mapping[str, Any]] = (),
    card: ModelCard | None = CARD,
) -> Evidence:
    runs = [from_json(each) for each in earlier]
    return Evidence(manifest=from_json(found), card=card, earlier=runs)


def kinds(*about: Any, **known: Any) -> list[str]:
    return [str(each.kind) for each in find_doubts(evidence(*about, **known))]


def say(*about: Any, **known: Any) -> str:
    (doubt,) = find_doubts(evidence(*about, **known))
    return doubt.text.replace("\N{NO-BREAK SPACE}", " ")


def with_labels(
    found: Record, confusion: Sequence[Sequence[int]], *, probability: float, log_loss: float
) -> Record:
    """Adds labels; all predictions have one probability."""
    matrix = np.array(confusion)
    hits, rows = matrix.diagonal(), int(matrix.sum())
    share = float(hits.sum() / rows)
    bins = [{"from": 0.9, "to": 1.0, "rows": rows, "probability": probability, "accuracy": share}]
    ratios = dict(zip(CARD.classes, (hits / matrix.sum(axis=1)).tolist(), strict=True))
    return found | {
        "labels": {
            "rows": rows, "unlabelled": 0, "unknown": 0, "accuracy": share, "log_loss": log_loss,
            "recall": ratios, "precision": ratios, "confusion": matrix.tolist(),
            "calibration": {"error": abs(probability - share), "bins": bins},
        }
    }  # fmt: skip


GOOD = [[4380, 10, 10], [10, 3580, 10], [10, 10, 1980]]


def test_a_night_without_a_problem_raises_no_doubt() -> None:
    assert kinds(night()) == []
    fine = with_labels(night(), GOOD, probability=0.99, log_loss=0.03)
    fine |= {
        "trust": {"rows": 10_000, "out_of_distribution": 60, "ambiguous": 90, "coverage": 0.95},
        "accuracy_estimate": {"accuracy": 0.99, "low": 0.98, "high": 1.0, "rows": 10_000},
    }
    assert kinds(fine, [night(n, rejected=30 + n) for n in range(9)]) == []


@pytest.mark.parametrize(("rows", "doubted"), [(5, True), (99, True), (100, False)])
def test_too_few_rows_are_doubted_and_how_many_it_takes_is_said(rows: int, doubted: bool) -> None:
    assert kinds(night(rows=rows)) == ["min_rows"] * doubted
    if doubted:
        assert say(night(rows=rows)) == (
            f"{rows} rows are too few to tell whether the data have changed; it takes at least 100"
        )


def test_enough_rows_are_those_that_show_a_shift() -> None:
    """By one standard deviation, against the card's 239 birds."""
    histogram = next(iter(CARD.reference.features.values()))  # type: ignore[union-attr]
    random = np.random.default_rng(5)
    # In standard deviations: the bins are the training data's deciles.
    edges = [-1.2816, -0.8416, -0.5244, -0.2533, 0, 0.2533, 0.5244, 0.8416, 1.2816]

    def share_seen(rows: int) -> float:
        seen = []
        for _ in range(40):
            places = np.searchsorted(edges, random.normal(1, 1, rows))
            counts = tuple(np.bincount(places, minlength=10).tolist())
            seen.append(divergence.compare(counts, histogram.counts, level=0.01 / 12).drifted)
        return float(np.mean(seen))

    assert share_seen(doubts.ENOUGH_ROWS) > 0.9
    assert share_seen(doubts.ENOUGH_ROWS // 4) < 0.5


def test_a_bad_log_loss_is_doubted_whatever_the_accuracy() -> None:
    sure = [[4400, 0, 0], [0, 3600, 0], [0, 0, 2000]]
    found = with_labels(night(), sure, probability=0.6, log_loss=0.52)
    assert say(found) == (
        "the log-loss is 0.52 nats on 10,000 labelled rows, against 0.00902 on 103 held-out rows"
    )
    assert "log_loss" in kinds(with_labels(night(), GOOD, probability=0.99, log_loss=0.52))


def test_a_worse_accuracy_is_doubted() -> None:
    found = with_labels(
        night(), [[4000, 200, 200], [0, 3600, 0], [100, 0, 1900]], probability=0.95, log_loss=0.05
    )
    assert say(found) == (
        "accuracy is 95.0% on 10,000 labelled rows, against 100.0% on 103 held-out rows"
    )


def test_a_lost_class_is_doubted_however_rare() -> None:
    found = with_labels(
        night(), [[5000, 0, 0], [0, 4950, 0], [50, 0, 0]], probability=0.995, log_loss=0.02
    )
    assert say(found) == (
        "only 0.0% of 50 labelled Chinstraps were recognized, against 100.0% of the held-out ones"
    )


def test_overconfidence_is_doubted() -> None:
    found = with_labels(night(), GOOD, probability=0.9999, log_loss=0.03)
    assert kinds(found) == []  # beyond chance, but by less than a percentage point
    found = with_labels(
        night(), [[4300, 50, 50], [20, 3560, 20], [10, 10, 1980]], probability=0.9999, log_loss=0.05
    )
    assert say(found) == (
        "predictions are right in 98.4% of 10,000 labelled rows, "
        "but their mean probability is >99.9%"
    )


def test_without_the_card_accuracy_cannot_be_compared() -> None:
    found = with_labels(night(), GOOD, probability=0.99, log_loss=0.03)
    assert kinds(found, card=None) == ["not_compared"]
    assert kinds(night(), card=None) == []


def test_a_low_estimate_is_doubted() -> None:
    found = night() | {
        "accuracy_estimate": {"accuracy": 0.92, "low": 0.91, "high": 0.93, "rows": 10_000}
    }
    assert say(found) == (
        "accuracy is estimated at 92.0% from the probabilities alone, "
        "against 100.0% on 103 held-out rows"
    )


def test_drift_is_doubted_however_high_the_limit() -> None:
    for limit in (None, 0.2, 5.0):
        found = measured(manifest("r", rows=3000), shift=2, max_drift=limit)
        assert kinds(found) == ["drift"]
    shift = found["drift"]["training"]["CulmenLength"]
    shift |= {"psi": 0.09, "threshold": 0.02, "drifted": False}
    assert kinds(found) == []


def test_drift_from_a_baseline_of_several_nights_is_doubted() -> None:
    found = night()
    shift = found["drift"]["training"]["CulmenLength"]
    found["drift"] = found["drift"] | {
        "baseline": {"BodyMass": shift | {"psi": 0.4, "threshold": 0.1, "drifted": True}},
        "baseline_runs": ["a", "b"],
        "rule": "chance",
    }
    assert say(found) == "the data have drifted in BodyMass (PSI 0.40)"


def test_what_was_not_measured_is_said() -> None:
    assert kinds(manifest("r")) == ["not_measured"]
    assert kinds(manifest("r", rows=0, species={})) == ["no_rows"]


@pytest.mark.parametrize(("outside", "doubted"), [(60, False), (110, False), (150, True)])
def test_many_rows_out_of_distribution_are_doubted(outside: int, doubted: bool) -> None:
    trust = {"rows": 10_000, "out_of_distribution": outside, "ambiguous": 0, "coverage": 0.95}
    assert kinds(night() | {"trust": trust}) == ["trust"] * doubted
    if doubted:
        assert say(night() | {"trust": trust}) == (
            "1.5% of 10,000 rows are out of distribution, unlike anything in training "
            "(0.5% are expected)"
        )


def test_unreadable_and_missing_files_are_doubted() -> None:
    found = night() | {"unmatched": ["/data/*.csv", "b", "c"]}
    found["totals"] |= {"files": 31, "files_unreadable": 2}
    texts = [each.text.replace("\N{NO-BREAK SPACE}", " ") for each in find_doubts(evidence(found))]
    assert texts == [
        "2 of 31 files couldn't be read in full",
        "no file matches /data/*.csv and 2 other patterns",
    ]


@pytest.mark.parametrize(
    ("before", "rejected", "doubted"),
    [
        ([0], 515, True),  # 4.9%
        ([], 515, False),  # nothing to compare with
        ([0, 0], 5, False),  # a row in 2,000
        ([100, 110], 120, False),  # chance
        ([100, 110], 160, True),
        ([60, 140, 80, 120, 100], 160, False),  # nights vary
        ([60, 140, 80, 120, 100], 300, True),
        ([0, 0, 0, 0, 500, 0], 500, True),  # a bad night before hides nothing
    ],
)
def test_rejects_that_rise_beyond_chance_and_nights_are_doubted(
    before: list[int], rejected: int, doubted: bool
) -> None:
    earlier = [night(n, rejected=each) for n, each in enumerate(before)]
    assert kinds(night(rejected=rejected), earlier) == ["rejects"] * doubted


def test_the_nights_before_are_those_of_this_model_that_count() -> None:
    bad = night(rejected=500)
    assert say(bad, [night(1)]) == ("4.8% of the rows were rejected, against 0.0% the night before")
    assert say(bad, [night(1), night(2)]).endswith("against 0.0% on the 2 nights before")
    for other in (
        {"model": {"sha256": "1" * 64}},
        {"status": "held", "held_because": "rejects"},
        {"status": "retracted"},
        {"held_because": "drift", "reviews": [{"status": "published", "at": "2026-11-02"}]},
    ):
        assert kinds(bad, [night(1) | other]) == []
    kept = {"status": "published", "at": "2026-11-02", "as_baseline": True}
    assert kinds(bad, [night(1) | {"held_because": "drift", "reviews": [kept]}]) == ["rejects"]


def test_a_night_with_a_fraction_of_the_rows_is_doubted() -> None:
    earlier = [night(n, rows=9000 + n) for n in range(5)]
    assert kinds(night(rows=2000), earlier) == []
    assert say(night(rows=1700), earlier) == (
        "only 1,700 rows arrived, against at least 9,000 on the 5 nights before"
    )


def test_labels_that_are_no_class_are_doubted() -> None:
    found = labelled(night(rows=400), wrong=0)
    found["labels"] |= {"rows": 0, "unknown": 400, "accuracy": None, "log_loss": None}
    assert say(found) == "none of 400 labels is a class of the model"


def test_an_accepted_run_says_by_whom_and_why() -> None:
    review = {
        "status": "published", "at": "2026-11-25T08:00:00+00:00", "by": "ann@station",
        "why": "the birds are moulting.",
    }  # fmt: skip
    found = night() | {"held_because": "drift", "held_reason": "PSI 1.8", "reviews": [review]}
    assert say(found) == (
        "it was held (PSI 1.8), and accepted by ann@station on 2026-11-25 08:00:00 UTC: "
        "the birds are moulting"
    )


def test_nights_that_vary_by_chance_alone_are_seldom_doubted() -> None:
    """At most a few of a hundred pairs of a night and its history, all from one source."""
    random, doubted = np.random.default_rng(3), 0
    some = from_json(manifest("n"))
    for _ in range(300):
        rejected = random.binomial(5000, 0.02, 1 + random.integers(1, 8)).tolist()
        totals = [
            msgspec.structs.replace(
                some, totals=Totals(rows_read=5000, rows_scored=5000 - each, rows_rejected=each)
            )
            for each in rejected
        ]
        found = Evidence(manifest=totals[-1], card=CARD, earlier=totals[:-1])
        doubted += "rejects" in [each.kind for each in find_doubts(found)]
    assert doubted <= 6


def worsen(name: str) -> Callable[[Record, int], Record]:
    def change(found: Record, amount: int) -> Record:
        known: dict[str, Any] = {
            "drift": {"drift": DRIFTED},
            "unmeasured": {"drift": None},
            "unmatched": {"unmatched": ["x"] * amount},
            "unreadable": {"totals": found["totals"] | {"files": 99, "files_unreadable": amount}},
            "outside": {"trust": {
                "rows": 600, "out_of_distribution": 60 * amount,
                "ambiguous": 0, "coverage": 0.95,
            }},
            "estimate": {"accuracy_estimate": {
                "accuracy": 0.9 - amount / 20, "low": 0.3, "high": 0.9, "rows": 9,
            }},
            "held": {"status": "held", "held_because": "drift", "held_reason": "it drifted"},
            "accepted": {"held_because": "drift", "held_reason": "it drifted"},
            "rejected": {"status": "rejected"},
            "rejects": {"totals": found["totals"] | {
                "rows_rejected": 60 * amount,
                "rows_read": found["totals"]["rows_scored"] + 60 * amount,
            }},
            "empty": {"totals": found["totals"] | {"rows_scored": 0}},
            "few": {"totals": found["totals"] | {"rows_scored": amount}},
        }[name]  # fmt: skip
        return found | known

    return change


PROBLEMS = (
    "drift", "unmeasured", "unmatched", "unreadable", "outside", "estimate", "rejects", "few",
    "empty", "accepted", "held", "rejected",
)  # fmt: skip


@given(
    names=st.lists(st.sampled_from(PROBLEMS), unique=True),
    added=st.sampled_from(PROBLEMS),
    amount=st.integers(1, 9),
    wrong=st.none() | st.integers(0, 200),
)
def test_a_further_problem_never_improves_the_verdict(
    names: list[str], added: str, amount: int, wrong: int | None
) -> None:
    found = BASE if wrong is None else labelled(BASE, wrong=wrong)
    for name in names:
        found = worsen(name)(found, amount)
    # What a person decided about a run can't be undone by a limit that would have held it.
    if added in ("held", "accepted") and found["status"] != "published":
        added = "unmatched"
    before = judge(evidence(found, [BASE]))
    after = judge(evidence(worsen(added)(found, amount), [BASE]))
    assert LEVELS.index(after.level) >= LEVELS.index(before.level)
    assert LEVELS.index(after.level) > 0


BASE = measured(manifest("n", rows=600))
DRIFTED = measured(manifest("n", rows=600), shift=2)["drift"]


@given(wrong=st.integers(0, 290))
def test_more_wrong_predictions_never_improve_the_verdict(wrong: int) -> None:
    fewer, more = (judge(evidence(labelled(BASE, wrong=each))) for each in (wrong, wrong + 10))
    assert LEVELS.index(more.level) >= LEVELS.index(fewer.level)


def test_every_doubt_leads_to_a_section_and_kinds_of_gates_keep_their_names() -> None:
    assert dataclasses.is_dataclass(doubts.Doubt)
    because = {"accuracy", "drift", "unreadable_files", "rejects", "min_rows"}
    assert because <= {str(kind) for kind, _, _ in doubts.CHECKS}
