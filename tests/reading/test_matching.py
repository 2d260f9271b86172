"""Matching input files, and the names of runs."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import storage
from pipelines.errors import InputError, UsageError
from pipelines.reading import matching
from pipelines.reading.format_table import find_format
from pipelines.reading.matching import SAME_FILE, Matched, Matching
from pipelines.runs.layout import Layout, check_run_id
from pipelines.storage.walk import OUTPUT


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("a.csv", "csv"),
        ("a.CSV", "csv"),
        ("a.csv.gz", "csv.gz"),
        ("a.parquet", "parquet"),
        ("a.gz", ""),
        ("csv", ""),
        ("a.csv.bak", ""),
        ("s3://bucket/a.Parquet", "parquet"),
    ],
)
def test_formats_go_by_name(name: str, known: str) -> None:
    assert find_format(name) == known


def test_match_gives_each_file_once_with_its_fingerprint(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.txt"):
        (tmp_path / name).write_text(name)
        os.utime(tmp_path / name, (1_700_000_000.25,) * 2)
    folder = str(tmp_path)
    found = list(matching.match([f"{folder}/*.csv", folder, f"{folder}/a.csv", f"{folder}/no*"]))
    assert [Path(file.path).name for file in found] == ["a.csv", "b.csv", "c.txt"]
    assert found[0][:4] == (f"{folder}/a.csv", 5, 1_700_000_000_250_000, "csv")
    assert {file.format for file in matching.match([folder], "parquet")} == {"parquet"}


def test_a_folder_that_a_glob_matches_means_all_files_below_it(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.csv").write_text("")
    assert list(matching.match([f"{tmp_path}/*.csv"])) == []
    assert len(list(matching.match([f"{tmp_path}/*"]))) == 1
    assert len(list(matching.match([f"{tmp_path}/**"]))) == 1


def choose(*inputs: object, now: float = 0, **settings: Any) -> Matched:
    patterns = {storage.absolute(str(each)): str(each) for each in inputs}
    return matching.choose(Matching(patterns=patterns, **settings), now)


def names(matched: Matched) -> list[str]:
    return [Path(file.path).name for file in matched.chosen]


def test_a_file_with_several_names_is_read_once(tmp_path: Path) -> None:
    night, file = tmp_path / "night", tmp_path / "night/m.csv"
    night.mkdir()
    file.write_text("x")
    (night / "a.csv").symlink_to("m.csv")
    (night / "z.csv").hardlink_to(file)
    (tmp_path / "link").symlink_to("night")
    spellings = (night, f"/{night}", f"file://{night}/", f"{night}/../night/*.csv")
    for named in spellings:
        assert choose(named)[:1] == choose(*spellings)[:1] == ([choose(file).chosen[0]],)
    found = choose(tmp_path / "link", *spellings)
    assert [each.path for each in found.chosen] == [str(file)]
    # All five paths under both names of the folder, but for the one that was chosen.
    assert found.ignored == {SAME_FILE: 5}
    assert found.found == 6


def test_files_that_only_look_alike_are_all_read(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("x")
        os.utime(tmp_path / name, (0, 0))
    assert names(choose(tmp_path)) == ["a.csv", "b.csv"]


@pytest.mark.parametrize("name", [b"\xff.csv", b"a\nb.csv", b" .csv", "ä.csv".encode()])
def test_names_of_any_bytes(tmp_path: Path, name: bytes) -> None:
    # The last is what a name that isn't UTF-8 is shown as.
    for each in (name, b"\\xff.csv"):
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + each)).write_bytes(b"x")
    found = choose(tmp_path)
    assert len({file.path for file in found.chosen}) == 2
    assert sum(file.format == matching.NO_NAME for file in found.chosen) == (name[0] == 0xFF)


@pytest.mark.parametrize(
    ("modified", "waits"),
    [
        (1_000_000, False), (1_000_500 - 61, False), (1_000_500 - 59, True), (1_000_500, True),
        (1_000_500 + 80_000, True), (1_000_500 + 90_000, False), (2**40, False), (0, False),
        (-5, False),
    ],
)  # fmt: skip
def test_a_file_waits_until_it_is_settled_but_not_for_a_wrong_clock(
    tmp_path: Path, modified: int, waits: bool
) -> None:
    (tmp_path / "a.csv").write_text("x")
    os.utime(tmp_path / "a.csv", (0, modified))
    found = choose(tmp_path, now=1_000_500, settle_seconds=60)
    assert (len(found.chosen), len(found.unsettled)) == (not waits, waits)
    assert len(choose(tmp_path, now=1_000_500).chosen) == 1


def test_inputs_without_files_are_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.csv").write_text("x")
    (tmp_path / "_a.txt").write_text("x")
    empty = [f"{tmp_path}/no*.csv", f"{tmp_path}/empty", f"{tmp_path}/*.txt"]
    found = choose(tmp_path / "a.csv", *empty, tmp_path / "*.csv")
    assert found.unmatched == tuple(empty)
    assert found.ignored == {"_*": 1}
    for pattern in empty:
        with pytest.raises(InputError, match="no file matches"):
            choose(tmp_path / "a.csv", pattern, fail_on_empty=True)
    assert len(choose(tmp_path / "a.csv", fail_on_empty=True).chosen) == 1


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An output root among the observations, with a file in each of its folders."""
    found = Layout(output=f"{tmp_path}/out", run_id="r", attempt="x")
    for folder in (*found.own_folders, f"{found.output}/mine"):
        Path(folder, "below").mkdir(parents=True)
        Path(folder, "below", "a.csv").write_text("x")
    (tmp_path / "link").symlink_to("out")
    return found


def test_a_runs_own_output_is_never_input(tmp_path: Path, layout: Layout) -> None:
    own: dict[str, Any] = {"output": layout.output, "own_folders": layout.own_folders}
    linked: dict[str, Any] = {
        "output": f"{tmp_path}/link",
        "own_folders": [path.replace("/out/", "/link/") for path in layout.own_folders],
    }
    for settings in (own, linked):
        for named in (tmp_path, layout.output, f"{tmp_path}/**/*.csv", f"{tmp_path}/link"):
            found = choose(named, include_hidden=True, **settings)
            assert [file.path for file in found.chosen] in (
                [f"{layout.output}/mine/below/a.csv"],
                [f"{tmp_path}/link/mine/below/a.csv"],
            )
            assert found.ignored == {OUTPUT: len(layout.own_folders)}
        for folder in layout.own_folders:
            for named in (folder, f"{folder}/below/*.csv", f"{folder}/below/a.csv"):
                with pytest.raises(UsageError, match="own output"):
                    choose(named, **settings)
        assert choose(f"{layout.output}/mine", **settings).ignored == {}


def test_an_output_root_with_nothing_else_is_no_input(tmp_path: Path, layout: Layout) -> None:
    own: dict[str, Any] = {"output": layout.output, "own_folders": layout.own_folders}
    Path(layout.output, "mine").rename(tmp_path / "mine")
    for named in (layout.output, tmp_path / "link"):
        with pytest.raises(UsageError, match="is the output root"):
            choose(named, **own)


@pytest.mark.parametrize("run_id", ["a", "2026-11-23", "20261123T101112Z", "night_1.b"])
def test_run_ids_that_are_safe(run_id: str) -> None:
    assert check_run_id(run_id) == run_id


@given(st.text(max_size=10))
def test_a_run_id_that_passes_is_one_plain_name(run_id: str) -> None:
    try:
        check_run_id(run_id)
    except UsageError:
        return
    paths = Layout(output="/root", run_id=run_id, attempt="x")
    for path in (paths.manifest, paths.published("predictions"), paths.held, paths.staging):
        assert os.path.normpath(path) == path
        assert path.startswith("/root/")
