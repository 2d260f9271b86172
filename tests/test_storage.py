"""Local files: whole writes, exchanged folders, locks that tell the living from the dead."""

import subprocess
import sys
from pathlib import Path

import pytest

from penguin_model.errors import OutputError
from pipelines import storage


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
    storage.put_folder(str(new), str(old), ["a"])
    assert texts(tmp_path / "place") == {"a": "new"}


def test_a_folder_moves_to_an_empty_place_and_keeps_its_identity(tmp_path: Path) -> None:
    new = make(tmp_path / "new", a="x")
    identity = storage.folder_identity(str(new))
    storage.put_folder(str(new), str(tmp_path / "deep/place"), ["a"])
    assert storage.folder_identity(str(tmp_path / "deep/place")) == identity
    assert storage.folder_identity(str(new)) is None


def test_a_write_that_fails_names_the_place_and_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(OutputError, match=r"cannot write .*/file/below"):
        storage.write_bytes(str(tmp_path / "file/below"), b"new")
    assert (tmp_path / "file").read_text() == "old"


def test_a_lock_excludes_others_until_its_process_ends(tmp_path: Path) -> None:
    code = (
        "import sys; from pipelines import storage\n"
        "with storage.lock(sys.argv[1]):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1],
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with storage.try_lock(str(tmp_path)) as held:
            assert not held
    finally:
        holder.kill()
        holder.communicate()
    with storage.try_lock(str(tmp_path)) as held:
        assert held


@pytest.mark.parametrize(
    ("path", "local"), [("/a", True), ("a/b", True), ("file:///a", True), ("s3://b/a", False)]
)
def test_what_is_local(path: str, local: bool) -> None:
    assert storage.is_local(path) == local
    assert storage.absolute(path).startswith("/") == local
