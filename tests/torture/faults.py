"""A full disk, a read-only output, unreadable inputs, signals, and several runs at once."""

import contextlib
import random
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.running import PROJECT, command
from tests.torture.cases import Case
from tests.torture.jobs import (
    SECONDS,
    check_line,
    check_nothing_left,
    check_rows,
    finish,
    make_night,
    rows_of_runs,
    started,
    wait_for,
)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[bool]:
    """A tmpfs of some size; yields whether there could be one."""
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)], capture_output=True
    )
    try:
        yield made.returncode == 0
    finally:
        if made.returncode == 0:
            subprocess.run(["umount", str(folder)], check=True)


def full_disk(folder: Path, rows: int) -> Case:
    """The disk is full before the predictions are written; with more room the run succeeds."""
    case = Case("full disk")
    night = make_night(folder / "night", rows)
    with small_disk(folder / "disk", "1m") as mounted:
        if not mounted:
            case.see("skipped: no right to mount")
            return case
        output = folder / "disk/out"
        flags = ["--input", night, "--output", output, "--run_id", "run"]
        code, err = finish(*flags)
        check_refusal(case, code, err, output)
        subprocess.run(["mount", "-o", "remount,size=256m", str(folder / "disk")], check=True)
        code, err = finish(*flags)
        case.check(code == 0, f"exit code {code} with room again: {err}")
        check_rows(case, rows_of_runs(output)["run"], {"a.parquet": rows, "b.csv": rows // 2})
        subprocess.run(["mount", "-o", "remount,ro", str(folder / "disk")], check=True)
        code, err = finish("--input", night, "--output", output, "--run_id", "other")
        case.check(code == 1, f"exit code {code} on a read-only disk")
        check_line(case, err)
        case.check(list(rows_of_runs(output)) == ["run"], "another run became visible")
        case.see("read-only disk refused")
        case.tries += 3
    return case


def file_size_limit(folder: Path, rows: int) -> Case:
    """No file may grow over 64 KiB: the error of a quota, for users without a disk to mount."""
    case = Case("file size limit")
    night, output = make_night(folder / "night", rows), folder / "out"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 10, 64 << 10))

    arguments = command("--input", night, "--output", output, "--run_id", "run")
    ran = subprocess.run(
        arguments, cwd=PROJECT, capture_output=True, text=True, preexec_fn=limit,
        stdin=subprocess.DEVNULL, timeout=SECONDS,
    )  # fmt: skip
    check_refusal(case, ran.returncode, ran.stderr, output)
    code, err = finish("--input", night, "--output", output, "--run_id", "run")
    case.check(code == 0, f"exit code {code} without the limit: {err}")
    check_rows(case, rows_of_runs(output).get("run", {}), {"a.parquet": rows, "b.csv": rows // 2})
    check_nothing_left(case, output)
    case.tries += 2
    return case


def check_refusal(case: Case, code: int, err: str, output: Path) -> None:
    """Exit 1, one line that names the place, nothing published, nothing left."""
    case.check(code == 1, f"exit code {code}")
    case.check(str(output) in err, f"the place is not named: {err!r}")
    check_line(case, err)
    case.check(not rows_of_runs(output), "rows of a failed run are visible")
    case.check(not any(output.glob("runs/*")), "a failed run has a manifest")
    check_nothing_left(case, output)
    case.see("refused")


def unreadable_inputs(folder: Path) -> Case:
    """What is no readable file costs only itself."""
    case = Case("unreadable inputs")
    night, output = make_night(folder / "night", 200), folder / "out"
    (night / "folder.csv").mkdir()
    (night / "dangling.csv").symlink_to(night / "nowhere")
    (night / "loop.csv").symlink_to(night / "loop.csv")
    (night / "torn.parquet").write_bytes((night / "a.parquet").read_bytes()[:-9])
    (night / "empty.csv").write_bytes(b"")
    code, err = finish("--input", night, "--output", output, "--run_id", "run")
    case.check(code == 0, f"exit code {code}: {err}")
    check_rows(case, rows_of_runs(output).get("run", {}), {"a.parquet": 200, "b.csv": 100})
    check_nothing_left(case, output)
    case.tries += 1
    return case


def signals(folder: Path, tries: int, rows: int, seed: int) -> Case:
    """SIGTERM and SIGINT at random moments: nothing is left, or all is published."""
    case = Case("SIGTERM, SIGINT")
    choice = random.Random(seed + 3)
    night = make_night(folder / "night", rows)
    whole = {"a.parquet": rows, "b.csv": rows // 2}
    for number in range(tries):
        output = folder / f"out{number}"
        flags = ["--input", night, "--output", output, "--run_id", "run"]
        sent = (signal.SIGTERM, signal.SIGINT)[number % 2]
        with started(*flags) as job:
            if wait_for(job, output, "_staging/*/*/model/*"):
                time.sleep(choice.uniform(0, 5))
            job.send_signal(sent)
            _, err = job.communicate(timeout=60)
        case.check(job.returncode in (0, 128 + sent), f"exit code {job.returncode}: {err}")
        if job.returncode == 0:
            case.see("published")
            check_rows(case, rows_of_runs(output)["run"], whole)
        else:
            case.see("ended")
            check_line(case, err)
            case.check(not rows_of_runs(output), "rows of an ended run are visible")
        check_nothing_left(case, output)
        case.tries += 1
    return case


def together(folder: Path, rows: int) -> Case:
    """Two runs at once: with one id, with two, and with --new_only."""
    case = Case("two runs at once")
    night = make_night(folder / "night", rows)
    whole = {"a.parquet": rows, "b.csv": rows // 2}
    for name, ids, more in (
        ("same id", ("run", "run"), []),
        ("different ids", ("one", "two"), []),
        ("--new_only", ("one", "two"), ["--new_only"]),
    ):
        output = folder / name.strip("-").replace(" ", "_")
        flags = ["--input", night, "--output", output, *more]
        with started(*flags, "--run_id", ids[0]) as one, started(*flags, "--run_id", ids[1]) as two:
            ended = [(*job.communicate(timeout=180), job.returncode) for job in (one, two)]
        codes = sorted(code for _, _, code in ended)
        expected = {"same id": [0, 2], "different ids": [0, 0]}.get(name, [0, 1])
        # One may have begun after the other had ended: then it found the files done.
        fine = codes == expected or (bool(more) and codes == [0, 0])
        case.check(fine, f"{name}: exit codes {codes}: {[err for _, err, _ in ended]}")
        for _, err, code in ended:
            if code:
                check_line(case, err)
        for run in rows_of_runs(output).values():
            check_rows(case, run, whole)
        if more:
            case.check(len(rows_of_runs(output)) == 1, "--new_only published a file twice")
        check_nothing_left(case, output)
        case.see(f"{name}: {codes}")
        case.tries += 1
    return case
