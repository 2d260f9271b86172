"""The ledger: which earlier run tonight's data is compared with."""

from typing import Any

from penguin_model.card import Histogram, Reference
from pipelines.runs import ledger
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest, Model, Totals
from tests.support.publication import manifest_of

MEASURED = Reference(features={}, classes={}, probability=Histogram(edges=(), counts=(1,)))


def manifest(run_id: str, end: str, **changes: Any) -> Manifest:
    known = {"end": end, "model": Model(sha256="a"), "totals": Totals(rows_scored=5)}
    paths = Layout(output="", run_id=run_id, attempt="")
    return manifest_of(paths, **known | {"histograms": MEASURED} | changes)


def test_the_previous_run_is_the_last_that_can_be_compared() -> None:
    good = manifest("b", "2026-05-02")
    runs = [
        manifest("a", "2026-05-01"),
        good,
        manifest("empty", "2026-05-03", totals=Totals(rows_scored=0)),
        manifest("other model", "2026-05-04", model=Model(sha256="b")),
        manifest("without", "2026-05-05", histograms=None),
        manifest("mine", "2026-05-06"),
    ]
    assert ledger.find_previous(runs, "a", "mine") == good
    assert ledger.find_previous(reversed(runs), "a", "mine") == good
    assert ledger.find_previous([], "a", "mine") is None
