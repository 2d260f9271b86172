"""The same training gives the same bytes: model, card and plots, wherever and whenever it runs."""

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model import bundle, canonical, train
from penguin_model.errors import OutputError
from tests.support.running import PROJECT

FLAGS = ["--data", str(PROJECT / "data/penguins.csv"), "--epochs", "1", "--cross_validation", "1",
         "--force"]  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def trained(folder: Path, name: str, **surroundings: str) -> dict[str, bytes]:
    """What a process writes into a folder of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", "penguin_model.train", *FLAGS, "--model", str(folder / name)],
        cwd=PROJECT, env=os.environ | surroundings, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    return contents(folder)


@pytest.mark.parametrize("name", ["birds.keras", pytest.param("birds.h5", marks=pytest.mark.slow)])
def test_two_processes_and_one_that_has_trained_before(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = trained(tmp_path / "first", name, TZ="Asia/Tokyo", PYTHONHASHSEED="1")
    assert len(first) == 5
    one_thread = {"TF_NUM_INTRAOP_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    onednn = {"TF_ENABLE_ONEDNN_OPTS": "1"}
    second = trained(tmp_path / "second", name, PYTHONHASHSEED="2", **one_thread, **onednn)
    assert {path for path in first if first[path] != second[path]} == set()
    for round_ in ("third", "fourth"):
        assert train.main([*FLAGS, "--model", str(tmp_path / round_ / name)]) == 0
    assert contents(tmp_path / "third") == contents(tmp_path / "fourth")
    capsys.readouterr()


def test_a_card_has_no_time(shipped_model: Path) -> None:
    card = json.loads(Path(f"{shipped_model}.card.json").read_text())
    names = {*card, *card["training"], *card["data"], *card["metrics"]}
    assert not {"date", "time", "created", "start", "end"} & names


def archive(entries: Mapping[str, bytes], date: tuple[int, int, int, int, int, int]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name, data in entries.items():
            new.writestr(zipfile.ZipInfo(name, date), data)
    return target.getvalue()


def entries_of(metadata_date: str, address: int, other: int) -> dict[str, bytes]:
    config = {
        "layers": [{"dtype": {"shared_object_id": each}} for each in (address, other, address)]
    }
    metadata = {"keras_version": "3.15.1", "date_saved": metadata_date}
    return {
        "model.weights.h5": b"weights",
        "metadata.json": json.dumps(metadata).encode(),
        "config.json": json.dumps(config).encode(),
    }


@given(
    dates=st.lists(st.dates().map(str), min_size=2, max_size=2),
    years=st.lists(st.integers(1980, 2107), min_size=2, max_size=2),
    addresses=st.lists(st.integers(0, 2**64), min_size=4, max_size=4, unique=True),
    backwards=st.booleans(),
)
def test_what_differs_between_two_savings_is_gone(
    dates: list[str], years: list[int], addresses: list[int], backwards: bool
) -> None:
    one = entries_of(dates[0], *addresses[:2])
    two = entries_of(dates[1], *addresses[2:])
    if backwards:
        two = dict(reversed(two.items()))
    found, again = (
        canonical.archive(archive(each, (year, 1, 2, 3, 4, 5)))
        for each, year in zip((one, two), years, strict=True)
    )
    assert found == again == canonical.archive(found)


def test_shared_objects_stay_shared_and_others_apart() -> None:
    same = canonical.archive(archive(entries_of("2026", 7, 8), (1999, 1, 1, 0, 0, 0)))
    with zipfile.ZipFile(io.BytesIO(same)) as read:
        layers = json.loads(read.read("config.json"))["layers"]
        assert read.read("model.weights.h5") == b"weights"
    assert [each["dtype"]["shared_object_id"] for each in layers] == [1, 2, 1]


def test_a_canonical_file_answers_as_before(shipped_model: Path, tmp_path: Path) -> None:
    loaded = bundle.load(str(shipped_model))
    again = tmp_path / shipped_model.name
    assert bundle.save(loaded.model, str(again), loaded.card).sha256
    reloaded = bundle.load(str(again))
    for before, after in zip(loaded.model.get_weights(), reloaded.model.get_weights(), strict=True):
        assert (before == after).all()
    with zipfile.ZipFile(again) as archived:
        assert json.loads(archived.read("metadata.json"))["date_saved"] == "1980-01-01@00:00:00"


@pytest.mark.parametrize("failure", [PermissionError(1, "No", "b"), KeyboardInterrupt()])
@pytest.mark.parametrize("calls", range(4))
def test_files_are_replaced_together_or_not_at_all(
    failure: BaseException, calls: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a folder lets some files be replaced only, and after Ctrl-C."""
    monkeypatch.chdir(tmp_path)
    old = {"a": b"1", "b": b"2", "gone": b"3"}
    for name, content in old.items():
        Path(name).write_bytes(content)
    left, move = [calls], os.replace

    def fail_once(source: str, target: str) -> None:
        left[0] -= 1
        if left[0] == -1:
            raise failure
        move(source, target)

    monkeypatch.setattr(os, "replace", fail_once)
    files = {"new": b"4", "a": b"5", "gone": None, "b": b"6"}
    if calls < 3:
        with pytest.raises(OutputError if isinstance(failure, OSError) else KeyboardInterrupt):
            bundle.replace(files)
    else:
        bundle.replace(files)
        old = {name: content for name, content in files.items() if content is not None}
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == old


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    """By a limit on the size of files, which gives an error without a name, too."""
    code = (
        "import resource, sys\n"
        "from penguin_model import bundle\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
        "try:\n"
        "    bundle.replace({sys.argv[1]: b'1' * 3000})\n"
        "except bundle.OutputError as error:\n"
        "    print(error)\n"
        "try:\n"
        "    bundle.load_network(b'1' * 3000, 'a.keras')\n"
        "except bundle.OutputError as error:\n"
        "    print(error)\n"
    )
    path = tmp_path / "a.keras"
    ran = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert ran.stdout == (
        f"{path}: File too large\n"
        "no temporary file can be written: File too large; TMPDIR names another folder\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_changes_nothing(shipped_model: Path, tmp_path: Path) -> None:
    loaded = bundle.load(str(shipped_model))
    path = tmp_path / "birds.keras"
    path.write_bytes(b"old")
    (tmp_path / "plot.png").mkdir()
    with pytest.raises(OutputError, match=r"plot\.png: is a folder"):
        bundle.save(
            loaded.model, str(path), loaded.card, beside={str(tmp_path / "plot.png"): b"new"}
        )
    assert {each.name for each in tmp_path.iterdir()} == {"birds.keras", "plot.png"}
    assert path.read_bytes() == b"old"
