"""Small files that take much memory where a reader isn't careful."""

from pathlib import Path

from tests.support import bombs
from tests.torture.cases import Case


def memory_bombs(folder: Path, scale: float) -> Case:
    """Each bomb in a job of its own: all rows accounted for, below the limit in memory."""
    case = Case("memory bombs")
    most = 0
    for name, bomb in bombs.bombs(scale).items():
        place = folder / name.replace(",", "").replace(" ", "-")
        ran, faults = bombs.check(name, bomb, place)
        case.faults += faults
        case.tries += 1
        case.rows += ran.rows
        most = max(most, ran.peak)
    case.seen["MB at most"] = most // 10**6
    return case
