"""Why a run is held: for any totals and limits, every place says the same."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model.measures import wilson
from pipelines.errors import HeldError, of_code
from pipelines.job import metrics_file, run, summary
from pipelines.monitoring.estimate import AccuracyEstimate
from pipelines.report import verdict
from pipelines.report.doubts import Evidence
from pipelines.runs import gates
from pipelines.runs.gates import HeldBecause, find_reason
from pipelines.runs.layout import DATASETS, Layout
from pipelines.runs.manifest import (
    Manifest,
    Shards,
    Status,
    Totals,
    from_json,
    to_json,
)
from tests.support import reports
from tests.support.publication import manifest_of

PATHS = Layout(output="/out", run_id="r", attempt="a")
SHARES = st.floats(0, 1)


@st.composite
def totals(draw: st.DrawFn) -> Totals:
    files = draw(st.integers(0, 1000))
    scored, rejected = draw(st.integers(0, 10**6)), draw(st.integers(0, 10**6))
    return Totals(
        files=files,
        files_unreadable=draw(st.integers(0, files)),
        rows_read=scored + rejected,
        rows_scored=scored,
        rows_rejected=rejected,
    )


@st.composite
def shifts(draw: st.DrawFn) -> dict[str, Any] | None:
    score = draw(st.floats(0, 5))
    most = draw(st.none() | st.floats(0, 5))
    shift = {"psi": score, "js": 0.1, "threshold": 0.0, "score": score, "drifted": True}
    found = {
        "training": {"mass": shift}, "previous": None, "previous_run": None,
        "score": score, "max_drift": most, "drifted": ["mass"],
    }  # fmt: skip
    return draw(st.sampled_from([None, found]))


@st.composite
def hit_counts(draw: st.DrawFn) -> dict[str, Any] | None:
    hits, misses = draw(st.integers(0, 500)), draw(st.integers(0, 500))
    rows = hits + misses
    return draw(st.none() | st.just({
        "rows": rows, "accuracy": hits / rows if rows else None, "log_loss": 0.1, "recall": {},
        "confusion": [[hits, misses], [0, 0]], "calibration": {"error": 0.1, "bins": []},
        "unknown": draw(st.integers(0, 5)),
    }))  # fmt: skip


@st.composite
def estimates(draw: st.DrawFn) -> AccuracyEstimate | None:
    low, accuracy, high = sorted(draw(st.tuples(SHARES, SHARES, SHARES)))
    found = AccuracyEstimate(accuracy=accuracy, low=low, high=high, rows=10)
    return draw(st.sampled_from([None, found]))


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    counted = draw(totals())
    facts = manifest_of(
        PATHS,
        start="2026-11-25T00:00:00+00:00",
        shards={name: Shards(files=0) for name in DATASETS},
        totals=counted,
        reject_fraction=counted.reject_fraction,
        max_reject_fraction=draw(SHARES),
        max_unreadable_files=draw(st.none() | SHARES | st.integers(1, 1000).map(float)),
        min_rows=draw(st.integers(0, 10**6)),
        min_accuracy=draw(st.none() | SHARES),
        drift=draw(shifts()),
        labels=draw(hit_counts()),
        accuracy_estimate=draw(estimates()),
    )
    reason = find_reason(facts)
    if reason is None:
        return facts
    return msgspec.structs.replace(
        facts, status=Status.HELD, held_because=reason.because, held_reason=reason.sentence
    )


def expected(found: Manifest) -> HeldBecause | None:
    """The rules as the documentation has them."""
    counted = found.totals
    torn, most = counted.files_unreadable, found.max_unreadable_files
    assert found.max_reject_fraction is not None
    if counted.reject_fraction > found.max_reject_fraction:
        return HeldBecause.REJECTS
    if most is not None and torn > 0 and (torn if most >= 1 else torn / counted.files) > most:
        return HeldBecause.UNREADABLE_FILES
    if counted.rows_scored < found.min_rows:
        return HeldBecause.MIN_ROWS
    drift = found.drift
    if drift and drift["max_drift"] is not None and drift["score"] > drift["max_drift"]:
        return HeldBecause.DRIFT
    return HeldBecause.ACCURACY if is_inaccurate(found) else None


def is_inaccurate(found: Manifest) -> bool:
    if found.min_accuracy is None:
        return False
    if found.labels and found.labels["rows"] >= gates.MIN_LABELLED:
        rows = found.labels["rows"]
        return wilson(found.labels["accuracy"], rows)[1] < found.min_accuracy
    estimate = found.accuracy_estimate
    return estimate is not None and estimate.high < found.min_accuracy


@given(manifests())
def test_every_place_says_the_same(found: Manifest) -> None:
    because = expected(found)
    assert (found.held_because, found.is_held) == (because, because is not None)
    shown = summary.of_run(found, PATHS, {})
    assert (shown["held_because"], shown["held_reason"]) == (because, found.held_reason)
    values = {
        sample.labels["reason"]: sample.value
        for family in metrics_file.collect(metrics_file.Ending(start=0, manifest=found))
        if family.name == "penguin_score_held"
        for sample in family.samples
    }
    assert values == {each: float(each is because) for each in HeldBecause}
    text = summary.as_text(shown)
    if because is None:
        assert found.held_reason == ""
        assert "held" not in text.splitlines()[0]
        return
    error = run._held_error(found, PATHS)
    assert isinstance(error, HeldError)
    assert error.exit_code == (4 if because in ("drift", "accuracy") else 3)
    assert error.code == because
    assert str(error).startswith(f"{found.held_reason}; nothing is published, ")
    assert found.held_reason in text
    assert found.held_reason in verdict.judge(Evidence(manifest=found)).answer
    # Read again, by this release and, without the newer fields, from an earlier one's manifest.
    written = to_json(found)
    assert from_json(written) == found
    del written["held_reason"]
    assert from_json(written).held_reason == found.held_reason
    del written["held_because"]
    assert from_json(written).held_reason == found.held_reason


@given(manifests())
def test_a_reason_is_one_sentence_that_is_true_as_it_is_written(found: Manifest) -> None:
    """The rounded number is on its own side of the limit, and the flag can be repeated."""
    if not found.is_held:
        return
    assert not found.held_reason.endswith(".")
    before, flag, limit = found.held_reason.rpartition(" --")[0], *found.held_reason.split(" ")[-2:]
    assert before.endswith(("more than", "less than", "fewer than"))
    because = found.held_because
    if because is HeldBecause.REJECTS:
        assert flag == "--max_reject_fraction"
        assert float(before.partition("%")[0]) / 100 > float(limit)
    if because is HeldBecause.MIN_ROWS:
        assert flag == "--min_rows"
        assert int(before.partition(" row")[0].replace(",", "")) < float(limit)
    if because is HeldBecause.ACCURACY:
        assert flag == "--min_accuracy"
        share, _, most = before.partition(" is ")[2].partition(" (at most ")
        assert float(share.rstrip("%")) / 100 < float(limit)
        assert float(most.partition("%")[0]) / 100 < float(limit)


@pytest.mark.parametrize("because", HeldBecause)
def test_each_reason_has_its_own_error(because: HeldBecause) -> None:
    kind = of_code(because)
    assert issubclass(kind, HeldError)
    assert kind.code == because


@pytest.mark.parametrize(
    ("torn", "files", "limit", "held"),
    [
        (1, 2, 0.5, False), (2, 3, 0.5, True), (1, 1, 0.5, True), (999, 1000, 0.5, True),
        (0, 0, 0.0, False), (0, 3, 0.0, False), (1, 1000, 0.0, True), (29, 100, 0.29, False),
        (1, 1, 1.0, False), (2, 1000, 1.0, True), (5, 5, 5.0, False), (6, 6, 5.0, True),
        (3, 3, None, False),
    ],
)  # fmt: skip
def test_unreadable_files(torn: int, files: int, limit: float | None, held: bool) -> None:
    found = manifest_of(
        PATHS, totals=Totals(files=files, files_unreadable=torn, rows_read=9, rows_scored=9),
        max_unreadable_files=limit,
    )  # fmt: skip
    reason = find_reason(found)
    assert (reason is not None) == held
    if reason:
        assert reason.because is HeldBecause.UNREADABLE_FILES
        assert f"{torn} of {files:,} file" in reason.sentence


@pytest.mark.parametrize(
    ("hits", "misses", "held"),
    [
        (0, 3, False),
        (0, 29, False),
        (0, 30, True),
        (88, 12, False),
        (80, 20, True),
        (99, 1, False),
    ],
)
def test_a_few_unlucky_birds_hold_nothing(hits: int, misses: int, held: bool) -> None:
    rows = hits + misses
    labels = {"rows": rows, "accuracy": hits / rows, "confusion": [[hits, misses], [0, 0]]}
    facts = manifest_of(PATHS, labels=labels, min_accuracy=0.9)
    assert (find_reason(facts) is not None) == held
    # With too few labels, the estimate judges.
    low = AccuracyEstimate(accuracy=0.5, low=0.4, high=0.6, rows=1000)
    reason = find_reason(msgspec.structs.replace(facts, accuracy_estimate=low))
    if rows < gates.MIN_LABELLED:
        assert reason is not None
        assert reason.sentence == (
            "the estimated accuracy of 1,000 rows is 50.0% (at most 60.0% by its 95% interval), "
            "less than --min_accuracy 0.9"
        )
    else:
        assert (reason is not None) == held


def test_manifests_of_early_releases_say_why(tmp_path: Path) -> None:
    old = reports.manifest("old", status="held")
    assert from_json(old | {"held_because": "rejects"}).held_reason == "too many rows were rejected"
    assert from_json(old | {"held_because": "drift"}).held_reason == "the data have drifted"
    assert from_json(old).held_because is HeldBecause.DRIFT
