"""Mutated bytes through both readers: all rows are accounted for, no error but those of rejects.

Cases run in child processes, since a library that reads foreign bytes may take the process down, or
never end; a case that does is told by its signal.
"""

import gzip
import io
import json
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.reading.arrow_files import reader as arrow_reader
from pipelines.reading.csv_files import reader
from pipelines.reading.csv_files.compressed import find_codec
from pipelines.reading.csv_files.text import open_text
from pipelines.reading.parquet_files import reader as parquet_spans
from pipelines.reading.rows import ParsedRows, validate_rows
from pipelines.reading.settings import Sizes
from pipelines.reading.unreadable import UnreadableFile
from tests.support.reading import WANTED
from tests.support.running import PROJECT
from tests.torture.cases import Case

SPLICES = (
    b'"', b"\n", b"\r\n", b"\r", b",", b"\0", b"\xff", b"NA", b"39,1", b"-", b'""', b"\xef\xbb\xbf",
)  # fmt: skip
NAMES = {"csv": "CSV", "gzip": "gzip", "parquet": "Parquet", "arrow": "Arrow"}
SECONDS_A_CASE = 20
MEMORY = 6 << 30


def csv_seed() -> bytes:
    """Rows of all sorts: good, quoted, blank, with newlines in a field."""
    rows = [b"id,length,mass,note"]
    for number in range(60):
        rows.append(b"b%d,%d.5,%d,n" % (number, 10 + number, 1000 + number))
        if number % 7 == 0:
            rows.append(b'"q ""%d""\n,x",39.1,3750,"two\r\nlines"' % number)
        if number % 11 == 0:
            rows += [b"", b"x,NA,500,", b'y,"39,1",500,']
    return b"\n".join(rows) + b"\n"


def table_seed() -> pa.Table:
    """Good rows, and some that miss a value."""
    rows = 300
    return pa.table(
        {
            "id": [f"b{n}" for n in range(rows)],
            "length": pa.array([None if n % 50 == 7 else 10 + n / 10 for n in range(rows)]),
            "mass": pa.array(range(1000, 1000 + rows), pa.int32()),
        }
    )


def arrow_seed(number: int) -> bytes:
    """A small file or stream, its text in one of several types."""
    table = table_seed()
    kinds = (pa.string(), pa.dictionary(pa.int16(), pa.string()), pa.string_view())
    ids = table.column("id").cast(pa.string())
    kind = kinds[number % 3]
    ids = ids.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else ids.cast(kind)
    options = pa.ipc.IpcWriteOptions(compression=(None, "lz4", "zstd")[number // 3 % 3])
    sink = io.BytesIO()
    opening = pa.ipc.new_file if number % 2 else pa.ipc.new_stream
    table = table.set_column(0, "id", ids)
    with opening(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=100)
    return sink.getvalue()


def parquet_seed(number: int) -> bytes:
    """A small file in one of several encodings."""
    table = table_seed()
    sink = io.BytesIO()
    compression = ("snappy", "none", "zstd", "gzip")[number % 4]
    pq.write_table(
        table, sink, row_group_size=100, compression=compression, use_dictionary=number % 3 > 0,
        write_page_checksum=number % 5 == 0,
    )  # fmt: skip
    return sink.getvalue()


def mutate(data: bytes, choice: random.Random) -> bytes:
    """Changes a few places: bits, slices, splices, the end."""
    changed = bytearray(data)
    for _ in range(choice.choice((1, 1, 2, 5))):
        if not changed:
            break
        place = choice.randrange(len(changed))
        stop = min(len(changed), place + choice.choice((1, 2, 8, 64)))
        kind = choice.randrange(6)
        if kind == 0:
            changed[place] ^= 1 << choice.randrange(8)
        elif kind == 1:
            changed[place:place] = choice.choice(SPLICES)
        elif kind == 2:
            del changed[place:stop]
        elif kind == 3:
            changed[place:place] = changed[place:stop]
        elif kind == 4:
            changed[place:stop] = bytes(choice.randrange(256) for _ in range(stop - place))
        else:
            del changed[choice.randrange(len(changed)) :]
    return bytes(changed)


def account(blocks: Iterator[ParsedRows]) -> tuple[list[Any], int]:
    """All rows and rejects in the order of the file; the count of rows read."""
    found: list[Any] = []
    read = 0
    for block in blocks:
        read += block.rows_read
        chunk, rejects = validate_rows(block, "f", WANTED)
        part: list[Any] = [(reject.source_row, reject.reason, reject.raw) for reject in rejects]
        if chunk is not None:
            part += zip(*(column.to_pylist() for column in chunk.columns[1:]), strict=True)
        found += sorted(part, key=lambda row: row[0])
    return found, read


def read_csv(data: bytes, size: int) -> tuple[list[Any], int]:
    return account(reader.read_csv(io.BytesIO(data), WANTED, block_bytes=size))


def read_gzip(data: bytes, size: int) -> tuple[list[Any], int]:
    text = open_text(io.BytesIO(data), WANTED.dialect, find_codec(b"\x1f\x8b"))
    return account(reader.read_csv(text.stream, WANTED, block_bytes=size))


def read_parquet(data: bytes, size: int) -> tuple[list[Any], int]:
    file = parquet_spans.open_file(pa.BufferReader(data), WANTED)
    found: list[Any] = []
    read = 0
    for part in parquet_spans.plan(file, size * 100):
        blocks = parquet_spans.read_row_groups(file, part, WANTED, batch_rows=size)
        rows, count = account(blocks)
        found, read = found + rows, read + count
    return found, read


def read_arrow(data: bytes, size: int) -> tuple[list[Any], int]:
    file = arrow_reader.open_file(pa.BufferReader(data), WANTED)
    found: list[Any] = []
    read = 0
    for part in arrow_reader.plan(file, size * 100):
        rows, count = account(
            arrow_reader.read_record_batches(file, part, WANTED, Sizes(batch_rows=size))
        )
        found, read = found + rows, read + count
    return found, read


def try_case(kind: str, seed: int) -> tuple[str, int]:
    """One mutated file, read in two ways: what happened, and how many rows it gave.

    Raises:
      AssertionError: rows are lost or doubled, or the two ways differ.
    """
    choice = random.Random(seed)
    if kind == "parquet":
        data, read = mutate(parquet_seed(seed), choice), read_parquet
    elif kind == "arrow":
        data, read = mutate(arrow_seed(seed), choice), read_arrow
    elif kind == "gzip":
        # Mutated text that is whole as a gzip file would be the CSV case once more.
        data, read = mutate(gzip.compress(csv_seed(), mtime=0), choice), read_gzip
    else:
        data, read = mutate(csv_seed(), choice), read_csv
    ends: list[Any] = []
    for size in (choice.randrange(20, 200), 100_000):
        try:
            found, count = read(data, size)
        except (UnreadableFile, OSError):
            ends.append("refused")
            continue
        assert [row[0] for row in found] == list(range(count)), "rows lost or doubled"
        # Of a torn row group, small batches yield the rows before the tear.
        ends.append(len(found) if kind == "parquet" else found)
    assert ends[0] == ends[1], "another block size gives other rows"
    return ("refused", 0) if ends[0] == "refused" else ("read", count)


def run_cases(kind: str, first: int, count: int) -> None:
    """Runs cases in this process, and prints each as it ends; the next one is known from that."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for seed in range(first, first + count):
        signal.alarm(SECONDS_A_CASE)
        try:
            what, rows = try_case(kind, seed)
        except Exception as error:
            what, rows = f"{type(error).__name__}: {error}", -1
        print(json.dumps([seed, what, rows]), flush=True)


def fuzz(kind: str, cases: int, seed: int) -> Case:
    """Runs cases in child processes, and goes on after one that takes its process down."""
    case = Case(f"mutated {NAMES[kind]} bytes")
    first, end = seed, seed + cases
    while first < end:
        child = subprocess.run(
            [sys.executable, "-m", "tests.torture.fuzz", kind, str(first), str(end - first)],
            cwd=PROJECT, capture_output=True, text=True,
        )  # fmt: skip
        for line in child.stdout.splitlines():
            number, what, rows = json.loads(line)
            case.tries += 1
            case.rows += max(rows, 0)
            if rows < 0:
                case.faults.append(f"{kind} case {number}: {what}")
            else:
                case.see(what)
            first = number + 1
        if child.returncode:
            name = signal.Signals(-child.returncode).name if child.returncode < 0 else "an error"
            case.tries += 1
            case.faults.append(f"{kind} case {first}: {name} {child.stderr[-300:]}")
            first += 1
    return case


if __name__ == "__main__":
    run_cases(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
