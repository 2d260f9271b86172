"""The baseline: which earlier runs tonight's data are compared with."""

from typing import Any

import pytest

from penguin_model.card import Histogram, Reference
from pipelines.runs import baseline
from pipelines.runs.gates import HeldBecause
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest, Model, Review, Status, Totals
from tests.support.publication import manifest_of

MEASURED = Reference(features={}, classes={}, probability=Histogram(edges=(), counts=(1,)))
OTHER_BINS = Reference(features={}, classes={}, probability=Histogram(edges=(0.5,), counts=(1, 0)))
ACCEPTED = Review(status=Status.PUBLISHED, at="2026-05-09")
USUAL = Review(status=Status.PUBLISHED, at="2026-05-09", as_baseline=True)


def manifest(run_id: str, end: str = "2026-05-02", **changes: Any) -> Manifest:
    known = {"end": end, "model": Model(sha256="a"), "totals": Totals(rows_scored=30)}
    paths = Layout(output="", run_id=run_id, attempt="")
    return manifest_of(paths, **known | {"histograms": MEASURED} | changes)


def choose(runs: list[Manifest], **changes: Any) -> list[str]:
    known: dict[str, Any] = {
        "nights": 7, "model_sha256": "a", "run_id": "mine", "like": MEASURED,
        "max_reject_fraction": 0.1, "max_drift": 0.2,
    }  # fmt: skip
    return [run.run_id for run in baseline.choose(runs, **known | changes)]


def test_the_last_runs_are_the_baseline_oldest_first() -> None:
    runs = [manifest(f"n{day}", f"2026-05-0{day}") for day in range(1, 10)]
    assert choose(runs) == choose(runs[::-1]) == [f"n{day}" for day in range(3, 10)]
    assert choose(runs, nights=2) == ["n8", "n9"]
    assert choose(runs, nights=0) == choose([]) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"run_id": "mine"},
        {"totals": Totals(rows_scored=29)},
        {"model": Model(sha256="b")},
        {"histograms": None},
        {"histograms": OTHER_BINS},
        {"drift": {"score": 0.21}},
        {"reject_fraction": 0.11},
        {"status": Status.HELD, "held_because": HeldBecause.DRIFT},
        {"status": Status.RETRACTED},
        {"held_because": HeldBecause.MIN_ROWS, "reviews": (ACCEPTED,)},
        {"held_because": HeldBecause.DRIFT, "reviews": (USUAL, ACCEPTED)},
        {"held_because": HeldBecause.DRIFT},
    ],
)
def test_an_unusual_run_is_not_in_the_baseline(changes: dict[str, Any]) -> None:
    run = manifest(**{"run_id": "odd", **changes})
    assert choose([run, manifest("good")]) == ["good"]


@pytest.mark.parametrize(
    "changes",
    [
        {"drift": {"score": 0.2}},
        {"reject_fraction": 0.1},
        {"drift": {}},
        {"held_because": HeldBecause.DRIFT, "reviews": (ACCEPTED, USUAL), "drift": {"score": 2.0}},
        {"held_because": HeldBecause.REJECTS, "reviews": (USUAL,), "reject_fraction": 0.5},
    ],
)
def test_a_usual_run_is(changes: dict[str, Any]) -> None:
    assert choose([manifest("usual", **changes)]) == ["usual"]


def test_without_a_limit_any_published_run_is_usual() -> None:
    run = manifest("odd", drift={"score": 1.8})
    assert choose([run], max_drift=None) == ["odd"]
    assert choose([run], max_drift=2.0) == ["odd"]
