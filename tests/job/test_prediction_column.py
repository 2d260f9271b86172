"""A card may name the column of the predicted classes: every command follows it."""

import json
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from penguin_model import predict
from penguin_model.card import read_card
from pipelines.report import __main__ as report_command
from pipelines.runs.manifest import from_json
from tests.support import mixed
from tests.support.running import PLAIN, manifest, published, run_here
from tests.support.runs import act
from tests.support.trusted import copy_model

Captured = pytest.CaptureFixture[str]
COLUMNS = [
    "source_file", "source_row", "species", "island", "tree", "probability",
    "probability_adelie", "probability_gentoo", "probability_chinstrap", "novelty",
    "out_of_distribution", "tree_set",
]  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(mixed.mixed_bundle(tmp_path_factory.mktemp("mixed"), prediction_column="tree"))


@pytest.fixture
def output(model: Path, tmp_path: Path, capsys: Captured) -> Path:
    """A published night, whose files have a column that the penguins' predictions would have."""
    frame = pd.DataFrame(mixed.texts(mixed.birds(300, seed=5)[0]))
    frame.assign(species="oak").to_csv(tmp_path / "in.csv", index=False)
    root = tmp_path / "out"
    flags = ("--model", model, "--passthrough", "species,island", *PLAIN)
    assert run_here(root, "--input", tmp_path / "in.csv", *flags) == 0
    capsys.readouterr()
    return root


def test_the_predictions(output: Path) -> None:
    table = published(output, "predictions")
    assert table.column_names == COLUMNS
    assert set(table.column("species").to_pylist()) == {"oak"}
    trees = table.column("tree").to_pylist()
    assert set(trees) == set(mixed.CLASSES)
    for tree, names in zip(trees, table.column("tree_set").to_pylist(), strict=True):
        assert json.loads(names)[0] == tree
    found = manifest(output)
    assert found["model"]["prediction_column"] == "tree"
    # The manifest's own key stays.
    assert found["species"] == {name: trees.count(name) for name in sorted(mixed.CLASSES)}
    assert "tree" in found["drift"]["training"]
    assert "species" not in found["drift"]["training"]
    (path, *_) = sorted((output / "predictions/run_id=test").glob("*.parquet"))
    group = pq.ParquetFile(path).metadata.row_group(0)
    known = {
        column.path_in_schema: column.is_stats_set
        for column in map(group.column, range(group.num_columns))
    }
    # Readers look for files and islands, not for a range of class names.
    assert not known["tree"]
    assert not known["tree_set"]
    assert known["source_file"]
    assert known["island"]


def test_the_report(output: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    flags = ["--output", str(output), "--run_id", "test", "--to", str(page)]
    assert report_command.main(flags) == 0
    text = page.read_text()
    assert "column tree_set" in text
    assert "species" not in text.lower().replace("passthrough species,island", "")
    assert "PSI" in text.partition("Predicted classes")[2][:400]


def test_the_commands_about_runs(output: Path, capsys: Captured, tmp_path: Path) -> None:
    assert act(output, "show", "test") == 0
    assert "Adelie" in capsys.readouterr().out
    assert act(output, "verify", "test", "--replay", 50, "--seed", 1) == 0
    assert "50 rows of 1 file scored again" in capsys.readouterr().out
    table = published(output, "predictions").to_pandas()
    truth = table[["source_file", "source_row", "tree"]].rename(columns={"tree": "Species"})
    truth.to_csv(tmp_path / "labels.csv", index=False)
    assert act(output, "labels", "test", "--labels", tmp_path / "labels.csv") == 0
    assert manifest(output)["labels"]["accuracy"] == 1.0
    for path in (output / "predictions/run_id=test").glob("*.parquet"):
        changed = pq.ParquetFile(path).read().drop_columns(["tree"])
        pq.write_table(changed, path, store_schema=False)
    capsys.readouterr()
    assert act(output, "verify", "test") != 0
    said = capsys.readouterr()
    assert "SHA-256" in said.out + said.err


def test_the_flags_know_the_column(model: Path, tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "in.csv").write_text("island,CulmenLength,sex,BodyMass,Tree\n")
    for name in ("Tree", "tree_set"):
        flags = ("--input", tmp_path / "in.csv", "--model", model, "--passthrough", name, *PLAIN)
        assert run_here(tmp_path / "out", *flags) == 2
        assert f"the predictions have a column {name.lower()} already" in capsys.readouterr().err


def test_one_observation(model: Path, capsys: Captured) -> None:
    flags = ["--island=Biscoe", "--culmen_length=47", "--sex=female", "--body_mass=5000"]
    assert predict.main(["--model", str(model), *flags]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Gentoo\n")
    assert "\ntree set  Gentoo  (coverage 0.95)\n" in said
    assert predict.main(["--model", str(model), *flags, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["tree"], answer["tree_set"]) == ("Gentoo", ["Gentoo"])
    assert not {"species", "species_set"} & set(answer)


def test_early_manifests_have_the_first_name(
    shipped_model: Path, observations: Path, tmp_path: Path
) -> None:
    model = copy_model(tmp_path, read_card(str(shipped_model)))
    flags = ("--input", observations, "--model", model, "--max_reject_fraction", 1, *PLAIN)
    assert run_here(tmp_path / "out", *flags) == 0
    path = tmp_path / "out/runs/test.json"
    fields = json.loads(path.read_text())
    assert fields["model"].pop("prediction_column") == "species"
    assert from_json(fields).model.set_column == "species_set"
    path.write_text(json.dumps(fields))
    assert act(tmp_path / "out", "verify", "test", "--replay", 10) == 0
