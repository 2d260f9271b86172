"""How long --new_only takes to choose the files of a night, with a large folder and ledger.

`python -m benchmarks.nights` makes the files and the published runs in a temporary folder, and
prints the seconds of matching alone, of matching with the ledger, and of the last check before
publication.
"""

import argparse
import datetime
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.datasets import schemas
from pipelines.reading import matching as files
from pipelines.reading.matching import InputFile, Matching
from pipelines.runs import ledger
from pipelines.runs.layout import FILES, Layout, numbered_names

SHA256 = "0" * 64


def make_files(folder: Path, count: int) -> list[InputFile]:
    """Makes small input files."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:06d}.csv").write_text("id\n")
    return list(files.match([f"{folder}/*.csv"]))


def publish(output: str, run_id: str, listed: Sequence[InputFile]) -> None:
    """Publishes a run that lists some files, without predictions."""
    paths = Layout(output=output, run_id=run_id, attempt="")
    rows = [
        {
            "source_file": file.path,
            "size": file.size,
            "modified": file.modified,
            "model_sha256": SHA256,
            "rows_read": 1,
            "rows_scored": 1,
            "rows_rejected": 0,
        }
        for file in listed
    ]
    folder = paths.published(FILES)
    os.makedirs(folder)
    table = pa.Table.from_pylist(rows, schema=schemas.FILES)
    pq.write_table(table, os.path.join(folder, numbered_names(1)[0]), store_schema=False)
    manifest = {
        "run_id": run_id,
        "status": "published",
        "end": datetime.datetime.now(datetime.UTC).isoformat(),
        "model": {"sha256": SHA256},
        "totals": {},
        "reject_fraction": 0.0,
        "rejects_by_reason": {},
        "species": {},
        "shards": {FILES: {"files": 1, "rows": len(rows)}},
    }
    os.makedirs(os.path.dirname(paths.manifest), exist_ok=True)
    Path(paths.manifest).write_text(json.dumps(manifest))


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="in the input folder")
    parser.add_argument("--runs", type=int, default=1_000, help="published")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        output = os.path.join(folder, "output")
        inputs = Path(folder) / "input"
        found = make_files(inputs, arguments.files)
        # All files but the newest tenth are in the ledger, some nights list the same ones.
        done = found[: len(found) * 9 // 10]
        for number in range(arguments.runs):
            first = number * 10 % max(len(done), 1)
            publish(output, f"run-{number:05d}", done[first : first + 10])
        pattern = {f"{inputs}/*.csv": f"{inputs}/*.csv"}
        plain = Matching(patterns=pattern)
        asking = Matching(patterns=pattern, new_only=True, output=output, model_sha256=SHA256)
        for what, matching in (("match", plain), ("match and ledger", asking)):
            start = time.perf_counter()
            chosen = files.choose(matching, time.time())
            seconds = time.perf_counter() - start
            print(f"{what:<17} {seconds:6.2f} s, {len(chosen.chosen)} files, {chosen.skipped} done")
        start = time.perf_counter()
        left = {file.fingerprint for file in chosen.chosen}
        ledger.find_done(output, SHA256, left)
        print(f"{'last check':<17} {time.perf_counter() - start:6.2f} s")


if __name__ == "__main__":
    main()
