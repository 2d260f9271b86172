"""The samples scored by the shipped model: the complete listing, and the values.

`python -m tests.scoring.test_golden` rewrites the golden file, after the model or the samples
change.
"""

import json
import tempfile
from pathlib import Path

import pytest

from penguin_model.engines import ENGINES
from tests.support import samples
from tests.support.running import ONE_WORKER, run_here


@pytest.mark.parametrize("engine", ENGINES)
def test_the_samples_give_the_golden_output(engine: str, tmp_path: Path) -> None:
    assert run_here(tmp_path, *samples.FLAGS, *ONE_WORKER, "--engine", engine) == 0
    samples.assert_golden(tmp_path)
    golden = json.loads(samples.GOLDEN.read_text())
    found = samples.describe(tmp_path)
    assert found["listing"] == golden["listing"]
    assert found["manifest"]["shards"] == golden["manifest"]["shards"]


@pytest.mark.parametrize("engine", ENGINES)
def test_the_samples_are_scored_as_keras_called_directly(engine: str, tmp_path: Path) -> None:
    assert run_here(tmp_path, *samples.FLAGS, "--engine", engine) == 0
    samples.assert_equals_keras(tmp_path)


def write_golden() -> None:
    """Writes the golden file, one row of a table a line."""
    with tempfile.TemporaryDirectory() as folder:
        assert run_here(Path(folder), *samples.FLAGS, *ONE_WORKER) == 0
        found = samples.describe(Path(folder))
    for row in found["predictions"]["rows"]:
        row[4:] = [round(each, 6) if isinstance(each, float) else each for each in row[4:]]
    text = json.dumps(found, indent=1)
    for dataset in ("predictions", "rejects", "files"):
        block = json.dumps(found[dataset]["rows"], indent=1)
        rows = ",\n".join("  " + json.dumps(row) for row in found[dataset]["rows"])
        indented = "\n".join(" " * 2 + line for line in block.splitlines()).lstrip()
        text = text.replace(indented, f"[\n{rows}\n  ]")
    assert json.loads(text) == found
    samples.GOLDEN.write_text(text + "\n")


if __name__ == "__main__":
    write_golden()
