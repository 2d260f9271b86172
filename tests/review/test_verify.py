"""`penguin-runs verify`: what was published is still there, whole, and adds up."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.review import verify
from tests.support import samples
from tests.support.reports import manifest as made_up
from tests.support.reports import publish
from tests.support.running import run_here
from tests.support.runs import HOSTILE, act, hold

Captured = pytest.CaptureFixture[str]
RUN = samples.RUN_ID


def shard(root: Path, dataset: str) -> Path:
    return min((root / dataset / f"run_id={RUN}").glob("*.parquet"))


def edit(root: Path, change: Callable[[Any], Any]) -> None:
    path = root / f"runs/{RUN}.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps(change(found) or found))


def record_hashes(root: Path) -> None:
    """The hashes and sizes of what is there now."""

    def change(found: Any) -> None:
        for dataset, shards in found["shards"].items():
            paths = [root / dataset / f"run_id={RUN}" / name for name in shards["names"]]
            shards["sha256"] = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
            shards["bytes"] = sum(path.stat().st_size for path in paths)

    edit(root, change)


def rewrite(path: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Changes a shard's rows; its metadata stay."""
    table = pq.ParquetFile(path).read()
    pq.write_table(change(table), path)


def faults(root: Path, captured: Captured, *arguments: object) -> list[str]:
    """What `verify` finds, with exit code 1; nothing with 0."""
    code = act(root, "verify", *arguments)
    out, err = captured.readouterr()
    first, *others = out.splitlines()
    assert first.startswith(f"{RUN}: {'good' if code == 0 else f'{len(others)} fault'}")
    assert err.count("\n") == code == bool(others)
    return [line.removeprefix(f"{RUN}: ") for line in others]


def test_a_good_run_is_good(published: Path, capsys: Captured) -> None:
    record_hashes(published)
    assert act(published, "verify") == 0
    assert capsys.readouterr() == (
        f"{RUN}: good; 342 predictions, 2 rejects, 9 files; hashes compared\n", "",
    )  # fmt: skip


def test_hashes_that_an_early_release_did_not_record(published: Path, capsys: Captured) -> None:
    def forget(found: Any) -> None:
        for shards in found["shards"].values():
            shards["sha256"] = None

    edit(published, forget)
    assert act(published, "verify", RUN) == 0
    assert capsys.readouterr().out.endswith("; no hashes recorded\n")


def remove(root: Path) -> None:
    shard(root, "predictions").unlink()


def add(root: Path) -> None:
    shutil.copy(shard(root, "rejects"), root / f"predictions/run_id={RUN}/copy.parquet")


def truncate(root: Path) -> None:
    path = shard(root, "files")
    path.write_bytes(path.read_bytes()[:-1])


def drop_row(root: Path) -> None:
    rewrite(shard(root, "predictions"), lambda table: table.slice(1))
    record_hashes(root)


def other_run(root: Path) -> None:
    path = shard(root, "rejects")
    table = pq.ParquetFile(path).read()
    metadata = table.schema.metadata | {b"run_id": b"other"}
    pq.write_table(table.replace_schema_metadata(metadata), path)
    record_hashes(root)


def drop_column(root: Path) -> None:
    rewrite(shard(root, "predictions"), lambda table: table.drop_columns(["species"]))
    record_hashes(root)


def set_column(
    dataset: str, name: str, change: Callable[[pa.Array], Any]
) -> Callable[[Path], None]:
    def act_on(root: Path) -> None:
        def changed(table: pa.Table) -> pa.Table:
            place = table.column_names.index(name)
            column = change(table.column(name).combine_chunks())
            field = table.field(name)
            return table.set_column(place, field, column.cast(field.type))

        rewrite(shard(root, dataset), changed)
        record_hashes(root)

    return act_on


def first_to(value: object) -> Callable[[pa.Array], pa.Array]:
    return lambda column: pa.array([value, *column.to_pylist()[1:]], column.type)


def forget_data_set(root: Path) -> None:
    edit(root, lambda found: {**found, "shards": {"files": found["shards"]["files"]}})


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (remove, r"predictions/run_id=golden/part-\S+ is missing: restore it"),
        (add, r"predictions/run_id=golden/copy.parquet isn't one of the run's shards"),
        (truncate, r"files/run_id=golden/part-\S+ (can't be read|isn't the file)"),
        (drop_row, r"predictions/run_id=golden has 341 rows, the manifest says 342"),
        (other_run, r"rejects/run_id=golden/part-\S+ says that its run_id is other, not golden"),
        (drop_column, r"predictions/run_id=golden/part-\S+ has no column species"),
        (set_column("predictions", "species", first_to("Emu")), r"has 1 rows of Emu, the manifest"),
        (set_column("predictions", "source_file", first_to("/x.csv")),
         r"/x.csv: 1 rows are in predictions, but it isn't in files"),
        (set_column("files", "rows_scored", lambda column: pc.add(column, 1)),
         r"rows_scored adds up to 3[4-9][0-9], the manifest says 342"),
        (set_column("rejects", "source_row", first_to(None)),
         r"0 rows are in rejects, its rows_rejected is 1"),
        (set_column("rejects", "reason", first_to("\x1b[31m")), r"has 1 rows of \\x1b\[31m"),
        (forget_data_set, r"the manifest lists no shards of predictions"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(
    published: Path, capsys: Captured, tamper: Callable[[Path], None], words: str
) -> None:
    tamper(published)
    found = faults(published, capsys, RUN)
    assert any(re.search(words, fault) for fault in found), found
    assert all(": " in fault for fault in found)


@settings(max_examples=25)
@given(st.data())
def test_any_other_byte_is_found(
    pristine: Path, tmp_path_factory: Any, data: st.DataObject
) -> None:
    root = tmp_path_factory.mktemp("bytes") / "out"
    shutil.copytree(pristine, root)
    record_hashes(root)
    path = data.draw(st.sampled_from(sorted(root.rglob("*.parquet"))))
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    assert act(root, "verify") == 1


def test_files_are_counted_in_as_many_passes_as_fit(
    published: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "MOST_FILES", 2)
    assert faults(published, capsys) == []
    set_column("predictions", "source_file", first_to("/x.csv"))(published)
    found = faults(published, capsys)
    assert sorted(re.sub(r"^.*/", "", fault).partition(" rows")[0] for fault in found) == [
        "biscoe-2007.csv: 43", "x.csv: 1",
    ]  # fmt: skip


def test_a_damaged_run_does_not_keep_others_from_being_checked(
    published: Path, capsys: Captured
) -> None:
    (published / "runs/torn.json").write_text("{")
    assert act(published, "verify") == 1
    out, err = capsys.readouterr()
    good, damaged, why = out.splitlines()
    assert good.startswith(f"{RUN}: good; ")
    assert damaged == "torn: 1 fault"
    assert why.startswith(f"torn: {published}/runs/torn.json is not JSON")
    assert err == "penguin-runs: error: 1 of 2 runs has faults; see above\n"


def test_a_held_run_can_be_checked_before_it_is_accepted(
    tmp_path: Path, capsys: Captured, observations: Path
) -> None:
    flags = ("--input", observations / "torgersen-2007.csv", "--max_reject_fraction", 0)
    assert run_here(tmp_path, *flags, "--run_id", "h", "--no-progress") == 3
    capsys.readouterr()
    assert act(tmp_path, "verify", "h") == 0
    assert capsys.readouterr().out.startswith("h: good; 19 predictions, 1 reject, 1 file; ")
    assert act(tmp_path, "verify") == 0
    assert "has no published runs" in capsys.readouterr().err


def test_names_from_a_manifest_are_safe(tmp_path: Path, capsys: Captured) -> None:
    publish(tmp_path, made_up("r", species={HOSTILE: 2}))
    hold(tmp_path, "h", species={HOSTILE: 2})
    for run_id in "rh":
        assert act(tmp_path, "verify", run_id) == 1
        assert all(line.isprintable() for line in "".join(capsys.readouterr()).splitlines())


def test_faults_are_counted_beyond_the_first(published: Path, capsys: Captured) -> None:
    for number in range(30):
        (published / f"files/run_id={RUN}/{number}.parquet").touch()
    assert act(published, "verify") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{RUN}: 30 faults; ")
    assert (len(lines), lines[-1]) == (22, f"{RUN}: and 10 more")


def test_a_night_without_files_is_good_and_has_nothing_to_label(
    tmp_path: Path, capsys: Captured
) -> None:
    (tmp_path / "in").mkdir()
    flags = ("--input", tmp_path / "in", "--run_id", "empty", "--no-progress")
    assert run_here(tmp_path / "out", *flags) == 0
    for arguments in (["verify", "empty", "--replay", "3"], ["show", "empty"], ["list"]):
        assert act(tmp_path / "out", *arguments) == 0
    assert "empty: good; 0 predictions, 0 rejects, 0 files; " in capsys.readouterr().out
    (tmp_path / "x.csv").write_text("source_file,source_row,Species\na,0,Adelie\n")
    assert act(tmp_path / "out", "labels", "empty", "--labels", tmp_path / "x.csv") == 2
    assert "the run has no predictions" in capsys.readouterr().err
