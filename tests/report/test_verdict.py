"""The report's first lines: whether to use the predictions, and why not."""

from typing import Any

import pytest

from pipelines.report import comparisons, page, verdict
from pipelines.report.data import Report
from pipelines.report.doubts import Evidence
from pipelines.runs.manifest import from_json
from tests.support import reports
from tests.support.pages import Page
from tests.support.reports import labelled, manifest, measured

REVIEW = {
    "status": "rejected", "at": "2026-11-25T08:00:00+00:00", "by": "ann@station",
    "why": "the caliper was off",
}  # fmt: skip


def answer(found: dict[str, Any]) -> verdict.Verdict:
    return verdict.judge(Evidence(manifest=from_json(found), card=reports.card()))


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (measured(manifest("r")), "fine", "No problem found."),
        (labelled(measured(manifest("r")), wrong=2), "fine", "No problem found."),
        (
            measured(manifest("r"), shift=2), "look",
            "Look before you use it: the data have drifted in CulmenLength (PSI ",
        ),
        (manifest("r"), "look", "Look before you use it: drift wasn't measured."),
        (
            manifest("r", rows=0, species={}), "look",
            "Look before you use it: no rows were scored.",
        ),
        (
            labelled(measured(manifest("r")), wrong=90), "look",
            "Look before you use it: accuracy is ",
        ),
        (
            manifest("r", status="held", rejects_by_reason={"missing_value": 400}), "held",
            "Held: 53.9% of the rows were rejected, more than ",
        ),
        (
            measured(manifest("r", status="held"), shift=2, max_drift=0.2), "held",
            "Held: the data have drifted",
        ),
        (manifest("r", status="held", held_reason="5 rows < 9"), "held", "Held: 5 rows < 9."),
        (
            manifest("r", status="rejected", held_reason="it drifted", held_because="drift",
                     reviews=[REVIEW]),
            "closed",
            "Rejected by ann@station on 2026-11-25 08:00:00 UTC: the caliper was off; it had been "
            "held because it drifted.",
        ),
        (
            manifest("r", status="retracted", reviews=[REVIEW | {"status": "retracted", "by": ""}]),
            "closed", "Retracted on 2026-11-25 08:00:00 UTC: the caliper was off.",
        ),
        (manifest("r", status="pruned"), "closed", "Pruned."),
    ],
)  # fmt: skip
def test_the_first_line_answers_whether_to_use_it(
    found: dict[str, Any], level: str, words: str
) -> None:
    got = answer(found)
    assert got.level == level
    assert got.answer.replace("\N{NO-BREAK SPACE}", " ").startswith(words)
    assert "trusted" not in got.answer


def test_the_most_important_reason_comes_first_and_the_others_follow() -> None:
    found = measured(manifest("r", rows=50), shift=3)
    found["totals"] |= {"files_unreadable": 1}
    got = answer(found)
    assert "drifted" in got.answer
    assert [each.kind for each in got.doubts] == ["unreadable_files", "min_rows"]


def test_a_held_runs_reason_is_not_repeated() -> None:
    held = measured(manifest("r", status="held", held_because="drift"), shift=2, max_drift=0.2)
    assert answer(held).doubts == ()
    held["totals"] |= {"files_unreadable": 1}
    assert [each.kind for each in answer(held).doubts] == ["unreadable_files"]


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (measured(manifest("r")), "Accuracy unknown: no labels."),
        (
            measured(manifest("r")) | {
                "accuracy_estimate": {"accuracy": 0.98, "low": 0.97, "high": 0.99, "rows": 342}
            },
            "Accuracy unknown: no labels; estimated at 98.0% (97.0% to 99.0%) from the "
            "probabilities alone.",
        ),
        (labelled(measured(manifest("r")), wrong=0), "Accuracy 100.0% on 319 labelled rows."),
        (
            labelled(measured(manifest("r", rows=50)), wrong=0),
            "Accuracy 100.0% on 29 labelled rows, too few to tell much.",
        ),
    ],
)  # fmt: skip
def test_what_is_known_of_the_accuracy_is_said(found: dict[str, Any], words: str) -> None:
    assert answer(found).accuracy.replace("\N{NO-BREAK SPACE}", " ") == words


@pytest.mark.parametrize(
    "reason", ["too <few> rows", "the data drifted: more than --max_drift 0.2"]
)
def test_the_page_gives_the_manifests_reason_word_for_word(reason: str) -> None:
    found = manifest("r", status="held", held_because="min_rows", held_reason=reason)
    shown = Page(page.render(Report(manifest=from_json(found))))
    (box,) = shown.all("div", "verdict held")
    assert f"Held: {reason}." in box.text
    assert shown.text("title")[0] == f"Run r: Held: {reason}."


def test_what_drifted_is_named_worst_first() -> None:
    def named(*indices: float) -> str:
        shifts = {
            f"f{n}": {"psi": psi, "threshold": 0.1, "drifted": True}
            for n, psi in enumerate(indices)
        }
        return comparisons.name_large({"training": shifts, "previous": None})

    assert named() == ""
    assert named(0.2) == "f0 (PSI 0.20)"
    assert named(0.2, 0.3) == "f1 (PSI 0.30) and f0 (PSI 0.20)"
    assert named(0.5, 0.4, 0.3, 0.2, 0.2) == (
        "f0 (PSI 0.50), f1 (PSI 0.40), f2 (PSI 0.30) and 2 more"
    )
