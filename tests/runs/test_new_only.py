"""Night after night: what --new_only and --settle_seconds leave out, and what they do not."""

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from penguin_model import bundle
from pipelines.publishing import publisher
from pipelines.reading import matching as files
from pipelines.reading.matching import Matching
from pipelines.runs import ledger
from pipelines.storage.store import Version
from tests.support.publication import decide_on
from tests.support.running import listing, manifest, run_here

HEADER = "id,CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"
BIRD = "a,39.1,18.7,181,3750\n"


@pytest.fixture
def night(tmp_path: Path) -> Path:
    folder = tmp_path / "night"
    folder.mkdir()
    for name in ("one.csv", "two.csv"):
        (folder / name).write_text(HEADER + BIRD)
    return folder


def scored(output: Path) -> list[str]:
    """The source file of every published row."""
    paths = (output / "predictions").rglob("*.parquet")
    rows = [value for path in paths for value in pq.read_table(path)["source_file"].to_pylist()]
    return sorted(Path(row).name for row in rows)


def run_night(output: Path, night: Path | str, run_id: str, model: Path, *flags: str) -> Any:
    arguments = ("--input", night, "--model", model, "--run_id", run_id, "--new_only", *flags)
    assert run_here(output, *arguments) == 0
    return manifest(output, run_id)["totals"]


def test_each_file_is_scored_once(tmp_path: Path, night: Path, shipped_model: Path) -> None:
    output = tmp_path / "out"
    first = run_night(output, night, "n1", shipped_model)
    assert (first["files"], first["files_skipped"]) == (2, 0)
    second = run_night(output, night, "n2", shipped_model)
    assert (second["files"], second["files_skipped"], second["rows_read"]) == (0, 2, 0)
    (night / "three.csv").write_text(HEADER + BIRD)
    third = run_night(output, night, "n3", shipped_model)
    assert (third["files"], third["files_skipped"]) == (1, 2)
    assert scored(output) == ["one.csv", "three.csv", "two.csv"]


def test_a_changed_file_is_scored_again(tmp_path: Path, night: Path, shipped_model: Path) -> None:
    output = tmp_path / "out"
    run_night(output, night, "n1", shipped_model)
    (night / "one.csv").write_text(HEADER + BIRD * 2)
    assert run_night(output, night, "n2", shipped_model)["rows_scored"] == 2
    # The same bytes at another time count as another delivery.
    os.utime(night / "two.csv", (1, 1))
    assert run_night(output, night, "n3", shipped_model)["rows_scored"] == 1


def test_odd_modification_times_cost_nothing(
    tmp_path: Path, night: Path, shipped_model: Path
) -> None:
    output, year = tmp_path / "out", 365 * 86_400 * 10**9
    odd = (0, 1, -1, -1_000, -(10**9), -70 * year, 200 * year + 999, 10**9 // 3, 2**63 - 1)
    for number, nanoseconds in enumerate(odd):
        path = night / f"odd{number}.csv"
        shutil.copy(night / "one.csv", path)
        os.utime(path, ns=(nanoseconds, nanoseconds))
    flags = ("--settle_seconds", "0.001", "--report")
    for run_id, files_read in (("n1", len(odd) + 2), ("n2", 0), ("n3", 0)):
        totals = run_night(output, night, run_id, shipped_model, *flags)
        assert (totals["files"], totals["files_skipped"]) == (files_read, len(odd) + 2 - files_read)


def test_times_that_no_library_can_represent_are_cut(tmp_path: Path) -> None:
    for seconds in (-(2**62), -(2**40), 2**40, 2**62, float(2**63)):
        modified = Version.of(1, seconds).modified
        shown = pa.scalar(modified, pa.timestamp("us", tz="UTC")).as_py()
        assert shown.year in (1, 9999)
        assert pc.strftime(pa.array([shown])).to_pylist()


def test_the_ledger_knows_a_file_by_its_other_names(
    tmp_path: Path, night: Path, shipped_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    (tmp_path / "link").symlink_to(night)
    assert run_night(output, night, "n0", shipped_model)["files"] == 2
    monkeypatch.chdir(tmp_path)
    spellings = (f"/{night}", f"file://{night}", "night", "link/*.csv", f"{night}/./*")
    for number, spelling in enumerate(spellings):
        totals = run_night(output, spelling, f"n{number + 1}", shipped_model)
        assert (totals["files"], totals["files_skipped"]) == (0, 2), spelling


def test_a_new_model_scores_all_files_again(
    tmp_path: Path, night: Path, shipped_model: Path
) -> None:
    output, other = tmp_path / "out", tmp_path / "other.h5"
    run_night(output, night, "n1", shipped_model)
    loaded = bundle.load(str(shipped_model))
    bundle.save(loaded.model, str(other), loaded.card)
    assert run_night(output, night, "n2", other)["files"] == 2
    assert run_night(output, night, "n3", shipped_model)["files"] == 0


def test_the_files_of_a_held_run_wait_until_it_is_decided_on(
    tmp_path: Path, night: Path, shipped_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    (night / "bad.csv").write_text(HEADER + "x,,,,\n" * 9)
    arguments = ("--input", night, "--model", shipped_model, "--run_id", "n1", "--new_only")
    assert run_here(output, *arguments) == 3
    (night / "new.csv").write_text(HEADER + BIRD)
    capsys.readouterr()
    totals = run_night(output, night, "n2", shipped_model, "--summary", "json")
    assert (totals["files"], totals["files_waiting"], totals["files_skipped"]) == (1, 3, 0)
    assert manifest(output, "n2")["waiting"] == {"n1": 3}
    said = capsys.readouterr()
    summary = json.loads(said.out)
    assert summary["waiting"] == {"n1": 3}
    ways = [command for command in summary["next"] if f" n1 --output {output}" in command]
    assert [command.split(" n1 ")[0].split()[-1] for command in ways] == [
        "show",
        "accept",
        "reject",
    ]
    assert "3 files left out until the held run n1 is accepted or rejected" in said.err
    decide_on(output, "rejected", "n1")
    totals = run_night(output, night, "n3", shipped_model)
    assert (totals["files"], totals["files_waiting"], totals["files_skipped"]) == (0, 0, 4)
    # Once scored, twice listed: the night after a retraction takes its files again.
    decide_on(output, "retracted", "n2", files_done=False)
    assert run_night(output, night, "n4", shipped_model)["files"] == 1
    assert scored(output) == ["new.csv"]


def test_the_same_run_again_takes_its_held_files_again(
    tmp_path: Path, night: Path, shipped_model: Path
) -> None:
    output = tmp_path / "out"
    (night / "bad.csv").write_text(HEADER + "x,,,,\n" * 9)
    arguments = ("--input", night, "--model", shipped_model, "--run_id", "n1", "--new_only")
    assert run_here(output, *arguments) == 3
    (night / "bad.csv").unlink()
    assert run_night(output, night, "n1", shipped_model)["files"] == 2
    assert not (output / "_held").exists()


def test_an_unreadable_file_is_not_tried_again_until_it_changes(
    tmp_path: Path, night: Path, shipped_model: Path
) -> None:
    output = tmp_path / "out"
    (night / "torn.parquet").write_bytes(b"PAR1")
    flags = ("--max_reject_fraction", "0.5")
    assert run_night(output, night, "n1", shipped_model, *flags)["files_unreadable"] == 1
    assert run_night(output, night, "n2", shipped_model, *flags)["files"] == 0
    shutil.copy(night / "one.csv", night / "torn.csv")
    assert run_night(output, night, "n3", shipped_model, *flags)["rows_scored"] == 1


def test_files_that_may_still_be_written_wait(
    tmp_path: Path, night: Path, shipped_model: Path
) -> None:
    output = tmp_path / "out"
    os.utime(night / "one.csv", (time.time() - 1000,) * 2)
    totals = run_night(output, night, "n1", shipped_model, "--settle_seconds", "500")
    assert (totals["files"], totals["files_unsettled"]) == (1, 1)
    assert manifest(output, "n1")["unsettled"] == [str(night / "two.csv")]
    assert run_night(output, night, "n2", shipped_model)["files"] == 1
    assert scored(output) == ["one.csv", "two.csv"]


def test_a_file_that_another_run_published_meanwhile_fails_the_later_one(
    tmp_path: Path,
    night: Path,
    shipped_model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out"
    decide = publisher.verify_and_decide

    def decide_late(publication: Any, *others: Any) -> Any:
        """Another run begins and ends between this one's reading and its publication."""
        if publication.layout.run_id == "slow":
            run_night(output, night, "quick", shipped_model)
        return decide(publication, *others)

    monkeypatch.setattr(publisher, "verify_and_decide", decide_late)
    arguments = ("--input", night, "--model", shipped_model, "--run_id", "slow", "--new_only")
    assert run_here(output, *arguments) == 1
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"{night / 'one.csv'} was published by run quick while this run scored it" in err
    assert scored(output) == ["one.csv", "two.csv"]
    assert "_staging/" not in listing(output)


def test_the_ledger_goes_by_path_size_time_and_model(
    tmp_path: Path, night: Path, shipped_model: Path
) -> None:
    output = tmp_path / "out"
    run_night(output, night, "n1", shipped_model)
    one, two = sorted(files.match([str(night)]))
    sha256 = manifest(output, "n1")["model"]["sha256"]
    asked = [
        one.fingerprint,
        two._replace(size=two.size + 1).fingerprint,
        two._replace(modified=two.modified + 1).fingerprint,
        two._replace(path="elsewhere").fingerprint,
    ]
    assert ledger.find_done(str(output), sha256, asked) == {one.fingerprint: "n1"}
    assert ledger.find_done(str(output), "0" * 64, asked) == {}
    assert ledger.find_done(str(output), sha256, asked, decided_after="9999") == {}
    matching = Matching(
        patterns={str(night): "night"}, new_only=True, output=str(output), model_sha256=sha256
    )
    assert files.choose(matching, time.time())[:3] == ([], 2, [])
