"""Matching input files, and the names of runs."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import UsageError
from pipelines.reading import matching
from pipelines.reading.format_table import find_format
from pipelines.runs.layout import Layout, check_run_id


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
