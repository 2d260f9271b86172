"""Disks that refuse: full, on another filesystem, read-only, or with something in the way."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines import publishing
from pipelines.errors import OutputError
from pipelines.publishing import publish
from tests.support.publication import check_whole, new, publish_new, rows_seen, staged
from tests.support.running import listing

pytestmark = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may mount"
)


@contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no right to mount: {made.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("replace", [False, True], ids=["first", "replace"])
@pytest.mark.parametrize("what", ["nr_inodes", "size"])
def test_a_disk_that_runs_out_while_publishing(tmp_path: Path, replace: bool, what: str) -> None:
    """At every limit, either the run is complete and its step succeeds, or nothing is visible."""
    codes = set()
    with mounted(tmp_path / "disk", "-t", "tmpfs", "-o", "size=8m", "tmpfs") as disk:
        for room in range(0, 32) if what == "nr_inodes" else range(0, 33, 4):
            output = disk / str(room)
            if replace:
                publish_new(new(output), rows=20)
            before = listing(output) if replace else []
            publication = new(output, replace=replace)
            found = os.statvfs(disk)
            failure = None
            try:
                with publishing.of(publication.layout).attempt():
                    made = staged(publication.layout, 50, 1)
                    found = os.statvfs(disk)
                    limit = {
                        "nr_inodes": found.f_files - found.f_ffree + room,
                        "size": (found.f_blocks - found.f_bfree) * found.f_bsize + (room << 10),
                    }[what]
                    remount(disk, f"{what}={limit}")
                    publish(publication, *made)
            except OutputError as error:
                failure = str(error)
            remount(disk, "size=8m,nr_inodes=10000")
            codes.add(failure is None)
            if failure is None:
                assert check_whole(output) == 50
            else:
                assert "No space left on device" in failure
                assert listing(output) == before
            assert not (output / "_staging").exists()
    assert codes == {True, False}


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(disk)], check=True)


@pytest.mark.parametrize("name", ["files", "rejects", "predictions", "_held", "_staging"])
@pytest.mark.parametrize("way", ["link", "mount"])
def test_a_place_on_another_disk_is_refused_early(tmp_path: Path, name: str, way: str) -> None:
    output = tmp_path / "out"
    output.mkdir()
    with mounted(tmp_path / "disk", "-t", "tmpfs", "tmpfs") as disk:
        if way == "link":
            (output / name).symlink_to(disk)
            check_refused(output, "another filesystem")
            (output / name).unlink()
        else:
            with mounted(output / name, "--bind", str(disk)):
                check_refused(output, "another filesystem", left=[f"{name}/"])
            (output / name).rmdir()
        publish_new(new(output))
        assert check_whole(output) == 5


def try_to_publish(output: Path) -> None:
    """Publishes as the job does."""
    publication = new(output, run_id="x")
    with publishing.of(publication.layout).attempt():
        publishing.of(publication.layout).refuse_published()
        publish(publication, *staged(publication.layout))


def check_refused(output: Path, words: str, left: list[str] | None = None) -> None:
    with pytest.raises(OutputError, match=words):
        try_to_publish(output)
    assert rows_seen(output, "x") == 0
    assert not (output / "runs/x.json").is_file()
    if left is not None:
        assert listing(output) == left


def test_manifests_may_be_on_another_disk(tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    with mounted(tmp_path / "disk", "-t", "tmpfs", "tmpfs") as disk:
        (output / "runs").symlink_to(disk)
        publish_new(new(output))
        publish_new(new(output, replace=True), rows=9)
        assert check_whole(output) == 9
        assert listing(disk) == ["r.json"]


def test_a_read_only_output_is_refused(tmp_path: Path) -> None:
    output = tmp_path / "out"
    publish_new(new(output))
    before = listing(output)
    with mounted(output, "--bind", str(output)):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(output)], check=True)
        with pytest.raises(OutputError, match="Read-only file system"):
            publish_new(new(output, run_id="s"))
    for name in ("files", "runs", "predictions"):
        with mounted(output / name, "--bind", str(output / name)):
            subprocess.run(["mount", "-o", "remount,ro,bind", str(output / name)], check=True)
            with pytest.raises(OutputError, match=f"out/{name}"):
                publish_new(new(output, run_id="s"))
    assert listing(output) == before
    assert check_whole(output) == 5


def a_file(path: Path) -> None:
    path.write_text("x")


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "inside").write_text("x")


def a_link(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("name", "makes"),
    [
        ("predictions", a_file),
        ("files", a_link),
        ("runs", a_file),
        ("_held", a_file),
        ("runs/x.json", a_folder),
        ("predictions/run_id=x", a_file),
        ("predictions/run_id=x", a_folder),
        ("predictions/run_id=x", a_link),
        ("files/run_id=x", a_file),
    ],
)
def test_something_odd_in_the_way_is_named(
    tmp_path: Path, name: str, makes: Callable[[Path], None]
) -> None:
    output = tmp_path / "out"
    place = output / name
    place.parent.mkdir(parents=True)
    makes(place)
    before = listing(output)
    check_refused(output, f"{place}.*(move|is not a folder)")
    assert listing(output) == before
    subprocess.run(["rm", "-r", place], check=True)
    publish_new(new(output))
    assert check_whole(output) == 5
