"""Expected results for the samples on every runner: golden values, and Keras called directly."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from penguin_model import bundle
from penguin_model.features import normalize
from tests.support.running import PROJECT, listing, manifest, published

GOLDEN = Path(__file__).parent / "golden.json"
OBSERVATIONS = PROJECT / "data/observations"
MODEL = PROJECT / "models/penguin-classifier.keras"
RUN_ID = "golden"
FLAGS = (
    "--input", OBSERVATIONS, "--model", MODEL, "--passthrough", "observation_id",
    "--run_id", RUN_ID,
)  # fmt: skip


def describe(output: Path) -> dict[str, Any]:
    """What a run of the samples published, without times and paths."""
    tables = {}
    for dataset in ("predictions", "rejects", "files"):
        table = published(output, dataset, RUN_ID)
        rows = table.to_pylist()
        for row in rows:
            row["source_file"] = Path(row["source_file"]).name
            row.pop("modified", None)
        tables[dataset] = {"columns": table.column_names, "rows": [list(r.values()) for r in rows]}
    found = manifest(output, RUN_ID)
    kept = ("totals", "rejects_by_reason", "species", "histograms", "labels", "trust", "shards")
    known = {key: found[key] for key in kept}
    for described in known["shards"].values():
        # Other versions of the libraries compress otherwise.
        described.pop("bytes")
        described.pop("sha256")
    return {"listing": listing(output), "keys": sorted(found), "manifest": known, **tables}


def assert_golden(output: Path) -> None:
    """Checks the rows, totals and complete listing; runners may divide the shards differently."""
    got, golden = describe(output), json.loads(GOLDEN.read_text())
    shards = got["manifest"].pop("shards")
    expected_shards = golden["manifest"].pop("shards")
    assert {name: each["rows"] for name, each in shards.items()} == {
        name: each["rows"] for name, each in expected_shards.items()
    }
    folders = {dataset: f"{dataset}/run_id={RUN_ID}/" for dataset in shards}
    assert got["listing"] == sorted(
        [f"{dataset}/" for dataset in shards]
        + list(folders.values())
        + [
            f"{folders[dataset]}part-{number:05d}.parquet"
            for dataset, each in shards.items()
            for number in range(each["files"])
        ]
        + ["runs/", f"runs/{RUN_ID}.json"]
    )
    for key in ("keys", "manifest", "rejects", "files"):
        assert got[key] == golden[key]
    assert got["predictions"]["columns"] == golden["predictions"]["columns"]
    assert len(got["predictions"]["rows"]) == len(golden["predictions"]["rows"]) == 342
    for row, expected in zip(
        got["predictions"]["rows"], golden["predictions"]["rows"], strict=True
    ):
        assert row[:4] == expected[:4]
        # Rounded in the file, as other machines may sum a product in a different order.
        # Texts and truth values must be equal.
        for found, wanted in zip(row[4:], expected[4:], strict=True):
            exact = isinstance(wanted, str | bool | list)
            assert found == (wanted if exact else pytest.approx(wanted, abs=1e-5, rel=1e-5))


def assert_equals_keras(output: Path) -> None:
    """Checks that every prediction equals `model.predict` for the same row, read with pandas."""
    classifier = bundle.load(str(MODEL))
    card = classifier.card
    got = published(output, "predictions", RUN_ID).to_pandas()
    frames = []
    for path in sorted(OBSERVATIONS.iterdir()):
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
        frames.append(frame.assign(source_file=str(path), source_row=range(len(frame))))
    frame = pd.concat(frames).sort_values(["source_file", "source_row"])
    frame = frame.dropna(subset=list(card.feature_names)).reset_index(drop=True)
    matrix = normalize([frame[name].to_numpy(float) for name in card.feature_names], card.features)
    expected = classifier.model.predict(matrix, verbose=0)

    assert len(got) == len(frame) == 342
    for name in ("source_file", "source_row", "observation_id"):
        assert got[name].tolist() == frame[name].tolist()
    np.testing.assert_allclose(
        got[list(card.probability_columns)].to_numpy(), expected, rtol=1e-5, atol=1e-7
    )
    assert got["species"].tolist() == [card.classes[n] for n in expected.argmax(axis=1)]
    np.testing.assert_allclose(got["probability"], expected.max(axis=1), rtol=1e-5)
