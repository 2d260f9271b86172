"""Files: whole writes, exchanged folders, many at a time, locks that tell living from dead."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from penguin_model.errors import OutputError
from pipelines import locks, storage


def make(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_folder_takes_the_place_of_another(
    tmp_path: Path, can_exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_exchange:
        monkeypatch.setattr(storage, "_exchange", lambda *_: False)
    new = make(tmp_path / "staging/new", a="new")
    old = make(tmp_path / "place", a="old", b="old")
    storage.put_folder(str(new), str(old))
    assert texts(tmp_path / "place") == {"a": "new"}


def test_a_folder_moves_to_an_empty_place_and_keeps_its_identity(tmp_path: Path) -> None:
    new = make(tmp_path / "new", a="x")
    identity = storage.folder_identity(str(new))
    storage.put_folder(str(new), str(tmp_path / "deep/place"))
    assert storage.folder_identity(str(tmp_path / "deep/place")) == identity
    assert storage.folder_identity(str(new)) is None


def test_a_write_that_fails_names_the_place_and_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputError, match=r"cannot write .*/file/below"):
        storage.write_bytes(str(tmp_path / "file/below"), b"new")
    assert (tmp_path / "file").read_text() == "old"


def test_a_lock_excludes_others_until_its_process_ends(tmp_path: Path) -> None:
    code = (
        "import sys; from pipelines import locks\n"
        "with locks.hold(sys.argv[1]):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with locks.try_to_hold(str(tmp_path)) as held:
            assert not held
    finally:
        holder.kill()
        holder.communicate()
    with locks.try_to_hold(str(tmp_path)) as held:
        assert held


def test_files_are_handled_several_at_a_time_and_in_order() -> None:
    both = threading.Barrier(2, timeout=30)

    def work(number: int) -> int:
        both.wait()
        return -number

    assert storage.for_each("s3://b", work, range(20)) == [-number for number in range(20)]


def test_local_files_are_handled_in_the_same_thread(tmp_path: Path) -> None:
    threads = storage.for_each(str(tmp_path), lambda _: threading.current_thread(), range(20))
    assert set(threads) == {threading.current_thread()}


def test_the_first_failure_is_told_and_the_rest_left() -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise OutputError("full")
        time.sleep(0.01)

    with pytest.raises(OutputError, match="full"):
        storage.for_each("s3://b", work, range(10_000))
    assert len(begun) < 5_000


@pytest.mark.parametrize(
    ("path", "local"), [("/a", True), ("a/b", True), ("file:///a", True), ("s3://b/a", False)]
)
def test_what_is_local(path: str, local: bool) -> None:
    assert storage.is_local(path) == local
    assert storage.absolute(path).startswith("/") == local
