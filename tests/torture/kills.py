"""kill -9 of the whole process group at random moments, then the run again."""

import random
import subprocess
import time
from pathlib import Path

from tests.torture.cases import Case
from tests.torture.jobs import (
    MODES,
    check_line,
    check_manifest,
    check_nothing_left,
    check_rows,
    finish,
    kill_group,
    make_night,
    rows_of_runs,
    started,
    wait_for,
)

CARRY = ("--passthrough", "observation_id")
# Moments of the job's life, by what appears below the output root; None is any time at all.
MOMENTS = (
    "_staging/*/*/model/*",
    "_staging/*/*/predictions/*",
    "_staging/*/*/ready/predictions",
    "_staging/*/*/decision.json",
    "_staging/*/*/journal.json",
    "files/run_id=run",
    "runs/run.json",
    None,
)


def kill_somewhere(
    job: subprocess.Popen[str], output: Path, choice: random.Random, moment: str | None
) -> str:
    """Kills the job at a moment or a little later; says when that was."""
    if moment is None:
        time.sleep(choice.uniform(0.2, 9))
    elif wait_for(job, output, moment):
        # Half of the kills come at once: publication takes a few milliseconds.
        time.sleep(choice.choice([0.0, choice.uniform(0, 0.05)]))
    ended = job.poll() is not None
    kill_group(job)
    if ended:
        return "too late"
    names = {"decision.json": "after the decision", "journal.json": "in publication"}
    for name, words in reversed(names.items()):
        if any(output.glob(f"_staging/*/*/{name}")):
            return words
    if any(output.glob("runs/run.json")) and not any(output.glob("_staging/*/*")):
        return "after the manifest"
    return "at work" if any(output.glob("_staging/*/*")) else "at start-up"


def kill_and_repeat(folder: Path, kills: int, rows: int, seed: int) -> Case:
    """The same run id again: all rows once, nothing left; readers never see half a run."""
    case = Case("kill -9, the run again")
    choice = random.Random(seed)
    night = make_night(folder / "night", rows)
    whole = {"a.parquet": rows, "b.csv": rows // 2}
    for number in range(kills):
        output = folder / f"out{number}"
        flags = [
            "--input",
            night,
            "--output",
            output,
            "--run_id",
            "run",
            *CARRY,
            *MODES[number % 2],
        ]
        with started(*flags) as job:
            case.see(kill_somewhere(job, output, choice, MOMENTS[number % len(MOMENTS)]))
        seen = rows_of_runs(output)
        if seen:
            check_rows(case, seen["run"], whole)
        case.check(seen or not (output / "runs/run.json").exists(), "a manifest without its rows")
        # Past the journal the run is finished by whoever comes next, who then finds its id taken.
        decided = any(output.glob("_staging/*/*/journal.json")) or any(output.glob("runs/*.json"))
        code, err = finish(*flags)
        case.check(code == (2 if decided else 0), f"exit code {code} after a kill: {err}")
        if code == 2:
            check_line(case, err)
            case.see("published by then")
        check_manifest(case, output, "run", rows + rows // 2)
        check_rows(case, rows_of_runs(output).get("run", {}), whole)
        check_nothing_left(case, output)
        case.tries += 1
    return case


def kill_and_next_night(folder: Path, kills: int, rows: int, seed: int) -> Case:
    """Another run id with --new_only, as a scheduler does: every file is published once."""
    case = Case("kill -9, next night")
    choice = random.Random(seed + 1)
    night = make_night(folder / "night", rows)
    whole = {"a.parquet": rows, "b.csv": rows // 2}
    for number in range(kills):
        output = folder / f"out{number}"
        flags = ["--input", night, "--output", output, "--new_only", *CARRY, *MODES[number % 2]]
        moment = MOMENTS[(number + 3) % len(MOMENTS)]
        with started(*flags, "--run_id", "run") as job:
            case.see(kill_somewhere(job, output, choice, moment))
        code, err = finish(*flags, "--run_id", "next")
        case.check(code == 0, f"exit code {code} the night after a kill: {err}")
        together: dict[str, list[int]] = {}
        for run in rows_of_runs(output).values():
            for name, found in run.items():
                together.setdefault(name, []).extend(found)
        check_rows(case, together, whole)
        check_nothing_left(case, output)
        case.tries += 1
    return case


def kill_and_replace(folder: Path, kills: int, rows: int, seed: int) -> Case:
    """A kill while a run is replaced: readers see the old one or the new one, whole."""
    case = Case("kill -9 while replacing")
    choice = random.Random(seed + 2)
    night = make_night(folder / "night", rows)
    old, new = {"b.csv": rows // 2}, {"a.parquet": rows, "b.csv": rows // 2}
    for number in range(kills):
        output = folder / f"out{number}"
        flags = ["--output", output, "--run_id", "run", *CARRY, *MODES[number % 2]]
        code, err = finish(*flags, "--input", night / "b.csv")
        case.check(code == 0, f"exit code {code}: {err}")
        moment = MOMENTS[2 + number % 3]
        with started(*flags, "--input", night, "--replace") as job:
            case.see(kill_somewhere(job, output, choice, moment))
        seen = rows_of_runs(output)["run"]
        check_rows(case, seen, new if "a.parquet" in seen else old)
        code, err = finish(*flags, "--input", night, "--replace")
        case.check(code == 0, f"exit code {code} after a kill: {err}")
        check_rows(case, rows_of_runs(output)["run"], new)
        check_manifest(case, output, "run", rows + rows // 2)
        check_nothing_left(case, output)
        case.tries += 1
    return case
