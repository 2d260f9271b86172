"""The samples scored by the shipped model: the complete listing, and the values.

`python -m tests.test_golden` writes the golden file anew, after the model or the samples change.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.running import PROJECT, listing, manifest, published, run_here

GOLDEN = Path(__file__).parent / "golden.json"


def score_samples(output: Path) -> dict[str, Any]:
    """Scores the samples; what was published, without times and places."""
    code = run_here(
        output, "--input", PROJECT / "data/observations", "--run_id", "golden",
        "--model", PROJECT / "models/penguin-classifier.keras", "--passthrough", "observation_id",
    )  # fmt: skip
    assert code == 0
    tables = {}
    for dataset in ("predictions", "rejects", "files"):
        table = published(output, dataset, "golden")
        rows = table.to_pylist()
        for row in rows:
            row["source_file"] = Path(row["source_file"]).name
            row.pop("modified", None)
        tables[dataset] = {"columns": table.column_names, "rows": [list(r.values()) for r in rows]}
    found = manifest(output, "golden")
    kept = ("totals", "rejects_by_reason", "species", "shards")
    known = {key: found[key] for key in kept}
    for described in known["shards"].values():
        described.pop("bytes")  # other versions of the libraries compress otherwise
    return {"listing": listing(output), "keys": sorted(found), "manifest": known, **tables}


def test_the_samples_give_the_golden_output(tmp_path: Path) -> None:
    got, golden = score_samples(tmp_path), json.loads(GOLDEN.read_text())
    for key in ("listing", "keys", "manifest", "rejects", "files"):
        assert got[key] == golden[key]
    assert got["predictions"]["columns"] == golden["predictions"]["columns"]
    assert len(got["predictions"]["rows"]) == len(golden["predictions"]["rows"]) == 342
    for row, expected in zip(
        got["predictions"]["rows"], golden["predictions"]["rows"], strict=True
    ):
        assert row[:4] == expected[:4]
        # Rounded in the file; other machines may add up a product in another order.
        assert row[4:] == pytest.approx(expected[4:], abs=1e-5)


def write_golden() -> None:
    """Writes the golden file, one row of a table a line."""
    with tempfile.TemporaryDirectory() as folder:
        found = score_samples(Path(folder))
    for row in found["predictions"]["rows"]:
        row[4:] = [round(value, 6) for value in row[4:]]
    text = json.dumps(found, indent=1)
    for dataset in ("predictions", "rejects", "files"):
        block = json.dumps(found[dataset]["rows"], indent=1)
        rows = ",\n".join("  " + json.dumps(row) for row in found[dataset]["rows"])
        indented = "\n".join(" " * 2 + line for line in block.splitlines()).lstrip()
        text = text.replace(indented, f"[\n{rows}\n  ]")
    assert json.loads(text) == found
    GOLDEN.write_text(text + "\n")


if __name__ == "__main__":
    write_golden()
