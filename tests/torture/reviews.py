"""kill -9 of reviews at random moments, one or two at once, and the next night after them."""

import functools
import os
import random
import signal
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from pipelines.errors import PenguinError
from pipelines.runs.manifest import Status
from tests.support.histories import Night, Review, check, read_state
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


def _start(act: Callable[[], object]) -> int:
    """A night or a review in a process of its own; its id."""
    child = os.fork()
    if child:
        return child
    try:
        act()
    except PenguinError:
        os._exit(1)
    except BaseException:
        traceback.print_exc()
        os._exit(2)
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
        decisions = (status, other)[: 1 + number % 2]
        children = [_start(functools.partial(decide_on, output, each)) for each in decisions]
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


def reviews_beside_nights(folder: Path, tries: int, seed: int) -> Case:
    """Nights and reviews at once, some of them killed, while files arrive; then one more night."""
    case = Case("reviews beside nights")
    choice = random.Random(seed)
    for number in range(tries):
        output = folder / str(number)
        versions = {"a": 1}
        for _ in range(6):
            versions[choice.choice("abcdef")] = choice.randrange(1, 100)
            there = frozenset((name, version, 0) for name, version in versions.items())
            acts = [_choose(choice) for _ in range(3)]
            children = [_start(functools.partial(act.act, output, there)) for act in acts]
            for child in children:
                if choice.random() < 0.4:
                    time.sleep(choice.uniform(0, 0.03))
                    os.kill(child, signal.SIGKILL)
                ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                case.check(ended != 2, f"{acts[children.index(child)]} failed")
                case.see({0: "done", 1: "refused"}.get(ended, "killed"))
        Night("last", new_only=True, held=False, replace=False).act(output, there)
        try:
            state = read_state(output)
            check(output, state, there)
        except AssertionError as error:
            case.faults.append(f"{number}: {error}")
            continue
        case.rows += len(there)
        case.lost += len(there - state.done() - state.waiting())
        rows = [file for run in state.published.values() for file in run.files]
        case.doubled += len(rows) - len(set(rows))
        case.tries += 1
    return case


def _choose(choice: random.Random) -> Night | Review:
    run_id = choice.choice("rst")
    if choice.random() < 0.5:
        held, replace = choice.random() < 0.5, choice.random() < 0.5
        return Night(run_id, new_only=True, held=held, replace=replace)
    return Review(0, choice.choice(list(REVIEWS)), choice.random() < 0.5, run_id=run_id)
