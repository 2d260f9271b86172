"""docs/lab.ipynb: every cell runs, and shows what the committed notebook shows."""

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.running import PROJECT

NOTEBOOK = PROJECT / "docs/lab.ipynb"


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def shown(notebook: Any) -> str:
    """What the cells print and return, as plain text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(output.get("text") or output.data["text/plain"] for output in outputs)


def without_numbers(text: str) -> list[str]:
    """The words: decimals, versions and the model's SHA-256 differ between machines."""
    return re.sub(r"\b[0-9a-f]{64}\b|-?(\d+\.)+\d+|\s+", " ", text).split()


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("notebook")
    (folder / "docs").mkdir()
    (folder / "data").mkdir()
    shutil.copy(PROJECT / "data/penguins.csv", folder / "data")
    notebook = read(NOTEBOOK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(PROJECT), prepend=":")
        # Raises on the first cell that fails, or that takes too long.
        NotebookClient(
            notebook,
            timeout=600,
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder / "docs")}},
        ).execute()
    assert (folder / "lab/notebook.keras").is_file()
    return notebook


@pytest.mark.slow
def test_the_notebook_learns_the_penguins(executed: Any) -> None:
    text = shown(executed)
    assert "array([0, 1, 2]), ('Adelie', 'Gentoo', 'Chinstrap')" in text
    assert "(239, 956, 103)" in text
    losses = [float(loss) for loss in re.findall(r"after +\d+ steps: loss (\S+)", text)]
    assert len(losses) == 4
    assert losses == sorted(losses, reverse=True)
    assert "Held out: 100.00 % of 103 birds right" in text
    assert re.search(r"^Gentoo\n  Adelie .* %\n  Gentoo +9\d\.\d+ %", text, re.M)
    assert "--body_mass 50: BodyMass must be a number from 900 to 8100 g" in text


@pytest.mark.slow
def test_the_committed_outputs_are_those_of_the_code(executed: Any) -> None:
    assert without_numbers(shown(read(NOTEBOOK))) == without_numbers(shown(executed))
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2


def test_the_notebook_is_small_and_names_no_machine() -> None:
    assert NOTEBOOK.stat().st_size < 200_000
    assert re.findall(r"/(?:home|root|tmp|usr|work)/", NOTEBOOK.read_text()) == []
    numbers = [cell.execution_count for cell in read(NOTEBOOK).cells if cell.cell_type == "code"]
    assert numbers == list(range(1, len(numbers) + 1))
