"""Files that change while a run reads them, or that temporarily can't be read."""

import errno
import gzip
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from pipelines import job, storage
from pipelines.errors import PenguinError
from pipelines.reading.settings import Sizes
from pipelines.storage.local import LocalStore
from tests.support.running import (
    ONE_WORKER,
    listing,
    manifest,
    prepare_sized,
    published,
    run_here,
    totals,
)

SIZES = Sizes(
    small_file_bytes=400, span_bytes=1000, range_bytes=1000, block_bytes=500, batch_rows=20
)
HEADER = "CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"
ROW = "39.1,18.7,181,3750\n"


def content(name: str, rows: int, mass: int = 3750) -> bytes:
    """The bytes of a file with so many rows, in the format that its name implies."""
    table = pa.table(
        {"CulmenLength": [39.1] * rows, "CulmenDepth": [18.7] * rows}
        | {"FlipperLength": [181.0] * rows, "BodyMass": [float(mass)] * rows}
    )
    sink = pa.BufferOutputStream()
    if name.endswith(".parquet"):
        pq.write_table(table, sink, row_group_size=max(1, rows // 4))
    elif name.endswith(".arrow"):
        with pa.ipc.new_file(sink, table.schema) as writer:
            writer.write_table(table, max_chunksize=max(1, rows // 4))
    else:
        pa_csv.write_csv(table, sink)
    found = sink.getvalue().to_pybytes()
    return gzip.compress(found) if name.endswith(".gz") else found


def replace(path: Path, new: bytes) -> None:
    other = path.with_name("other")
    other.write_bytes(new)
    other.rename(path)


def overwrite(path: Path, new: bytes) -> None:
    path.write_bytes(new)


def shorten(path: Path, new: bytes) -> None:
    os.truncate(path, path.stat().st_size // 2)


def grow(path: Path, new: bytes) -> None:
    with path.open("ab") as file:
        file.write(new)


def keep_its_time(path: Path, new: bytes) -> None:
    """Replaces a file with one of the same size and time, so that only its identity differs."""
    before = path.stat()
    replace(path, new[: before.st_size].ljust(before.st_size, b"\n"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = [replace, overwrite, shorten, grow, keep_its_time]
# Files read whole, in a pack, in ranges, in spans of row groups or record batches, or through gzip.
NAMES = {
    "whole.csv": 30, "small.csv": 5, "large.csv": 200, "spans.parquet": 400, "batches.arrow": 400,
    "zip.csv.gz": 30,
}  # fmt: skip


class Changer:
    """Changes a file right before or after it is opened for the n-th time."""

    def __init__(self, path: Path, moment: int, change: Callable[[], None]) -> None:
        self.opened = 0
        self._path, self._moment, self._change = str(path), moment, change

    def install(self, patched: pytest.MonkeyPatch) -> None:
        opening = LocalStore().open_input

        def open_input(path: str) -> Any:
            if path != self._path:
                return opening(path)
            self.opened += 1
            if self.opened != self._moment // 2 + 1:
                return opening(path)
            if self._moment % 2:
                source = opening(path)
                self._change()
                return source
            self._change()
            return opening(path)

        patched.setattr(LocalStore, "open_input", staticmethod(open_input))


def attempt(prepared: job.Plan) -> PenguinError | None:
    """Runs a job, and returns the error it ends with."""
    try:
        job.execute(prepared)
    except PenguinError as error:
        return error
    return None


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_changes_is_never_a_mixture(
    tmp_path: Path, shipped_model: Path, name: str, change: Callable[[Path, bytes], None]
) -> None:
    """Whenever a file changes, the run has one version of it, or fails and names the file."""
    failed = 0
    for moment in (0, 1, 3, 50):
        folder, output = tmp_path / f"night{moment}", tmp_path / f"out{moment}"
        folder.mkdir()
        path = folder / name
        path.write_bytes(content(name, NAMES[name]))
        if change is keep_its_time and not storage.read_version(str(path)).inode:
            pytest.skip("this filesystem doesn't tell such a file from the one before")
        (folder / "another.csv").write_bytes(content("another.csv", 3))
        new = content(name, NAMES[name] + 7, 4000)
        flags = ("--input", folder, "--model", shipped_model, "--run_id", "test", *ONE_WORKER)
        prepared = prepare_sized(SIZES, output, *flags)
        changer = Changer(path, moment, lambda path=path, new=new: change(path, new))  # type: ignore[misc]
        with pytest.MonkeyPatch.context() as patched:
            changer.install(patched)
            error = attempt(prepared)
        if error is not None:
            assert f"{path} changed while the run read it" in str(error)
            assert listing(output) == []
            failed += 1
            continue
        # It was opened fewer times than this, so it didn't change.
        assert changer.opened <= moment // 2
        assert manifest(output)["totals"] == totals(
            files=2, rows_read=NAMES[name] + 3, rows_scored=NAMES[name] + 3
        )
    assert failed >= 2


def fail(path: Path, patched: pytest.MonkeyPatch, number: int) -> None:
    opening = LocalStore().open_input

    def open_input(opened: str) -> Any:
        if opened == str(path):
            raise OSError(number, os.strerror(number), opened)
        return opening(opened)

    patched.setattr(LocalStore, "open_input", staticmethod(open_input))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_cannot_be_read_for_now_is_tried_again(
    tmp_path: Path, shipped_model: Path, name: str, number: int
) -> None:
    folder, output = tmp_path / "night", tmp_path / "out"
    folder.mkdir()
    path = folder / name
    path.write_bytes(content(name, 200))
    (folder / "torn.parquet").write_bytes(b"PAR1 and no more")
    for other in range(12):
        (folder / f"{other}.csv").write_bytes(content("any.csv", 3))
    common = ("--input", folder, "--model", shipped_model, "--new_only", *ONE_WORKER)
    with pytest.MonkeyPatch.context() as patched:
        fail(path, patched, number)
        flags = ("--run_id", "first", "--max_reject_fraction", "1")
        assert run_here(output, *common, *flags) == 0
    told = {
        Path(row["source_file"]).name: row
        for row in published(output, "files", "first").to_pylist()
    }
    assert (told[name]["status"], told[name]["rows_read"]) == ("unreadable_for_now", 0)
    assert told["torn.parquet"]["status"] == "unreadable"
    assert told["3.csv"]["status"] == "read"
    (reject,) = [
        row
        for row in published(output, "rejects", "first").to_pylist()
        if row["source_file"] == str(path)
    ]
    assert (reject["reason"], reject["source_row"]) == ("unreadable_file", None)
    assert os.strerror(number) in reject["message"]

    assert run_here(output, *common, "--run_id", "second") == 0
    assert manifest(output, "second")["totals"] == totals(
        files=1, files_skipped=13, rows_read=200, rows_scored=200
    )
    assert run_here(output, *common, "--run_id", "third") == 0
    assert manifest(output, "third")["totals"] == totals(files_skipped=14)


class Failing:
    """A file on a disk that fails after some bytes."""

    def __init__(self, path: str, limit: int) -> None:
        self._file, self._left = io.BytesIO(Path(path).read_bytes()), limit

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(size)
        self._left -= len(data)
        if self._left < 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_fails_half_way_loses_and_doubles_nothing(
    tmp_path: Path, shipped_model: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is rejected as a whole and retried, or the run fails."""
    folder = tmp_path / "night"
    folder.mkdir()
    path = folder / name
    path.write_bytes(content(name, NAMES[name]))
    (folder / "another.csv").write_bytes(content("another.csv", 3))
    opening = LocalStore().open_input
    for limit in range(0, path.stat().st_size, max(1, path.stat().st_size // 3)):
        output = tmp_path / f"out{limit}"
        flags = ("--input", folder, "--model", shipped_model, "--new_only", *ONE_WORKER)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(
                LocalStore,
                "open_input",
                lambda _, opened, limit=limit: (
                    pa.PythonFile(Failing(opened, limit), mode="r")
                    if opened == str(path)
                    else opening(opened)
                ),
            )
            prepared = prepare_sized(
                SIZES, output, *flags, "--run_id", "first", "--max_reject_fraction", "1"
            )
            error = attempt(prepared)
        assert error is None or str(path) in str(error)
        assert error is None or listing(output) == []
        assert run_here(output, *flags, "--run_id", "second") == 0
        runs = [run for run in ("first", "second") if (output / f"runs/{run}.json").exists()]
        scored = [
            (row["source_file"], row["source_row"])
            for run in runs
            if (output / f"predictions/run_id={run}").exists()
            for row in published(output, "predictions", run).to_pylist()
        ]
        assert len(scored) == len(set(scored)) == NAMES[name] + 3
