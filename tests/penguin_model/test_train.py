"""Training: the recipe, its order, its repeatability, and what the shipped model achieves."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from penguin_model import bundle, train
from penguin_model.card import ModelCard, card_path, read_verified
from penguin_model.errors import UsageError
from penguin_model.training import dataset, evaluation, fitting, network
from penguin_model.training.penguins import LAB
from penguin_model.training.table import Rows

Trained = tuple[ModelCard, list[str], Path]


@pytest.fixture(scope="module")
def penguins(project: Path) -> dataset.Dataset:
    return dataset.load(str(project / "data/penguins.csv"))


@pytest.fixture(scope="module")
def config(project: Path) -> fitting.TrainConfig:
    # Two epochs make no sound model.
    return fitting.TrainConfig(
        data=str(project / "data/penguins.csv"),
        epochs=2,
        seed=3,
        cross_validation=0,
        force=True,
    )


@pytest.fixture(scope="module")
def trained(config: fitting.TrainConfig, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("trained")
    said: list[str] = []
    config = dataclasses.replace(config, model=str(folder / "new/birds.h5"), cross_validation=1)
    return train.train(config, say=said.append, weights=True), said, folder / "new"


def test_the_recipe(penguins: dataset.Dataset) -> None:
    assert penguins.recipe is LAB
    assert [(each.name, each.unit, each.scale) for each in penguins.features] == [
        ("CulmenLength", "mm", 1), ("CulmenDepth", "mm", 1),
        ("FlipperLength", "mm", 10), ("BodyMass", "g", 100),
    ]  # fmt: skip
    assert LAB.classes == ("Adelie", "Gentoo", "Chinstrap")
    plain = fitting.TrainConfig()
    assert (plain.epochs, plain.batch_size, plain.learning_rate) == (50, 10, 0.001)
    model = network.build(4, 3, learning_rate=0.001)
    assert [layer.units for layer in model.layers] == [10, 10, 3]
    assert [layer.activation.__name__ for layer in model.layers] == ["relu", "relu", "softmax"]
    assert type(model.optimizer).__name__ == "Adam"
    assert float(model.optimizer.learning_rate) == pytest.approx(0.001)
    assert model.loss == "categorical_crossentropy"
    assert fitting.matrix(penguins.rows, penguins.features).dtype == np.float32
    assert dataset.one_hot(np.array([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]


def test_split_first_then_oversample(penguins: dataset.Dataset) -> None:
    birds, training, test = penguins.rows, penguins.training, penguins.test
    assert (len(birds), len(training), len(test)) == (342, 239, 103)
    repeated = dataset.oversample(training, LAB.doublings)
    assert len(repeated) == 4 * 239

    def rows(part: Rows) -> list[tuple[float, ...]]:
        return [(*raw, label) for raw, label in zip(part.raw, part.labels, strict=True)]

    # All 342 birds differ, so a bird is known by its measurements.
    assert len(set(rows(birds))) == 342
    assert set(rows(repeated)) == set(rows(training))
    assert set(rows(repeated)).isdisjoint(rows(test))
    assert set(rows(training)) | set(rows(test)) == set(rows(birds))
    assert sorted(rows(repeated)) == sorted(4 * rows(training))
    again, _ = dataset.split(birds, LAB)
    np.testing.assert_array_equal(again.raw, training.raw)


def test_plausible_ranges(penguins: dataset.Dataset) -> None:
    found = {each.name: each for each in penguins.features}
    assert {name: (each.minimum, each.maximum) for name, each in found.items()} == {
        "CulmenLength": (18, 74), "CulmenDepth": (8, 26),
        "FlipperLength": (142, 261), "BodyMass": (900, 8100),
    }  # fmt: skip
    assert not found["BodyMass"].minimum <= 3.75 <= found["BodyMass"].maximum
    assert all(each.minimum > 0 for each in found.values())


def test_metrics_by_hand() -> None:
    probabilities = np.array([[0.5, 0.5], [0.75, 0.25], [0.0, 1.0]], np.float32)
    labels = np.array([0, 1, 1])
    found = evaluation.metrics(probabilities, labels, ["a", "b"])
    assert found["confusion"] == [[1, 0], [1, 1]]
    assert found["accuracy"] == pytest.approx(2 / 3)
    assert found["recall"] == {"a": 1.0, "b": 0.5}
    assert found["log_loss"] == pytest.approx((math.log(2) + math.log(4)) / 3)


def test_histogram_by_hand() -> None:
    found = evaluation.histogram([0.0, 1.0, 1.5, 2.0, 9.0], [1.0, 2.0])
    assert (found.edges, found.counts) == ((1.0, 2.0), (1, 2, 2))


def test_the_same_seed_gives_the_same_metrics(
    config: fitting.TrainConfig, trained: Trained, tmp_path: Path
) -> None:
    card, _, _ = trained
    other = dataclasses.replace(config, model=str(tmp_path / "birds.keras"))
    again = train.train(other, say=lambda text: None)
    assert again.metrics.items() <= card.metrics.items()
    assert again.reference == card.reference
    assert again.features == card.features
    different = train.train(dataclasses.replace(other, seed=4), say=lambda text: None)
    assert different.metrics != card.metrics


def test_what_is_written(trained: Trained) -> None:
    card, _, folder = trained
    names = [
        "birds.confusion.png", "birds.h5", "birds.h5.card.json", "birds.h5.onnx", "birds.loss.png",
    ]  # fmt: skip
    assert sorted(path.name for path in folder.iterdir()) == names
    assert read_verified(str(folder / "birds.h5")) == card
    assert str(folder) not in Path(card_path(str(folder / "birds.h5"))).read_text()
    assert card.name == "birds"
    assert card.training["epochs"] == 2
    assert set(card.versions) == {
        "python", "tensorflow", "keras", "numpy", "scikit-learn", "pandas"
    }  # fmt: skip


def test_the_card_tells_what_readers_of_model_cards_look_for(trained: Trained) -> None:
    card, _, _ = trained
    assert card.intended_use
    assert card.license == "Apache-2.0"
    assert len(card.limits) > 3
    assert card.data["license"] == "CC0-1.0"
    assert "Gorman" in card.data["citation"]
    baseline = card.metrics["baseline"]
    assert baseline["name"] == "logistic regression"
    assert baseline["accuracy"] == 1.0
    assert baseline["log_loss"] == pytest.approx(0.00614, abs=1e-4)
    crossed = card.metrics["cross_validation"]
    assert (crossed["repeats"], crossed["folds"], crossed["rows"]) == (1, 5, 342)
    assert sum(each["rows"] for each in crossed["calibration"]["bins"]) == 342
    for name in ("accuracy", "log_loss"):
        assert crossed[name]["lowest"] <= crossed[name]["mean"] <= crossed[name]["highest"]
    assert 0.98 < card.metrics["baseline_cross_validation"]["accuracy"]["mean"] < 0.995
    assert sum(each["rows"] for each in card.metrics["calibration"]["bins"]) == 103
    assert card.calibration is not None
    assert card.calibration.rows == 342


def test_what_is_said(trained: Trained) -> None:
    card, said, folder = trained
    text = "\n".join(said)
    assert f"tensorflow {card.versions['tensorflow']}" in text
    assert "344 rows, 342 complete" in text
    assert "239 birds to train on, oversampled to 956 rows; 103 held" in text
    assert "hidden_1 (Dense)" in text
    assert "epoch   2/2" in text
    assert "epoch   1/2" not in text
    assert "kernel 4 × 10" in text
    for path in folder.iterdir():
        assert str(path) in text


def test_progress_is_told_every_epoch(
    config: fitting.TrainConfig, penguins: dataset.Dataset
) -> None:
    lines: list[str] = []
    fitting.fit(
        config, penguins.rows, penguins.rows, penguins.features, classes=3,
        say=lambda text: None, progress=lines.append,
    )  # fmt: skip
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]


def test_reference_has_the_birds_trained_on_and_the_answers_to_those_held_out(
    trained: Trained,
) -> None:
    card, _, _ = trained
    assert card.reference is not None
    assert list(card.reference.features) == list(card.feature_names)
    for histogram in card.reference.features.values():
        assert sum(histogram.counts) == 239
        assert len(histogram.edges) == 9
        assert min(histogram.counts) >= 10
    confusion = np.array(card.metrics["confusion"])
    assert list(card.reference.classes.values()) == confusion.sum(axis=0).tolist()
    assert sum(card.reference.classes.values()) == 103
    assert sum(card.reference.probability.counts) == 103
    assert card.reference.probability.edges == (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


def test_the_card_says_how_far_to_trust(trained: Trained) -> None:
    card, _, _ = trained
    assert card.reference is not None
    assert card.reference.novelty is not None
    assert card.trust is not None
    # All complete birds, each measured from others; and the held-out ones' errors.
    assert sum(card.reference.novelty.counts) == 342
    assert len(card.trust.scores) == 103
    assert 3 < card.trust.novelty_limit < 6


def test_the_shipped_model(shipped_model: Path, penguins: dataset.Dataset, project: Path) -> None:
    classifier = bundle.load(str(shipped_model))
    card = classifier.card
    assert card.metrics["accuracy"] == 1.0
    assert card.metrics["test_rows"] == 103
    assert card.metrics["log_loss"] < 0.017
    assert card.metrics["recall"] == dict.fromkeys(LAB.classes, 1.0)
    assert card.data["sha256"] == dataset.fingerprint(str(project / "data/penguins.csv"))
    assert card.features == penguins.features
    assert card.classes == LAB.classes
    assert card.label_aliases == LAB.label_aliases
    assert card.class_aliases == LAB.class_aliases
    assert card.training == fitting.TrainConfig().for_card(LAB)  # so without "forced"
    test = penguins.test
    again = evaluation.metrics(
        classifier.predict(fitting.matrix(test, card.features)), test.labels, card.classes
    )
    assert again["confusion"] == card.metrics["confusion"]
    assert again["log_loss"] == pytest.approx(card.metrics["log_loss"], abs=1e-6)


HEADER = "CulmenLength,CulmenDepth,FlipperLength,BodyMass,Species\n"
ROW = "39.1,18.7,181,3750,0\n"
ROWS = "".join(f"39.{n},18.{n},18{n % 10},37{n},0\n" for n in range(20))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "not a CSV table"),
        (b"\xff\xfe\x00", "not a CSV table"),
        (b'a,b\n"1,2\n', "not a CSV table"),
        (b"CulmenLength,Species\n39.1,0\n", "no column CulmenDepth, FlipperLength, BodyMass"),
        ((HEADER + ROWS + ROW.replace("181", "long")).encode(), "is 'long' in data row 20, which"),
        ((HEADER + ROWS + ROW.replace(",0\n", ",3\n")).encode(), "Species is 3 in data row 20"),
        ((HEADER + ROWS.replace(",0\n", ",\n")).encode(), "0 complete rows are too few"),
        ((HEADER + ROW).encode(), "1 rows are too few"),
        ((HEADER + 20 * ROW).encode(), "CulmenLength can't be a feature: all its values are 39.1"),
        ((HEADER + ROWS).encode(), "no Gentoo, Chinstrap in the training part"),
    ],
)
def test_bad_data_is_one_line(
    content: bytes, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data.csv"
    data.write_bytes(content)
    model = tmp_path / "model.keras"
    assert train.main(["--data", str(data), "--model", str(model)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("penguin-train: error: data")
    assert complaint in error
    assert error.count("\n") == 1
    assert not model.exists()


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--data", "nowhere.csv"], "data nowhere.csv: No such file or directory"),
        (["--epochs", "0"], "--epochs"),
        (["--epochs", "many"], "--epochs"),
        (["--colour", "red"], "--colour"),
        (["--batch_size", "-1"], "--batch_size"),
        (["--learning_rate", "nan"], "--learning_rate nan"),
        (["--seed", "-1"], "--seed -1"),
        (["--cross_validation", "-1"], "--cross_validation -1"),
        (["--model", "model.pb"], "--model model.pb must end in .keras or .h5"),
        (["--model", "a/.keras"], "--model a/.keras must end in .keras or .h5"),
        (["--features", "a,b"], "--features needs --label"),
        (["--features", "a,,b"], "--features a,,b: a name in the list is blank"),
        (["--features", "a\nb"], "--features a\\nb: isn't a list such as a,b or"),
        (["--features", '"a,b'], "--features \"a,b: isn't a list such as a,b or"),
        (["--hidden", "16,x"], "--hidden: '16,x' must be whole numbers separated by commas"),
        (["--hidden", "0"], "--hidden 0 must have layers of 1 to 10000 units"),
        (["--hidden", "20000,2"], "--hidden 20000,2 must have"),
        (["--scale", "minmax"], "--scale"),
        (["--early_stopping", "-1"], "--early_stopping -1 must be 0 or more"),
        (["--label", ""], "--label"),
    ],
)
def test_bad_flags_are_one_line(
    flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train.main(flags) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


def test_a_config_refuses_what_cannot_be() -> None:
    with pytest.raises(UsageError):
        fitting.TrainConfig(epochs=0)


def test_plots_lie_beside_the_model_or_where_they_are_wanted() -> None:
    beside = fitting.TrainConfig(model="a/b.keras")
    assert beside.plot_paths == ("a/b.loss.png", "a/b.confusion.png")
    elsewhere = fitting.TrainConfig(model="a/b.keras", plots="c")
    assert elsewhere.plot_paths == ("c/b.loss.png", "c/b.confusion.png")
