"""Elements that a runner loses or doubles, at every edge between two steps."""

from pathlib import Path

from penguin_model import cli
from pipelines.errors import PenguinError
from tests.support import meddling
from tests.support.meddling import EXPECTED, Meddler
from tests.support.running import listing, manifest
from tests.torture.cases import Case


def lost_and_doubled(folder: Path, places: int) -> Case:
    """Loses, then doubles, the first elements of each edge, and the last."""
    case = Case("an element lost or doubled")
    # Beam logs the error of each step; the case counts them.
    cli.quiet_libraries(verbose=False)
    night = meddling.make_night(folder)
    counted = Meddler()
    meddling.run(night, folder / "whole", counted)
    for edge in meddling.EDGES:
        known = counted.seen[edge]
        for place in sorted({*range(min(places, known)), known - 1}):
            for how in ("drop", "double"):
                output = folder / f"out{case.tries}"
                harmless = how in meddling.HARMLESS.get(edge, ())
                _try(case, night, output, Meddler(edge, place, how), harmless=harmless)
                case.tries += 1
    return case


def _try(
    case: Case, night: meddling.Night, output: Path, meddler: Meddler, *, harmless: bool
) -> None:
    try:
        meddling.run(night, output, meddler)
    except PenguinError:
        case.check(not harmless, "a run failed for no loss")
        case.check(not listing(output), f"left over: {listing(output)}")
        case.see("refused")
        return
    case.rows += EXPECTED["rows_read"]
    case.lost += EXPECTED["rows_read"] - manifest(output)["totals"]["rows_read"]
    case.check(harmless, "a run was published in part")
    case.see("harmless")
