"""Files: all-or-nothing writes, and many files at a time."""

import threading
import time
from pathlib import Path

import pytest

from pipelines import storage
from pipelines.errors import OutputError


def test_a_write_that_fails_names_the_place_and_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputError, match=r"cannot write .*/file/below"):
        storage.write_bytes(str(tmp_path / "file/below"), b"new")
    assert (tmp_path / "file").read_text() == "old"


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
    assert (storage.local_path(path) is not None) == local
    assert storage.of(path).has_locks == local
    assert storage.absolute(path).startswith("/") == local
