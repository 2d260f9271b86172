"""Power cuts of a real ext4 filesystem, on a loop device: all that wasn't synced is gone.

The process goes on after a cut and meets errors, as it would on a disk that was unplugged; then
the filesystem is mounted again, and the next run comes.
"""

import contextlib
import fcntl
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines import publishing
from pipelines.errors import PenguinError
from pipelines.publishing import publish
from pipelines.publishing.recovery import Attempt
from pipelines.runs import ledger
from tests.support.publication import at_step, check_whole, new, publish_new, staged
from tests.torture.cases import Case
from tests.torture.jobs import check_rows, finish, make_night, rows_of_runs

# From Linux' ext4.h: shuts the filesystem down, with its own journal written first or not.
EXT4_IOC_SHUTDOWN = 0x8004587D
WITH_JOURNAL, WITHOUT = 1, 2


class Disk:
    """An ext4 filesystem in a file, mounted at a folder."""

    def __init__(self, folder: Path, megabytes: int = 64) -> None:
        folder.mkdir(parents=True)
        self.file, self.path = folder / "disk", folder / "mounted"
        self.path.mkdir()
        with open(self.file, "wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", self.file], check=True, capture_output=True)

    def mount(self) -> None:
        command = ["mount", "-o", "loop", str(self.file), str(self.path)]
        subprocess.run(command, check=True, capture_output=True)

    def unmount(self) -> None:
        for _ in range(50):
            if subprocess.run(["umount", self.path], capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError(f"{self.path} cannot be unmounted")

    def cut_power(self, how: int = WITHOUT) -> None:
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", how))
        finally:
            os.close(descriptor)


def why_not() -> str | None:
    """Why there can be no power cut on this machine; None if there can."""
    if not sys.platform.startswith("linux"):
        return "needs Linux"
    if os.geteuid() != 0:
        return "needs root"
    if not os.path.exists("/dev/loop-control"):
        return "needs loop devices"
    return None


@contextlib.contextmanager
def mounted(folder: Path, megabytes: int = 64) -> Iterator[Disk]:
    disk = Disk(folder, megabytes)
    disk.mount()
    try:
        yield disk
    finally:
        disk.unmount()


def cut_while_publishing(disk: Disk, root: str, stop: int, how: int, kind: str) -> bool:
    """Cuts the power at a step of a run that is published, replaced or held; whether it came."""
    output = disk.path / root
    if kind == "replaced":
        publish_new(new(output), rows=20, rejects=1)
        os.sync()
    limit = 0.0 if kind == "held" else 0.1
    publication = new(output, replace=kind == "replaced", max_reject_fraction=limit)
    # The process is gone with the power: nothing is tidied up.
    with (
        pytest.MonkeyPatch.context() as patched,
        contextlib.suppress(PenguinError, OSError),
        publishing.of(publication.layout).attempt(),
    ):
        made = staged(publication.layout, 50, 1)
        steps = at_step(patched, stop, lambda: disk.cut_power(how))
        publish(publication, *made)
        patched.setattr(Attempt, "end", lambda _: None)
    came = steps() >= stop
    if not came:
        # Right after the end of a run: all of it is there.
        disk.cut_power(how)
    disk.unmount()
    disk.mount()
    return came


def check_after(disk: Disk, root: str, kind: str, *, ended: bool) -> None:
    """What readers find after a cut and the next night."""
    output = disk.path / root
    for manifest in output.glob("runs/*.json"):
        assert manifest.stat().st_size > 0
    publish_new(new(output, run_id="s"), rows=4)
    assert check_whole(output, "s") == 4
    rows = check_whole(output)
    assert rows in {"published": (0, 50), "replaced": (20, 50), "held": (0,)}[kind]
    if ended:
        assert rows == (0 if kind == "held" else 50)
        assert (output / "_held/r/manifest.json").exists() == (kind == "held")
    for manifest in output.glob("_held/*/manifest.json"):
        assert manifest.stat().st_size > 0
    assert not (output / "_staging").exists()
    assert sum(1 for _ in ledger.published_runs(str(output))) == (2 if rows else 1)


def power_cuts(folder: Path, every: int, rows: int, jobs: int) -> Case:
    """Cuts at every n-th step of publication, and some seconds after the command's exit 0."""
    case = Case("power cuts")
    if reason := why_not():
        case.see(f"skipped: {reason}")
        return case
    for kind in ("published", "replaced", "held"):
        for how in (WITH_JOURNAL, WITHOUT):
            with mounted(folder / f"{kind}-{how}") as disk:
                for stop in range(1 + how % every, 1000, every):
                    came = cut_while_publishing(disk, str(stop), stop, how, kind)
                    try:
                        check_after(disk, str(stop), kind, ended=not came)
                    except AssertionError as error:
                        case.faults.append(f"{kind}, step {stop}, {how}: {error}")
                    case.tries += 1
                    case.see(f"{kind}")
                    if not came:
                        break
    night = make_night(folder / "night", rows)
    whole = {"a.parquet": rows, "b.csv": rows // 2}
    for number in range(jobs):
        with mounted(folder / f"job-{number}", 256) as disk:
            flags = ["--input", night, "--output", disk.path / "out", "--run_id"]
            code, err = finish(*flags, "run")
            case.check(code == 0, f"exit code {code}: {err}")
            # Before and after the system has written things of its own accord.
            time.sleep(number * 3)
            disk.cut_power(WITH_JOURNAL if number % 2 else WITHOUT)
            disk.unmount()
            disk.mount()
            check_rows(case, rows_of_runs(disk.path / "out").get("run", {}), whole)
            code, err = finish(*flags, "next", "--new_only")
            case.check(code == 0, f"exit code {code} the night after: {err}")
            case.check(len(rows_of_runs(disk.path / "out")) == 1, "a file was published twice")
        case.tries += 1
        case.see("after exit 0")
    return case
