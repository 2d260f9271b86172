"""Damaged and foreign files below the output root: named, and in the way of few."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import DamagedError
from pipelines.report import __main__ as report
from pipelines.runs import ledger
from pipelines.runs.manifest import (
    FORMAT_VERSION,
    Model,
    RunInfo,
    from_json,
    manifest_bytes,
    manifest_owner,
    read_manifest,
)
from tests.support import reports
from tests.support.publication import START, new, publish_new
from tests.support.running import beside_progress, run_here

NIGHT = "id,CulmenLength,CulmenDepth,FlipperLength,BodyMass\na,39.1,18.7,181,3750\n"


def without(key: str) -> str:
    found = reports.manifest("old")
    del found[key]
    return json.dumps(found)


DAMAGED = {
    "empty": "",
    "torn": '{"run_id": "old", "sta',
    "zeros": "\0" * 100,
    "a list": "[]",
    "nested": "[" * 100_000,
    "another run's": json.dumps(reports.manifest("other")),
    "no model": without("model"),
    "no shards": without("shards"),
    "a path as its run id": json.dumps(reports.manifest("old") | {"run_id": "../../x"}),
    "names that lead elsewhere": json.dumps(
        reports.manifest("old") | {"shards": {"files": {"files": 1, "names": ["../x.parquet"]}}}
    ),
    "a text as its model": json.dumps(reports.manifest("old") | {"model": "m"}),
}


FAULTS = {
    "run_id": "../../x",
    "status": "lost",
    "totals": {"rows_read": 1.5},
    "model": {"sha256": 7},
    "max_reject_fraction": "0.1",
    "species": {"Adelie": "many"},
    "histograms": {"features": {}},
    "shards": {"files": {"files": 1, "names": ["../x.parquet"]}},
}


@pytest.mark.parametrize("field", FAULTS)
def test_the_bad_field_is_named(tmp_path: Path, field: str) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps(reports.manifest("old") | {field: FAULTS[field]}))
    with pytest.raises(DamagedError) as raised:
        read_manifest(str(path))
    assert str(raised.value).startswith(f"{path} is not a manifest: {field}")
    assert "\n" not in str(raised.value)


def test_a_manifest_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "old.json"
    path.write_text(json.dumps({"format_version": FORMAT_VERSION + 1, "attempt": "a"}))
    with pytest.raises(DamagedError, match=rf"old.json has format_version {FORMAT_VERSION + 1}, "):
        read_manifest(str(path))
    assert manifest_owner(path.read_bytes()) == "a"


@pytest.mark.parametrize("damage", [b"", b"[]", b"[" * 100_000, b'{"attempt": 1}', b"{}", b"\xff"])
def test_a_damaged_manifest_has_no_owner(damage: bytes) -> None:
    assert manifest_owner(damage) == ""


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    found = reports.labelled(reports.measured(reports.manifest("old"), shift=1), wrong=2)
    manifest = from_json(found | {"unsettled": ["lone \udcff.csv"], "reject_fraction": 1 / 3})
    path = tmp_path / "old.json"
    path.write_bytes(manifest_bytes(manifest))
    assert read_manifest(str(path)) == manifest
    written = json.loads(path.read_text())
    assert written["reject_fraction"] == 1 / 3
    assert written["histograms"] == json.loads(json.dumps(found["histograms"]))


@pytest.mark.parametrize(
    ("limit", "because"), [(0.333333, "rejects"), (0.34, "drift"), (None, "drift")]
)
def test_an_earlier_release_did_not_say_why_a_run_was_held(
    limit: float | None, because: str
) -> None:
    """It rounded the fraction that it compared."""
    totals = {"files": 1, "rows_read": 3, "rows_scored": 2, "rows_rejected": 1}
    old = reports.manifest("old", status="held") | {
        "totals": totals, "reject_fraction": 0.333333, "max_reject_fraction": limit,
    }  # fmt: skip
    assert from_json(old).held_because == because
    assert from_json(old | {"status": "published"}).held_because is None


@pytest.fixture
def night(tmp_path: Path) -> Path:
    path = tmp_path / "night.csv"
    path.write_text(NIGHT)
    return path


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_manifest_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "runs").mkdir()
    path = tmp_path / "runs/old.json"
    path.write_text(DAMAGED[name])
    with pytest.raises(DamagedError, match="move it away or delete it") as raised:
        list(ledger.published_runs(str(tmp_path)))
    assert str(raised.value).startswith(str(path))
    told: list[DamagedError] = []
    assert list(ledger.published_runs(str(tmp_path), told.append)) == []
    assert len(told) == 1


def test_what_is_no_manifest_is_passed_over(tmp_path: Path) -> None:
    publish_new(new(tmp_path))
    runs = tmp_path / "runs"
    for name in (".hidden.json", "r.json~", "r.json.unfinished", "my notes.json", "#r.json#"):
        (runs / name).write_text("x")
    (runs / "folder.json").mkdir()
    (runs / "folder.json/inside.json").write_text("x")
    assert [run.run_id for run in ledger.published_runs(str(tmp_path))] == ["r"]


def test_only_a_run_that_needs_the_ledger_is_refused(
    tmp_path: Path, night: Path, shipped_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    flags = ("--input", night, "--model", shipped_model)
    assert run_here(output, *flags, "--run_id", "n1") == 0
    (output / "runs/old.json").write_text("")
    capsys.readouterr()
    assert run_here(output, *flags, "--run_id", "n2") == 0
    assert f"note         not compared with: {output}/runs/old.json" in capsys.readouterr().out
    assert len(json.loads((output / "runs/n2.json").read_text())["notes"]) == 1
    assert run_here(output, *flags, "--run_id", "n3", "--new_only") == 1
    err = capsys.readouterr().err
    assert err == (
        f"penguin-score: error: {output}/runs/old.json is not JSON; move it away or delete it, "
        "then run again\n"
    )
    assert not (output / "runs/n3.json").exists()
    assert report.main(["--output", str(output)]) == 0
    (output / "runs/old.json").unlink()
    assert run_here(output, *flags, "--run_id", "n3", "--new_only") == 0


def foreign(path: Path) -> None:
    pq.write_table(pa.table({"x": [1]}), path)


def shortened(path: Path) -> None:
    table = pq.ParquetFile(path).read()
    pq.write_table(table.slice(0, 0), path)


def renamed(path: Path) -> None:
    path.rename(path.with_name("other.parquet"))


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


@pytest.mark.parametrize("damage", [emptied, torn, foreign, shortened, renamed])
def test_a_damaged_list_of_files_is_named(tmp_path: Path, damage: Any) -> None:
    publish_new(new(tmp_path))
    damage(tmp_path / "files/run_id=r/part-00000.parquet")
    with pytest.raises(DamagedError, match=r"files/run_id=r.* is damaged .*--run_id r --replace"):
        ledger.find_done(str(tmp_path), "0" * 64, [("a", 1, 0)])
    # The next run without --new_only goes on.
    publish_new(new(tmp_path, run_id="s"))
    publish_new(new(tmp_path, replace=True))
    assert len(ledger.find_done(str(tmp_path), "0" * 64, [("a", 1, 0)])) == 1


def test_a_file_that_could_not_be_read_for_now_is_tried_again(tmp_path: Path) -> None:
    publish_new(new(tmp_path))
    path = tmp_path / "files/run_id=r/part-00000.parquet"
    table = pq.ParquetFile(path).read()
    asked = [("a", 1, 0), ("b", 1, 0)]
    for statuses, done in (
        (["read", "unreadable_for_now"], {asked[0]}),
        (["unreadable", None], set(asked)),
        (None, set(asked)),
    ):
        changed = table.drop_columns("status")
        if statuses:
            changed = changed.append_column("status", pa.array(statuses))
        pq.write_table(changed, path)
        assert set(ledger.find_done(str(tmp_path), "0" * 64, asked)) == done
        assert ledger.read_fingerprints([str(path)]) == done


@pytest.mark.parametrize("sha256", ["0" * 64, "1" * 64], ids=["same model", "another model"])
def test_a_run_that_is_replaced_while_the_ledger_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sha256: str
) -> None:
    """Its manifest has been read, its list of files is another one by now."""
    before = publish_new(new(tmp_path))
    gone = msgspec.structs.replace(before.shards["files"], names=("part-gone.parquet",))
    before = msgspec.structs.replace(before, shards=before.shards | {"files": gone})
    run_info = RunInfo(start=START, model=Model(sha256=sha256))
    publish_new(new(tmp_path, replace=True, run_info=run_info))
    monkeypatch.setattr(ledger, "published_runs", lambda _: iter([before]))
    done = ledger.find_done(str(tmp_path), "0" * 64, [("a", 1, 0), ("x", 1, 0)])
    assert set(done) == ({("a", 1, 0)} if sha256 == "0" * 64 else set())


def test_the_refusal_is_one_line_of_the_command(
    tmp_path: Path, night: Path, shipped_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out/runs").mkdir(parents=True)
    (tmp_path / "out/runs/old.json").write_bytes(b"\0\0")
    flags = ("--input", night, "--model", shipped_model, "--new_only")
    assert run_here(tmp_path / "out", *flags) == 1
    err = beside_progress(capsys.readouterr().err)
    assert err.count("\n") == 1
    assert f"{tmp_path}/out/runs/old.json is not JSON" in err
