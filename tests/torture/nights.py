"""Whole jobs over folders of mutated files: an exit code of the contract, and rows that reconcile.

The intact files among them must score as they do on their own.
"""

import gzip
import io
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.torture.cases import Case
from tests.torture.fuzz import mutate
from tests.torture.jobs import check_line, check_nothing_left, finish

NAMES = ("CulmenLength", "CulmenDepth", "FlipperLength", "BodyMass")


def seed_table(rows: int) -> pa.Table:
    """Plausible observations, all of them scored."""
    random_rows = np.random.default_rng(rows)
    low, high = np.array([35.0, 14, 175, 3000]), np.array([58.0, 21, 230, 6200])
    values = random_rows.uniform(low, high, (rows, 4)).round(1)
    ids = pa.array([f"b{n}" for n in range(rows)])
    return pa.table([ids, *(pa.array(values[:, n]) for n in range(4))], names=["id", *NAMES])


def seed_file(kind: str, rows: int) -> bytes:
    """An intact file of a format."""
    table = seed_table(rows)
    if kind == "parquet":
        sink = io.BytesIO()
        pq.write_table(table, sink, row_group_size=max(1, rows // 3))
        return sink.getvalue()
    lines = [",".join(table.column_names)]
    for number, row in enumerate(table.to_pylist()):
        first = f'"q ""{number}""\n,x"' if number % 9 == 4 else row["id"]
        lines.append(",".join([first, *(str(row[name]) for name in NAMES)]))
    data = ("\n".join(lines) + "\n").encode()
    return gzip.compress(data, mtime=0) if kind == "csv.gz" else data


def make_mutated_night(folder: Path, files: int, choice: random.Random) -> Path:
    """Some intact files, and many mutated ones."""
    folder.mkdir(parents=True)
    for number in range(files):
        kind = ("csv", "parquet", "csv.gz")[number % 3]
        data = seed_file(kind, 5 + number % 60)
        intact = number % 10 == 0
        name = f"{'good' if intact else 'bad'}-{number:04d}.{kind}"
        (folder / name).write_bytes(data if intact else mutate(data, choice))
    return folder


def mutated_nights(folder: Path, nights: int, files: int, seed: int) -> Case:
    """Each night in one job with any budget, and in one with the usual budget."""
    case = Case(f"nights of {files} mutated files")
    for number in range(nights):
        night = make_mutated_night(
            folder / f"night{number}", files, random.Random(seed + 7 + number)
        )
        output = folder / f"out{number}"
        flags = ["--input", night, "--output", output, "--passthrough", "id"]
        code, err = finish(*flags, "--run_id", "all", "--max_reject_fraction", 1)
        case.check((code, err) == (0, ""), f"night {number}: exit code {code}: {err}")
        if code == 0:
            check_night(case, output, night, files)
        code, err = finish(*flags, "--run_id", "strict")
        case.check(code in (0, 3), f"night {number}: exit code {code}: {err}")
        case.see("held" if code == 3 else "published")
        if code:
            check_line(case, err)
        case.check(
            (output / "runs/strict.json").exists() == (code == 0), "exit code and manifest differ"
        )
        check_nothing_left(case, output)
        case.tries += files
    return case


def check_night(case: Case, output: Path, night: Path, files: int) -> None:
    """Every file listed, every row of it in one place; the intact files scored in full."""
    totals = json.loads((output / "runs/all.json").read_text())["totals"]
    listed = {row["source_file"]: row for row in _rows(output, "files")}
    case.check(len(listed) == totals["files"] == files, f"{len(listed)} of {files} files listed")
    places: dict[str, list[int]] = {name: [] for name in listed}
    for dataset in ("predictions", "rejects"):
        for row in _rows(output, dataset):
            if row["source_row"] is not None:
                places[row["source_file"]].append(row["source_row"])
    for name, file in listed.items():
        found, read = places[name], file["rows_read"]
        case.rows += read
        case.lost += read - len(set(found) & set(range(read)))
        case.doubled += len(found) - len(set(found))
        adds_up = read == file["rows_scored"] + file["rows_rejected"]
        case.check(adds_up, f"{name}: {read} rows read do not add up")
        if Path(name).name.startswith("good-"):
            expected = 5 + int(Path(name).name[5:9]) % 60
            case.check(file["rows_scored"] == expected, f"{name}: intact, but not scored in full")
    counted = sum(file["rows_read"] for file in listed.values())
    case.check(counted == totals["rows_read"], "the files do not add up to the manifest")


def _rows(output: Path, dataset: str) -> list[dict[str, Any]]:
    names = {"files": ["source_file", "rows_read", "rows_scored", "rows_rejected"]}
    columns = names.get(dataset, ["source_file", "source_row"])
    return [
        row
        for shard in sorted((output / dataset / "run_id=all").glob("*.parquet"))
        for row in pq.ParquetFile(shard).read(columns=columns).to_pylist()
    ]
