"""Files that hold a CSV in some wrapping, and files that only look as if they did."""

import bz2
import dataclasses
import functools
import gzip
import io
import lzma
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.reading.csv_files import compressed
from pipelines.reading.csv_files.compressed import CODECS
from pipelines.reading.dialect import Dialect
from pipelines.reading.format_table import FORMATS
from pipelines.reading.formats import WHOLE
from pipelines.reading.settings import Sizes
from pipelines.reading.unreadable import UnreadableFile
from tests.support import samples
from tests.support.reading import WANTED, read_csv, score_ready
from tests.support.running import PLAIN, manifest, published, run_here, run_sized

TEXT = b"id,length,mass\n" + b"".join(b"a%d,%d,500\n" % (n, n % 200 + 1) for n in range(3000))
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": functools.partial(pa.compress, codec="zstd", asbytes=True),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "LZ4": functools.partial(pa.compress, codec="lz4", asbytes=True),
}
NAMES = [codec.name for codec in CODECS]
SUFFIXES = {codec.name: codec.suffix for codec in CODECS}


def test_every_codec_is_tested() -> None:
    assert list(COMPRESS) == NAMES


def read_as(form: str, data: bytes) -> Any:
    blocks = FORMATS[form].read(io.BytesIO(data), WHOLE, WANTED, Sizes())
    return score_ready(blocks, WANTED)


@pytest.mark.parametrize("name", NAMES)
def test_all_members_are_read_under_any_name(name: str) -> None:
    compress = COMPRESS[name]
    one, two = TEXT[:20_000], TEXT[20_000:]
    expected = read_as("csv", TEXT)
    assert expected[2] == 3000
    for form in ("csv", *(f"csv{codec.suffix}" for codec in CODECS)):
        assert read_as(form, compress(one) + compress(b"") + compress(two)) == expected
    if name in ("gzip", "bzip2", "xz"):  # a tape pads with zeros
        assert read_as("csv", compress(TEXT) + bytes(1024)) == expected
        assert read_as("csv", compress(one) + bytes(8) + compress(two)) == expected
    if name == "zstd":  # a frame to skip, as parallel compressors write
        skipped = struct.pack("<II", 0x184D2A50, 4) + b"abcd"
        assert read_as("csv", skipped + compress(one) + skipped + compress(two)) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_refused_before_its_first_row(name: str) -> None:
    whole = COMPRESS[name](TEXT)
    twice = whole + whole
    # Where the last member ends, what follows an Arrow codec's frame may be another frame's start.
    cuts = [12, len(whole) // 2, len(whole) - 1, len(whole) + 12, len(twice) - 1]
    damaged = [twice[:cut] for cut in cuts]
    damaged += [whole + b"garbage", whole + b"\n", whole + COMPRESS[name](b"x")[:3]]
    for data in damaged:
        for form in ("csv", f"csv{SUFFIXES[name]}"):
            blocks = FORMATS[form].read
            with pytest.raises(UnreadableFile, match=f"the {name} file is broken"):
                list(blocks(io.BytesIO(data), WHOLE, WANTED, Sizes()))


def test_a_name_that_promises_compression_is_held_to_it() -> None:
    with pytest.raises(UnreadableFile, match="not compressed, though its name says zstd"):
        read_as("csv.zst", TEXT)
    with pytest.raises(UnreadableFile, match="compressed twice"):
        read_as("csv.gz", gzip.compress(bz2.compress(TEXT)))
    with pytest.raises(UnreadableFile, match="empty"):
        read_as("csv.gz", b"")


def test_a_failing_disk_is_not_a_damaged_file() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() > 600:
                raise OSError(5, "Input/output error")
            return super().read(size)

    for compress in COMPRESS.values():
        data = compress(bytes(range(32, 127)) * 20 + TEXT)
        assert len(data) > 700
        with pytest.raises(OSError, match="Input/output error"):
            list(FORMATS["csv"].read(Failing(data), WHOLE, WANTED, Sizes()))


def test_xz_with_a_huge_dictionary_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compressed, "_XZ_MEMORY", 1 << 20)
    with pytest.raises(UnreadableFile, match="Memory usage limit"):
        read_as("csv.xz", lzma.compress(TEXT, preset=9))


WORKBOOK = io.BytesIO()
with zipfile.ZipFile(WORKBOOK, "w") as archive:
    archive.writestr("[Content_Types].xml", "<Types/>")
ZIP = io.BytesIO()
with zipfile.ZipFile(ZIP, "w") as archive:
    archive.writestr("birds.csv", TEXT)
PARQUET = io.BytesIO()
pq.write_table(pa.table({"id": ["a"], "length": [1.0], "mass": [500.0]}), PARQUET)
ARROW = io.BytesIO()
with pa.ipc.new_file(ARROW, pa.schema({"id": pa.string()})):
    pass


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (ZIP.getvalue(), "a ZIP archive; unzip it"),
        (WORKBOOK.getvalue(), "spreadsheet.*save its sheet as CSV"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "Excel workbook; save its sheet as CSV"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "7z archive; unpack it"),
        (b"%PDF-1.7\n", "PDF document; export"),
        (b"birds.csv" + bytes(248) + b"ustar\00000" + bytes(300), "tar archive; unpack it"),
        (PARQUET.getvalue(), "a Parquet file; rename it to .parquet, or give --format parquet"),
        (ARROW.getvalue(), "an Arrow file; rename it to .arrow, or give --format arrow"),
        (TEXT.decode().encode("utf-32"), "UTF-32 text; save it as UTF-8"),
        (TEXT.decode().encode("utf-16-le"), "UTF-16 without a byte-order mark"),
        (bytes(4096), "nothing but NUL bytes.*deliver it again"),
        (lzma.compress(TEXT, lzma.FORMAT_ALONE), "unpack it"),
        (b'[{"id": "a"}]', "columns .* are missing.*looks like JSON; convert it"),
        (
            b"<?xml version='1.0'?>\n<birds/>",
            "columns .* are missing.*looks like a web page or XML",
        ),
    ],
)
def test_other_files_are_named_with_what_to_do(data: bytes, message: str) -> None:
    for form, content in (("csv", data), ("csv.gz", gzip.compress(data))):
        with pytest.raises(UnreadableFile, match=message):
            read_as(form, content)


@pytest.mark.parametrize(
    ("encoding", "damage", "message"),
    [
        ("utf-16-le", b"a", "truncated data"),
        ("utf-16-be", b"\0", "truncated data"),
        ("utf-16-le", b"\x00\xd8,\0", "illegal UTF-16 surrogate"),
        ("utf-16-be", b"\xdc\x00\0,", "illegal encoding"),
        ("utf-16-le", b"\x00\xd8", "truncated data|unexpected end of data"),
    ],
)
def test_broken_utf_16_is_refused_before_its_first_row(
    encoding: str, damage: bytes, message: str
) -> None:
    whole = ("\ufeff" + TEXT.decode()).encode(encoding)
    assert read_csv(whole) == read_csv(TEXT)
    with pytest.raises(UnreadableFile, match=f"the UTF-16 text is broken .*({message})"):
        read_csv(whole + damage)


def test_utf_16_shows_its_rejects_as_text() -> None:
    text = "id,length,mass\r\né\U0001f427,x,500\r\n"
    for encoding in ("utf-16-le", "utf-16-be"):
        _, (reject,), _ = read_csv(("\ufeff" + text).encode(encoding))
        assert reject.raw == "é\U0001f427,x,500"


@pytest.mark.parametrize("line", ["sep=;\r\n", '"sep=;"\n', "SEP=;\r", "sep=;;;\n"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
def test_a_first_line_names_the_delimiter(line: str, bom: bytes) -> None:
    data = bom + line.encode() + b"id;length;mass\na,b;1.5;500\n;;\nb;2;x\n"
    good, (reject,), read = read_csv(data)
    assert good == [(0, "a,b", 1.5, 500.0)]
    assert (reject.source_row, reject.raw, read) == (1, "b;2;x", 2)


def test_a_first_line_that_names_no_delimiter_is_refused() -> None:
    with pytest.raises(UnreadableFile, match="first line names the delimiter, but 'a' can't be"):
        read_csv(b"sep=a\nid,length,mass\n")
    with pytest.raises(UnreadableFile, match="empty"):
        read_csv(b"sep=;\r\n")


DECIMAL_COMMAS = b"id;length;mass\na;1,5;500\nb;2;4200,25\nc;1.5;500\nd;1.234,5;500\ne;1,5,5;500\n"


def test_decimal_commas() -> None:
    wanted = dataclasses.replace(WANTED, dialect=Dialect(";", ","))
    good, rejects, read = read_csv(DECIMAL_COMMAS, wanted)
    assert good == [(0, "a", 1.5, 500.0), (1, "b", 2.0, 4200.25)]
    assert [(r.source_row, r.reason) for r in rejects] == [(n, "not_a_number") for n in (2, 3, 4)]
    assert rejects[0].message == "length is '1.5', which is not a number such as 39,1"
    assert read == 5


def test_a_decimal_comma_names_the_flags_that_read_it() -> None:
    _, rejects, _ = read_csv(b"sep=;\n" + DECIMAL_COMMAS)
    advice = "; to read decimal commas, give --delimiter ';' --decimal ','"
    assert [r.message.endswith(advice) for r in rejects] == [True, True, False, False]
    _, (reject,), _ = read_csv(b'id,length,mass\na,"39,1",500\n')
    assert reject.message.endswith("only read from files with another delimiter")


@pytest.mark.parametrize(
    ("delimiter", "value", "flags"),
    [
        (";", "39,1", "give --delimiter ';' --decimal ','"),
        (";", "39.1", "give --delimiter ';'"),
        ("\t", "39,1", "give --delimiter tab --decimal ','"),
        ("|", "39", r"give --delimiter '\|'"),
    ],
)
def test_another_dialect_is_named_with_its_flags(delimiter: str, value: str, flags: str) -> None:
    rows = ["id,length,mass", f'"x",{value!s},500'.replace(value, "V")]
    data = "\n".join(rows).replace(",", delimiter).replace("V", value).encode() + b"\n"
    with pytest.raises(UnreadableFile, match=f"not separated by commas: {flags};") as refused:
        read_csv(data)
    assert refused.value.reason == "missing_column"
    wanted = dataclasses.replace(WANTED, dialect=Dialect(";" if delimiter != ";" else "\t"))
    with pytest.raises(UnreadableFile, match=f": {flags};"):
        read_csv(data, wanted)
    with pytest.raises(UnreadableFile, match="not separated by semicolons: give --delimiter ','"):
        read_csv(TEXT, dataclasses.replace(WANTED, dialect=Dialect(";")))


@pytest.mark.parametrize(
    ("delimiter", "decimal"),
    [(",", ","), ("a", "."), ("5", "."), ('"', "."), ("\n", "."), ("", "."), (";;", "."),
     (".", ","), ("é", "."), ("-", "."), (" ", "."), (";", ";"), (";", "x"), (";", "")],
)  # fmt: skip
def test_characters_that_can_not_be_told_apart_are_refused(delimiter: str, decimal: str) -> None:
    with pytest.raises(ValueError, match="can't be"):
        Dialect(delimiter, decimal)


def test_blank_rows_are_not_rows() -> None:
    rows = [b"a,1,500", b",,", b" ,\t, ", b'"","",""', b",", b",,,,,,", b"", b"\x1a"]
    data = b",,,,\n\n" + b"\n".join(
        [b"id,length,mass,,", *(row + b"\n" + b"b,2,600,," for row in rows)]
    )
    data = data.replace(b"a,1,500\n", b"a,1,500,,\n")
    good, rejects, read = read_csv(data + b"\n,,,,\n" * 5000)
    assert rejects == []
    assert read == len(good) == 9
    assert [row[0] for row in good] == list(range(9))


def test_nearly_blank_rows_are_rows() -> None:
    for row in (b"NA,NA,NA", b"x,,", b"\xc2\xa0,,", b'""" """,,', b'"\n",,', b"\0,,"):
        _, rejects, read = read_csv(b"id,length,mass\n" + row + b"\n")
        assert (len(rejects), read) == (1, 1)


FOLDER: dict[str, Callable[[bytes], bytes]] = {
    "gz.csv": gzip.compress, "zst.csv.zst": COMPRESS["zstd"], "bz2.CSV.BZ2": bz2.compress,
    "xz.csv.xz": lzma.compress, "lz4.csv.lz4": COMPRESS["LZ4"], "excel.csv": lambda text: (
        b"sep=;\r\n" + text.replace(b",", b";")
    ),
    "tabs.TSV": lambda text: text.replace(b",", b"\t"),
    "tabs.tsv.gz": lambda text: gzip.compress(text.replace(b",", b"\t")),
    "wide.csv": lambda text: text.decode().encode("utf-16"),
    "blank.csv": lambda text: text + b",,,,\r\n" * 400 + text.partition(b"\n")[2],
}  # fmt: skip


@pytest.mark.parametrize("sizes", [Sizes(), Sizes(small_file_bytes=0, range_bytes=1000)])
def test_a_night_of_such_files(tmp_path: Path, sizes: Sizes) -> None:
    night = tmp_path / "night"
    night.mkdir()
    text = b"CulmenLength,CulmenDepth,FlipperLength,BodyMass,\n" + b"44.5,17,200,4200,\n" * 300
    rows = dict.fromkeys(FOLDER, 300) | {"blank.csv": 600}
    for name, write in FOLDER.items():
        (night / name).write_bytes(write(text))
    (night / "torn.csv").write_bytes(gzip.compress(text)[:-9])
    (night / "book.xlsx").write_bytes(WORKBOOK.getvalue())
    (night / "birds.zip").write_bytes(ZIP.getvalue())
    (night / "birds.gz").write_bytes(gzip.compress(text))
    (night / "text.parquet").write_bytes(text)
    run_sized(sizes, tmp_path / "out", "--input", night, "--model", samples.MODEL, *PLAIN)
    files = published(tmp_path / "out", "files").to_pylist()
    read = {Path(file["source_file"]).name: file["rows_scored"] for file in files}
    assert {name: count for name, count in read.items() if count} == rows
    rejects = published(tmp_path / "out", "rejects").to_pylist()
    messages = {Path(row["source_file"]).name: row["message"] for row in rejects}
    assert set(messages) == {"torn.csv", "book.xlsx", "birds.zip", "birds.gz", "text.parquet"}
    assert "deliver it again" in messages["torn.csv"]
    assert "save it as CSV" in messages["book.xlsx"]
    assert "unzip it" in messages["birds.zip"]
    assert "--format csv" in messages["birds.gz"]
    assert "this is text" in messages["text.parquet"]
    totals = manifest(tmp_path / "out")["totals"]
    assert (totals["rows_read"], totals["rows_rejected"]) == (sum(rows.values()), 0)


def test_the_flags_of_a_dialect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    night = tmp_path / "night"
    night.mkdir()
    text = "CulmenLength;CulmenDepth;FlipperLength;BodyMass\n" + '44,5;"17";200;4200\n;;;\n' * 300
    (night / "large.csv").write_text(text)
    (night / "small.csv").write_text(text[:2000].rpartition("\n")[0])
    flags = ("--input", night, "--model", samples.MODEL, *PLAIN)
    sizes = Sizes(small_file_bytes=3000, range_bytes=3000)
    dialect = ("--delimiter", ";", "--decimal", ",")
    found = run_sized(sizes, tmp_path / "out", *flags, *dialect)
    assert found["totals"]["rows_scored"] == found["totals"]["rows_read"] > 300
    assert run_here(tmp_path / "no", *flags, "--delimiter", ",", "--decimal", ",") == 2
    assert "--delimiter" in capsys.readouterr().err
    assert run_here(tmp_path / "tab", *flags, "--delimiter", "\\t", "--max_reject_fraction=1") == 0
    reject = published(tmp_path / "tab", "rejects").to_pylist()[0]
    assert "not separated by tabs: give --delimiter ';' --decimal ',';" in reject["message"]


def test_another_delimiter_is_named_though_a_column_is_misspelt() -> None:
    with pytest.raises(UnreadableFile, match="not separated by commas: give --delimiter ';'"):
        read_csv(b"id;lenght;mass\nb1;39,1;3750\n")
