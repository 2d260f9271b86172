"""kill -9 of reviews at random moments, one or two at once, and the next night after them."""

import os
import random
import signal
import time
from pathlib import Path

from pipelines.errors import PenguinError
from pipelines.runs.manifest import Status
from tests.support.publication import check_whole, decide_on, hold_new, new, publish_new, rows_seen
from tests.torture.cases import Case

ROWS = 40
REVIEWS = {
    Status.PUBLISHED: (Status.HELD,),
    Status.REJECTED: (Status.HELD,),
    Status.RETRACTED: (Status.PUBLISHED,),
    Status.PRUNED: (Status.PUBLISHED,),
}


def state_of(output: Path) -> list[str]:
    """Where a run is: exactly one place, if nothing is lost or doubled."""
    places = {
        Status.PUBLISHED: "runs/r.json",
        Status.HELD: "_held/r/manifest.json",
        "closed": "_closed/r/manifest.json",
    }
    return [str(name) for name, path in places.items() if (output / path).exists()]


def _start(output: Path, status: Status) -> int:
    """A review in a process of its own; its id."""
    child = os.fork()
    if child:
        return child
    try:
        decide_on(output, status)
    except PenguinError:
        pass
    finally:
        os._exit(0)


def killed_reviews(folder: Path, tries: int, seed: int) -> Case:
    """One review or two at once, killed, then the next night: the run is whole, in one place."""
    case = Case("kill -9 of reviews")
    choice = random.Random(seed)
    for number in range(tries):
        output = folder / str(number)
        status = choice.choice(list(REVIEWS))
        before = REVIEWS[status][0]
        if before is Status.HELD:
            hold_new(output, rows=ROWS)
        else:
            publish_new(new(output), rows=ROWS)
        other = choice.choice([each for each in REVIEWS if REVIEWS[each][0] is before])
        children = [_start(output, each) for each in (status, other)[: 1 + number % 2]]
        time.sleep(choice.uniform(0, 0.03))
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        case.check(rows_seen(output, "r") in (0, ROWS), "a reader saw part of a run")
        publish_new(new(output, "s"), rows=4)
        found = state_of(output)
        case.check(len(found) == 1, f"{status}: the run is in {found}")
        case.check(not (output / "_staging").exists(), f"{status}: staging is left")
        rows = check_whole(output)
        case.rows += ROWS
        expected = ROWS if found == [Status.PUBLISHED] else 0
        case.lost += max(0, expected - rows)
        case.doubled += max(0, rows - expected)
        case.see("unchanged" if found == [str(before)] else "done")
        case.tries += 1
    return case
