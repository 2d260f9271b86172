"""The report's first line: whether to trust the predictions, and why."""

from typing import Any

import pytest

from pipelines import formatting
from pipelines.report import verdict
from pipelines.report.data import Report
from pipelines.runs.manifest import from_json
from tests.support import reports
from tests.support.reports import (
    labelled,
    manifest,
    measured,
)


def answer(found: dict[str, Any]) -> verdict.Verdict:
    return verdict.judge(Report(manifest=from_json(found), card=reports.card()))


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (measured(manifest("r")), "yes", "Yes, these predictions can be trusted."),
        (
            measured(manifest("r"), shift=2), "caution",
            "With caution: the data have drifted in Culmen",
        ),
        (manifest("r"), "caution", "With caution: drift wasn't measured."),
        (
            manifest("r", rows=0, species={}), "caution",
            "There are no predictions to trust: no rows were scored.",
        ),
        (
            manifest("r", status="held", rejects_by_reason={"missing_value": 400}), "no",
            "No: 53.9% of the rows were rejected, so nothing was published.",
        ),
        (
            measured(manifest("r", status="held"), shift=2, max_drift=0.2), "no",
            "No: the data have drifted in CulmenLength (PSI ",
        ),
        (labelled(measured(manifest("r")), wrong=2), "yes", "Yes, these"),
        (
            labelled(measured(manifest("r")), wrong=90), "caution",
            "With caution: accuracy is significantly lower than in training.",
        ),
    ],
)  # fmt: skip
def test_the_first_line_answers_whether_to_trust(
    found: dict[str, Any], level: str, words: str
) -> None:
    got = answer(found)
    assert got.level == level
    assert got.answer.replace(formatting.NO_BREAK, " ").startswith(words)


def test_reasons_say_what_was_checked_and_do_not_repeat_the_answer() -> None:
    fine = answer(labelled(measured(manifest("r")), wrong=2))
    assert len(fine.reasons) == 4
    assert fine.reasons[0] == "The run is published."
    assert fine.reasons[2] == "There is no drift beyond chance."
    assert not any("rift" in each for each in answer(measured(manifest("r"), shift=2)).reasons)


def test_what_drifted_is_named_worst_first() -> None:
    def named(*indices: float) -> str:
        shifts = {f"f{n}": {"psi": psi, "drifted": True} for n, psi in enumerate(indices)}
        return verdict.name_drifted({"training": shifts, "baseline": None})

    assert named() == ""
    assert named(0.2) == "f0 (PSI 0.20)"
    assert named(0.2, 0.3) == "f1 (PSI 0.30) and f0 (PSI 0.20)"
    assert named(0.5, 0.4, 0.3, 0.2, 0.2) == (
        "f0 (PSI 0.50), f1 (PSI 0.40), f2 (PSI 0.30) and 2 more"
    )


def test_the_interval_is_wilsons() -> None:
    # R: prop.test(c(0, 8, 10), c(10, 10, 10), correct=FALSE)
    assert verdict.interval(0, 10) == pytest.approx((0, 0.27753), abs=1e-4)
    assert verdict.interval(8, 10) == pytest.approx((0.49016, 0.94332), abs=1e-4)
    assert verdict.interval(10, 10) == pytest.approx((0.72247, 1), abs=1e-4)
