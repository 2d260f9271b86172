"""Small files read together give the same result as each on its own."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model.card import read_card
from pipelines.counts.emit import TALLIES
from pipelines.datasets import data_sets, schemas
from pipelines.datasets.transforms import StagedDataSet
from pipelines.reading import matching, small_files
from pipelines.reading.planning import Span
from pipelines.reading.rows import validate_rows
from pipelines.reading.settings import Sizes
from pipelines.reading.small_files import SmallFiles
from pipelines.reading.transforms import ReadSpanFn
from tests.support.reading import MASS, WANTED
from tests.support.running import PLAIN, manifest, published, run_here, run_sized
from tests.support.toy import toy_bundle

SIZES = Sizes()
GOOD = ["a,1.5,500", "b,300,100", '"c",2,300', "d,2.25,9000"]
ODD = ["e,,500", "f,x,500", "g,1,1", "h,1", '"i\nj",2,200', "k,NA,500", '"l""",1,500', "", " "]
HEADERS = ["id,length,mass", '"id","length","mass"', "mass,id,length", "id,length", 'i"d,length']


@st.composite
def csv_files(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(st.sampled_from(GOOD * 4 + ODD), max_size=6))
    header = draw(st.sampled_from([HEADERS[0]] * 6 + HEADERS))
    if header.startswith("mass"):
        lines = [f"500,{n},1.5" for n, _ in enumerate(lines)]
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = end.join([header, *lines]) + draw(st.sampled_from(["", end, end * 2]))
    return draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + text.encode()


def outcome(pieces: Iterable[SmallFiles | Span]) -> tuple[list[Any], list[Any], dict[str, Any]]:
    """Rows, rejects and row counts by file, extracted from the reading step's output."""
    with tempfile.TemporaryDirectory() as staging:
        rejects = StagedDataSet(
            data_set=data_sets.REJECTS, folder=staging, schema=schemas.REJECTS, metadata={},
            sizes=SIZES,
        )  # fmt: skip
        step = ReadSpanFn(WANTED, SIZES, None, rejects)
        step.setup()
        step.start_bundle()
        rows = [
            row for piece in pieces for chunk in step.process(piece) for row in chunk.to_pylist()
        ]
        emitted = list(step.finish_bundle())
        rejected = [
            row for path in Path(staging).iterdir() for row in pq.read_table(path).to_pylist()
        ]
    read = {
        path: tally.rows_read
        for each in emitted
        if each.tag == TALLIES
        for path, tally in each.value.value[1].items()
    }
    return (
        sorted(rows, key=lambda row: (row["source_file"], row["source_row"])),
        sorted(rejected, key=lambda row: (row["source_file"], row["source_row"] or -1)),
        {path: count for path, count in read.items() if count},
    )


def together(folder: Path) -> Any:
    return outcome([SmallFiles(tuple(matching.match([str(folder / "*")])))])


def alone(folder: Path) -> Any:
    matched = matching.match([str(folder / "*")])
    # The reading step also refuses a file that can't be planned.
    return outcome([SmallFiles((file,)) for file in matched])


@given(st.lists(csv_files(), min_size=2, max_size=6))
def test_packed_csv_files_give_what_each_gives_alone(contents: list[bytes]) -> None:
    with tempfile.TemporaryDirectory() as name:
        for number, content in enumerate(contents):
            Path(name, f"{number}.csv").write_bytes(content)
        assert together(Path(name)) == alone(Path(name))


@given(
    st.lists(
        st.tuples(
            st.lists(st.sampled_from([1.5, 2.0, 300.0, 0.1, None]), max_size=5),
            st.sampled_from([pa.float64(), pa.float32(), pa.string()]),
            st.booleans(),
        ),
        min_size=2,
        max_size=5,
    )
)
def test_packed_parquet_files_give_what_each_gives_alone(tables: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as name:
        for number, (lengths, kind, labelled) in enumerate(tables):
            columns = {
                "id": pa.array([f"r{n}" for n in range(len(lengths))], pa.string()),
                "length": pa.array(lengths, pa.float64()).cast(kind),
                "mass": pa.array([500] * len(lengths), pa.int32()),
            }
            if labelled:
                columns["extra"] = columns["id"]
            pq.write_table(pa.table(columns), Path(name, f"{number}.parquet"))
        assert together(Path(name)) == alone(Path(name))


def test_plain_files_are_one_block_and_the_others_are_named(tmp_path: Path) -> None:
    header = "id,length,mass\n"
    for number in range(5):
        (tmp_path / f"{number}.csv").write_text(header + f"a,1.5,{500 + number}\n" * 10)
    (tmp_path / "5.csv").write_text(header + "b,x,500\n")
    (tmp_path / "6.csv").write_text(header + "c,1,500\nd,,500\n")
    (tmp_path / "7.csv").write_text("other\n1\n")
    (tmp_path / "8.parquet").write_bytes(b"PAR1 not")
    matched = tuple(matching.match([str(tmp_path / "*")]))
    found = list(small_files.read_together(SmallFiles(matched), WANTED))
    chunks = [validate_rows(each.block, "", WANTED)[0] for each in found if each.block is not None]
    rows = [row for chunk in chunks if chunk is not None for row in chunk.to_pylist()]
    assert [row["source_row"] for row in rows] == list(range(10)) * 5
    mass = schemas.feature_column(MASS)
    assert [row[mass] for row in rows] == [500 + n // 10 for n in range(50)]
    others = sorted(Path(file.path).name for each in found for file in each.read_alone)
    assert others == ["5.csv", "6.csv", "7.csv", "8.parquet"]


def test_text_that_is_no_utf8_sends_its_file_alone(tmp_path: Path) -> None:
    binary = pa.array([b"ok", b"\xff"]).cast(pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 2, binary.buffers())
    for number, ids in enumerate([pa.array(["a", "b"]), broken]):
        table = pa.table({"id": ids, "length": [1.0, 2.0], "mass": [500.0, 600.0]})
        pq.write_table(table, tmp_path / f"{number}.parquet")
    assert together(tmp_path) == alone(tmp_path)
    _, rejects, _ = together(tmp_path)
    assert [reject["reason"] for reject in rejects] == ["bad_encoding"]


def test_gathering_keeps_every_file() -> None:
    made = [
        matching.InputFile(
            path=str(n), size=n * 10, modified=0, format="csv.gz" if n == 3 else "csv"
        )
        for n in range(30)
    ]
    gathered = small_files.gather(made, max_file_bytes=200, max_files=7)
    assert sorted(file for pack in gathered for file in pack.files) == sorted(made)
    assert max(len(pack.files) for pack in gathered) == 7
    assert all(len(pack.files) == 1 for pack in gathered if pack.files[0].size > 200)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_many_small_files_share_batches_and_a_shard(tmp_path: Path, suffix: str) -> None:
    model = toy_bundle(tmp_path)
    card = read_card(model)
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(60):
        values = [(f.minimum + f.maximum) / 2 for f in card.features]
        if suffix == "csv":
            lines = [",".join(f'"{name}"' for name in card.feature_names)]
            lines += [",".join(map(str, values))] * 3 + ["x,1,1,1,1"] * (number == 7)
            (folder / f"{number:02d}.csv").write_text("\n".join(lines))
        else:
            table = pa.table({f.name: [v] * 3 for f, v in zip(card.features, values, strict=True)})
            pq.write_table(table, folder / f"{number:02d}.parquet")
    flags = ("--input", folder, "--model", model, *PLAIN, "--direct_num_workers=1")
    assert run_here(tmp_path / "out", *flags) == 0
    rows = published(tmp_path / "out", "predictions")
    assert rows.num_rows == 180
    assert rows.column("source_row").to_pylist() == [0, 1, 2] * 60
    assert manifest(tmp_path / "out")["shards"]["predictions"]["files"] == 1
    counts = published(tmp_path / "out", "files").to_pylist()
    assert [each["rows_scored"] for each in counts] == [3] * 60
    assert sum(each["rows_rejected"] for each in counts) == (1 if suffix == "csv" else 0)
    found = run_sized(Sizes(pack_files=7), tmp_path / "again", *flags)
    assert found["totals"] == manifest(tmp_path / "out")["totals"]
