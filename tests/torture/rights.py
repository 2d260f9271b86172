"""What the job may not read, and where it may not write, as users whom permissions bind meet it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.running import PROJECT, beside_progress, command
from tests.torture.cases import Case
from tests.torture.jobs import SECONDS, check_line, check_nothing_left, check_rows, rows_of_runs
from tests.torture.jobs import make_night as make_files

# Root passes every permission by these two capabilities.
AS_ANYONE = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")


def obey_permissions(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs the job as a user whom permissions bind."""
    prefix = AS_ANYONE if os.geteuid() == 0 else ()
    return subprocess.run(
        [*prefix, *command(*arguments)], cwd=PROJECT, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=SECONDS,
    )  # fmt: skip


@contextmanager
def mode(path: Path, bits: int) -> Iterator[None]:
    """A path's permissions, given back so that it can be cleaned up."""
    before = path.stat().st_mode
    path.chmod(bits)
    try:
        yield
    finally:
        path.chmod(before)


def permissions(folder: Path) -> Case:
    """A file that may not be read costs itself; an output that may not be written costs the run."""
    case = Case("no permission")
    if os.geteuid() == 0 and shutil.which(AS_ANYONE[0]) is None:
        case.see("skipped: root without setpriv")
        return case
    night, output = make_files(folder / "night", 200), folder / "out"
    whole = {"a.parquet": 200, "b.csv": 100}
    for name in ("locked.csv", "locked.parquet"):
        shutil.copy(night / "b.csv", night / name)
        (night / name).chmod(0)
    ran = obey_permissions("--input", night, "--output", output, "--run_id", "run")
    err = beside_progress(ran.stderr)
    case.check((ran.returncode, err) == (0, ""), f"{ran.returncode}: {err}")
    check_rows(case, rows_of_runs(output).get("run", {}), whole)
    with mode(output, 0o555), mode(output / "predictions", 0o555):
        ran = obey_permissions("--input", night, "--output", output, "--run_id", "other")
    case.check(ran.returncode == 1, f"exit code {ran.returncode} without permission to write")
    case.check(str(output) in ran.stderr, f"the place is not named: {ran.stderr!r}")
    check_line(case, ran.stderr)
    case.check(list(rows_of_runs(output)) == ["run"], "another run became visible")
    check_nothing_left(case, output)
    case.see("locked file rejected")
    case.see("locked output refused")
    case.tries += 2
    return case
