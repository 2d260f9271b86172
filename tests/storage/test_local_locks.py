"""Locks: who may hold one, who holds it, and what happens to their files."""

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines import publishing
from pipelines.errors import OutputError
from pipelines.storage import local_locks
from tests.support.publication import check_whole, new, publish_new
from tests.support.running import PROJECT, listing

HOLD = """if True:
    import sys
    from pipelines.storage import local_locks
    with local_locks.hold(sys.argv[1], sys.argv[2]):
        print("held", flush=True)
        sys.stdin.read()
"""
FLOCK = """if True:
    import fcntl, os, sys
    for path in sys.argv[1:]:
        try:
            fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
            print("locked", path, flush=True)
        except OSError as error:
            print(error.strerror, path, flush=True)
    print("end", flush=True)
    sys.stdin.read()
"""
AS_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=PROJECT
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_lock_ends_with_its_process_and_leaves_no_file(tmp_path: Path) -> None:
    lock = str(tmp_path / "_staging/.lock")
    with running(sys.executable, "-c", HOLD, lock, str(tmp_path)) as holder:
        assert first_line(holder) == "held"
        with local_locks.try_to_hold(lock) as free:
            assert not free
    with local_locks.try_to_hold(lock) as free:
        assert free
    with local_locks.hold(lock, str(tmp_path)):
        assert listing(tmp_path) == ["_staging/", "_staging/.lock"]
    assert listing(tmp_path) == []


def test_whoever_waits_says_for_whom_and_not_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(local_locks, "_NOTE_SECONDS", 0.1)
    monkeypatch.setattr(local_locks, "_MOST_SECONDS", 0.3)
    lock = str(tmp_path / "_staging/.lock")
    with running(sys.executable, "-c", HOLD, lock, str(tmp_path)) as holder:
        assert first_line(holder) == "held"
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(OutputError, match=f"process {holder.pid} has held its lock"):
            publish_new(new(tmp_path))
        assert f"held by process {holder.pid}\n" in capsys.readouterr().err
    publish_new(new(tmp_path))
    assert check_whole(tmp_path) == 5


def test_many_take_turns_while_the_file_comes_and_goes(tmp_path: Path) -> None:
    lock, inside, most = str(tmp_path / "_staging/.lock"), [0], [0]

    def work() -> None:
        for _ in range(50):
            with local_locks.hold(lock, str(tmp_path)):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert listing(tmp_path) == []


@pytest.mark.parametrize(
    ("bits", "expected"), [(0o755, 0o600), (0o775, 0o660), (0o777, 0o666), (0o2770, 0o660)]
)
def test_who_may_write_a_folder_may_hold_its_lock(tmp_path: Path, bits: int, expected: int) -> None:
    tmp_path.chmod(bits)
    with local_locks.hold(str(tmp_path / "_staging/.lock"), str(tmp_path)):
        assert (tmp_path / "_staging/.lock").stat().st_mode & 0o777 == expected


def test_a_lock_is_held_on_a_descriptor_for_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS turns it into a byte-range lock, which requires that."""
    flags = []
    flock = fcntl.flock

    def note(descriptor: int, how: int) -> None:
        flags.append(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE)
        flock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", note)
    publish_new(new(tmp_path))
    publish_new(new(tmp_path, run_id="s"))
    assert set(flags) == {os.O_RDWR}


def test_a_filesystem_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(OutputError, match="its filesystem has no locks"):
        publish_new(new(tmp_path))


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become another user"
)
def test_who_may_only_read_holds_nobody_up() -> None:
    """The user `nobody` locks every file and folder that it can open."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        output = Path(folder) / "out"
        publish_new(new(output))
        publication = new(output, run_id="s")
        with publishing.of(publication.layout).attempt():
            places = [str(output), *map(str, output.rglob("*"))]
            with running(*AS_NOBODY, sys.executable, "-c", FLOCK, *places) as other:
                told = []
                while (line := first_line(other)) not in ("end", ""):
                    told.append(line)
                assert f"locked {output}" in told
                refused = f"Permission denied {publication.layout.staging}/.lock"
                assert refused in told
                publish_new(new(output, run_id="t"))
        assert check_whole(output, "t") == 5
        assert not (output / "_staging").exists()
