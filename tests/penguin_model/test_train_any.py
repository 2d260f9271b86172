"""Training on any labelled table, with the tables that scikit-learn brings along."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from penguin_model import bundle, card_page, describe, train
from penguin_model.card import Category, Feature, ModelCard, read_verified
from penguin_model.errors import UsageError
from penguin_model.features import normalize
from penguin_model.training import baseline, dataset, evaluation, fitting, plots, recipe, trusting
from penguin_model.training.penguins import LAB
from penguin_model.training.table import Rows
from tests.support.running import ONE_WORKER, PLAIN, PROJECT, manifest, published, run_here


def frame(name: str) -> pd.DataFrame:
    """A table of scikit-learn's, with the names of the classes."""
    found = getattr(datasets, f"load_{name}")(as_frame=True)
    columns = found.frame.drop(columns="target")
    return columns.assign(**{"class": [str(found.target_names[each]) for each in found.target]})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("any")
    frame("iris").to_csv(found / "iris.csv", index=False)
    frame("wine").to_csv(found / "wine.tsv", index=False, sep="\t")
    frame("breast_cancer").to_parquet(found / "cancer.parquet")
    return found


@pytest.fixture(scope="module")
def iris(folder: Path) -> dataset.Dataset:
    return dataset.load(str(folder / "iris.csv"), label="class")


@pytest.fixture(scope="module")
def trained(folder: Path, iris: dataset.Dataset) -> tuple[ModelCard, str]:
    """The card of a model of iris, trained as the README says, and what was printed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        said: list[str] = []
        patch.setattr(train, "say", said.append)
        code = train.main(["--data", "iris.csv", "--label", "class", "--hidden", "16,16",
                           "--epochs", "80", "--cross_validation", "0"])  # fmt: skip
    assert code == 0
    return read_verified(str(folder / "models/iris.keras")), "\n".join(said)


def test_a_recipe_of_any_table(iris: dataset.Dataset) -> None:
    names = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
    assert list(iris.recipe.features) == [each.name for each in iris.features] == names
    assert iris.recipe.classes == ("setosa", "versicolor", "virginica")
    assert (iris.recipe.doublings, iris.recipe.stratified) == (0, True)
    assert (iris.features[0].minimum, iris.features[0].maximum) == (2.5, 9.7)
    assert np.bincount(iris.training.labels).tolist() == [35, 35, 35]
    assert np.bincount(iris.test.labels).tolist() == [15, 15, 15]
    both = np.concatenate([iris.training.numbers, iris.test.numbers])
    assert sorted(both.tolist()) == list(range(150))
    np.testing.assert_array_equal(
        iris.test.raw, frame("iris").iloc[iris.test.numbers, :4].to_numpy()
    )


def test_what_is_written(trained: tuple[ModelCard, str], folder: Path) -> None:
    names = {path.name for path in (folder / "models").iterdir()}
    assert names - {"iris.keras.onnx"} == {
        "iris.confusion.png", "iris.keras", "iris.keras.card.json", "iris.loss.png",
    }  # fmt: skip


def test_the_card(trained: tuple[ModelCard, str], iris: dataset.Dataset) -> None:
    card, _ = trained
    assert (card.name, card.label, card.prediction_column) == ("iris", "class", "class")
    assert card.classes == iris.recipe.classes
    assert card.training["hidden_layers"] == [16, 16]
    assert (card.training["epochs"], card.training["oversampling"]) == (80, 1)
    assert (card.training["scale"], card.training["split"]) == ("standard", "stratified by class")
    assert (card.data["rows"], card.data["train_rows"], card.data["test_rows"]) == (150, 105, 45)
    for feature, plain, column in zip(
        card.features, iris.features, iris.training.raw.T, strict=True
    ):
        assert isinstance(feature, Feature)
        assert (feature.offset, feature.scale) == (column.mean(), column.std())
        assert dataclasses.replace(feature, offset=0, scale=1) == plain
    assert card.metrics["accuracy"] > 0.9
    assert card.reference is not None
    assert card.trust is not None
    assert "citation" not in card.data
    assert card.limits[0].startswith("It knows 3 classes: ")


def test_nothing_speaks_of_penguins(trained: tuple[ModelCard, str], folder: Path) -> None:
    card, said = trained
    assert "105 rows to train on; 45 held out" in said
    assert "data row 1, which was held out (sepal length (cm) 4.9, " in said
    assert re.search(r"is setosa:\nsetosa\n", said)
    others = said + card.to_json() + card_page.render(card)
    assert not re.search(r"penguins|bird|Adelie|species\b(?!_)", others.replace("species set", ""))


def test_the_baseline_gets_the_same_inputs(
    trained: tuple[ModelCard, str], iris: dataset.Dataset
) -> None:
    card, _ = trained
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000))
    model.fit(iris.training.raw, iris.training.labels)
    expected = log_loss(iris.test.labels, model.predict_proba(iris.test.raw))
    assert card.metrics["baseline"]["log_loss"] == pytest.approx(expected, abs=1e-4)


def test_a_night_of_iris(
    trained: tuple[ModelCard, str], folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Rows in another order, with columns that the model doesn't know."""
    rows = frame("iris").sample(frac=1, random_state=0).reset_index(drop=True)
    rows.insert(0, "plant", range(150))
    rows.to_csv(tmp_path / "night.csv", index=False)
    model = folder / "models/iris.keras"
    code = run_here(
        tmp_path / "out", "--input", tmp_path / "night.csv", "--model", model, *PLAIN, *ONE_WORKER
    )
    assert code == 0, capfd.readouterr().err
    card = bundle.load(str(model)).card
    # Keras itself, on inputs made by hand.
    means, deviations = (np.array([getattr(each, name) for each in card.features])
                         for name in ("offset", "scale"))  # fmt: skip
    inputs = (rows[list(card.feature_names)].to_numpy() - means) / deviations
    expected = bundle.load(str(model)).model.predict(inputs.astype(np.float32), verbose=0)
    found = published(tmp_path / "out", "predictions")
    assert found["source_row"].to_pylist() == list(range(150))
    for name, column in zip(card.classes, expected.T, strict=True):
        np.testing.assert_allclose(found[f"probability_{name}"], column, atol=1e-6)
    winners = [card.classes[index] for index in expected.argmax(axis=1)]
    assert winners in [found[name].to_pylist() for name in found.column_names]
    right = np.mean(rows["class"].to_numpy() == np.array(winners))
    assert manifest(tmp_path / "out")["labels"]["accuracy"] == pytest.approx(right)


@pytest.mark.parametrize("name", ["wine.tsv", "cancer.parquet"])
def test_other_tables(name: str, folder: Path, tmp_path: Path) -> None:
    said: list[str] = []
    card = train.train(
        fitting.TrainConfig(
            data=str(folder / name), label="class", model=str(tmp_path / "a.h5"), epochs=15,
            early_stopping=2, cross_validation=0, force=True, prediction_column="kind",
        ),
        say=said.append,
    )  # fmt: skip
    assert card.metrics["accuracy"] > 0.9
    assert card.prediction_column == "kind"
    assert len(card.features) in (13, 30)
    stopping = card.training["early_stopping"]
    assert 1 <= stopping["best_epoch"] <= stopping["epochs_run"] <= 15
    assert f"Stopped after {stopping['epochs_run']} epochs" in "\n".join(said)


def part(rows: Rows, seed: int = 0) -> Rows:
    return rows.take(np.random.default_rng(seed).permutation(len(rows))[: len(rows) // 2])


def test_early_stopping_chooses_by_training_rows_only(iris: dataset.Dataset) -> None:
    """The test part is anything; the network is the same."""
    config = fitting.TrainConfig(early_stopping=3, epochs=300, learning_rate=0.05, batch_size=32)
    features = config.set_scales(iris.recipe, iris.features, iris.training)
    lines: list[str] = []
    weights = []
    for test in (iris.test, None):
        fitted = fitting.train_on(
            config, iris.recipe, iris.training, test, features, progress=lines.append
        )
        weights.append(np.concatenate([each.ravel() for each in fitted.model.get_weights()]))
        np.testing.assert_array_equal(weights[0], weights[-1])
    losses = fitted.history["val_loss"]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3 < 300
    assert fitted.stopping == {
        "patience": 3, "rows": 21, "epochs_run": len(losses), "best_epoch": best + 1,
    }  # fmt: skip
    # The weights are those of the best epoch, and the rows to stop by weren't trained on.
    inside, outside = dataset.hold_out(iris.training, fitting.STOPPING_SHARE)
    answers = fitted.predict(fitting.matrix(outside, features))
    assert evaluation.log_loss(answers, outside.labels) == pytest.approx(losses[best], abs=1e-4)
    assert set(inside.numbers.tolist()).isdisjoint(outside.numbers.tolist())
    assert "validation: loss" in lines[0]


def test_early_stopping_leaves_the_labs_copies_together(project: Path) -> None:
    penguins = dataset.load(str(project / "data/penguins.csv"))
    config = fitting.TrainConfig(early_stopping=1, epochs=2)
    fitted = fitting.train_on(config, LAB, penguins.training, penguins.test, penguins.features)
    assert fitted.stopping["rows"] == 48


def test_scales_are_learned_from_what_is_trained_on(iris: dataset.Dataset) -> None:
    plain, standard = fitting.TrainConfig(scale="none"), fitting.TrainConfig()
    assert plain.set_scales(iris.recipe, iris.features, iris.training) == iris.features
    half = part(iris.rows)
    features = standard.set_scales(iris.recipe, iris.features, half)
    inputs = fitting.matrix(half, features)
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(inputs.std(axis=0), 1, atol=1e-6)
    # The lab's division, unless told otherwise.
    penguins = dataset.load(str(PROJECT / "data/penguins.csv"))
    assert standard.set_scales(LAB, penguins.features, penguins.training) == penguins.features
    asked = fitting.TrainConfig(scale="standard")
    assert asked.set_scales(LAB, penguins.features, penguins.training)[0].offset > 40
    assert asked.for_card(LAB)["scale"] == "standard"


def test_the_penguins_by_other_names(project: Path, tmp_path: Path) -> None:
    """A published table of the same birds is trained on by the lab's recipe."""
    data = pd.read_csv(project / "data/penguins.csv")
    data["species"] = [("Adelie Penguin", "gentoo", "Chinstrap")[code] for code in data["Species"]]
    renamed = data.drop(columns="Species").rename(
        columns={"CulmenLength": "bill_length_mm", "CulmenDepth": "bill_depth_mm",
                 "FlipperLength": "flipper_length_mm", "BodyMass": "body_mass_g"}
    )  # fmt: skip
    renamed["year"] = 2007
    renamed.to_csv(tmp_path / "palmer.csv", index=False)
    ours = dataset.load(str(project / "data/penguins.csv"))
    for label in ("", "species", "Species"):
        theirs = dataset.load(str(tmp_path / "palmer.csv"), label=label)
        assert theirs.recipe is LAB
        assert theirs.features == ours.features
        np.testing.assert_array_equal(theirs.training.raw, ours.training.raw)
        np.testing.assert_array_equal(theirs.test.labels, ours.test.labels)
    other = dataset.load(str(tmp_path / "palmer.csv"), label="species", features=["body_mass_g"])
    assert other.recipe.classes == ("Adelie Penguin", "Chinstrap", "gentoo")


def test_other_penguins_of_the_same_columns(project: Path, tmp_path: Path) -> None:
    """The lab's recipe knows three species only."""
    data = pd.read_csv(project / "data/penguins.csv")
    data["Species"] = data["Species"].map({0: "Adelie", 1: "Emperor", 2: "King"})
    data.to_csv(tmp_path / "others.csv", index=False)
    found = dataset.load(str(tmp_path / "others.csv"), label="Species").recipe
    assert found.classes == ("Adelie", "Emperor", "King")
    assert found.features == LAB.features
    with pytest.raises(UsageError, match="Species is Emperor in data row 152; it must be one of"):
        dataset.load(str(tmp_path / "others.csv"))


@pytest.mark.parametrize("name", ["a.keras", "a.keras.onnx", "a.keras.card.json", "a.loss.png"])
def test_a_folder_in_the_way_is_found_before_training(
    name: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).mkdir()
    flags = ["--data", str(folder / "iris.csv"), "--label", "class"]
    assert train.main([*flags, "--model", str(tmp_path / "a.keras")]) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == (
        "", f"penguin-train: error: {tmp_path / name}: is a folder\n",
    )  # fmt: skip


def test_categories_are_inputs_too(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    island, mass = random.choice(["Biscoe", "Dream"], 60), random.normal(4000, 500, 60)
    kind = np.where(island == "Dream", "b", np.where(mass > 4000, "a", "c"))
    data = pd.DataFrame({"island": island, "mass": mass, "kind": kind})
    data.to_csv(tmp_path / "data.csv", index=False)
    card = train.train(
        fitting.TrainConfig(
            data=str(tmp_path / "data.csv"), label="kind", features=("island", "mass"),
            model=str(tmp_path / "a.keras"), epochs=1, cross_validation=1, force=True,
        ),
        say=lambda text: None,
    )  # fmt: skip
    assert card.features[0] == Category(name="island", categories=("Biscoe", "Dream"))
    assert card.width == 3
    assert card.metrics["cross_validation"]["rows"] == 60
    assert card.calibration is not None
    assert read_verified(str(tmp_path / "a.keras")) == card


def rows_of(**columns: Any) -> str:
    return pd.DataFrame(columns).to_csv(index=False)


X = list(range(20))
BAD = {
    "no label": (rows_of(x=X, kind=["a", "b"] * 10), [],
                 "CulmenLength, CulmenDepth, FlipperLength, BodyMass, Species, so it isn't the "
                 "penguins'; for other data, name the column of the classes with --label: the "
                 "columns are x, kind"),
    "no such label": (rows_of(x=X, kind=["a", "b"] * 10), ["--label", "kin"],
                      "has no column kin; did you mean kind?; its columns are x, kind"),
    "one class": (rows_of(x=X, kind=["a"] * 20), ["--label", "kind"], "a single class, a"),
    "a rare class": (rows_of(x=X, kind=["a", "b"] * 9 + ["a", "c"]), ["--label", "kind"],
                     "kind c has 1 complete row; each class needs two"),
    "a class without complete rows": (
        rows_of(x=[*X[:-1], None], kind=["a", "b"] * 9 + ["a", "c"]), ["--label", "kind"],
        "kind c has no complete rows; each class needs two",
    ),
    "decimals": (rows_of(x=X, kind=[0.5, 1] * 10), ["--label", "kind"], "has the value 0.5"),
    "no features": (rows_of(x=[1] * 20, kind=["a", "b"] * 10), ["--label", "kind"],
                    "no column besides kind has numbers that differ"),
    "a constant": (rows_of(x=[1] * 20, kind=["a", "b"] * 10),
                   ["--label", "kind", "--features", "x"], "all its values are 1"),
    "few rows": (rows_of(x=X[:4], kind=["a", "b"] * 2), ["--label", "kind"], "4 rows are too few"),
    "few complete rows": (rows_of(x=X[:4] + [None] * 16, kind=["a", "b"] * 10),
                          ["--label", "kind"], "4 complete rows are too few"),
    "the label as feature": (rows_of(x=X, kind=["a", "b"] * 10),
                             ["--label", "kind", "--features", "x,KIND"], "kind is the label"),
    "a blank class": (rows_of(x=X, kind=["a", "a\nb"] * 10), ["--label", "kind"],
                      "can't be described by a card: classes[1]: "),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_tables_are_one_line(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, flags, complaint = BAD[kind]
    data, model = tmp_path / "data.csv", tmp_path / "model.keras"
    data.write_text(content)
    assert train.main(["--data", str(data), "--model", str(model), *flags]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith(f"penguin-train: error: data {data}: ")
    assert complaint in printed.err
    assert printed.err.count("\n") == 1
    assert not model.exists()


@pytest.mark.parametrize(
    ("label", "features", "column"),
    [
        ("Class Name", ["x"], "class_name"),
        ("Art (Vogel)", ["x"], "art_vogel"),
        ("Espèce", ["x"], "espèce"),
        ("!", ["x"], "prediction"),
        ("probability", ["x"], "predicted_probability"),
        ("Source File", ["x"], "predicted_source_file"),
        ("kind", ["Kind Set", "kind_set"], "predicted_kind"),
        ("Coverage", ["x"], "predicted_coverage"),
        ("model SHA256", ["x"], "predicted_model_sha256"),
    ],
)
def test_the_prediction_column_is_named_like_the_label(
    label: str, features: list[str], column: str
) -> None:
    assert recipe.column_for(label, features) == column


@given(
    st.one_of(
        st.sampled_from([
            "source_file", "Run ID", "Probabilities", "observation", "novelty limit", "coverage",
            "out of distribution", "probability of a", "x", "x_set", "y",
        ]),
        st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1),
    )
)  # fmt: skip
def test_a_card_takes_every_column_that_is_named_like_a_label(label: str) -> None:
    features = tuple(
        Feature(name=name, unit="", scale=1, minimum=0, maximum=1) for name in ("x", "Y_set")
    )
    for names in ((), ("x", "Y_set")):
        ModelCard(
            name="a", model_file="", sha256="", classes=("a", "b"), label=label,
            features=features if names else (dataclasses.replace(features[0], name="zzz"),),
            prediction_column=recipe.column_for(label, names),
        )  # fmt: skip


def many(classes: int, features: int) -> dataset.Dataset:
    random = np.random.default_rng(0)
    labels = np.arange(1000) % classes
    columns = (
        random.normal(size=(1000, features)) + random.normal(0, 3, (classes, features))[labels]
    )
    table = pd.DataFrame(columns, columns=[f"x{n}" for n in range(features)])
    names = np.array([f"class {n}" for n in range(classes)])
    found = pa.Table.from_pandas(table.assign(kind=names[labels]), preserve_index=False)
    return dataset.prepare(found, dataset.choose_recipe(found, "kind"))


def test_many_features_and_classes() -> None:
    data = many(30, 200)
    assert (len(data.features), len(data.recipe.classes)) == (200, 30)
    assert np.bincount(data.test.labels).min() == 10
    answers = np.full((len(data.test), 30), 1 / 30, np.float32)
    card = ModelCard(
        name="a", model_file="", sha256="", features=data.features, classes=data.recipe.classes
    )
    # Its covariances would fill more than a card may hold.
    assert trusting.add_trust(card, data.rows, data.test, answers) == card
    found = evaluation.metrics(answers, data.test.labels, data.recipe.classes)
    figure = plots.confusion_matrices({"Held out": found["confusion"]}, card.classes, title="$a")
    assert max(figure.get_size_inches()) < 20
    assert len(plots.png(figure)) < 400_000
    lines = list(train.metric_lines(found, rows=300, things="rows", kind="class"))
    assert max(map(len, lines)) < 80
    assert "most often taken for" in lines[1]
    assert "class 0 (10)" in lines[3]


def test_two_hundred_features_keep_their_trust() -> None:
    data = many(2, 200)
    answers = np.full((len(data.test), 2), 1 / 2, np.float32)
    card = ModelCard(
        name="a", model_file="a", sha256="0" * 64, features=data.features,
        classes=data.recipe.classes,
    )  # fmt: skip
    found = trusting.add_trust(card, data.rows, data.test, answers)
    assert found.trust is not None
    assert ModelCard.from_json(found.to_json()) == found


def test_names_that_a_font_or_a_formula_would_stumble_over(tmp_path: Path) -> None:
    figure = plots.confusion_matrices(
        {"Held out": [[1, 0], [0, 1]]}, ["$x_{$", "日本" * 30], title="$a$ \\frac"
    )
    plots.save(figure, str(tmp_path / "a.png"))


def test_the_baseline_on_a_class_that_it_never_saw(iris: dataset.Dataset) -> None:
    known = iris.rows.take(np.flatnonzero(iris.rows.labels < 2))
    found = baseline.predict(known, iris.test, iris.features, 3)
    assert found[:, 2].max() == 0


def test_the_matrix_of_a_description(trained: tuple[ModelCard, str]) -> None:
    card, _ = trained
    assert "versicolor" in "\n".join(describe.card_lines(card))
    inputs = normalize([np.array([each.offset]) for each in card.features], card.features)
    assert not inputs.any()
    assert json.loads(card.to_json())["features"][0]["offset"] == card.features[0].offset


def test_features_need_a_label() -> None:
    with pytest.raises(UsageError, match="--features needs --label"):
        fitting.TrainConfig(features=("a",))
