"""Cards and models that don't fit, as `penguin-score` refuses them: exit 2, one line, no output."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penguin_model import bundle, engines
from penguin_model.card import card_path, read_card
from pipelines.job import run
from pipelines.scoring import model_file
from tests.support.running import PLAIN, beside_progress, listing, published, run_here

CSV = "CulmenLength,CulmenDepth,FlipperLength,BodyMass\n39.1,18.7,181,3750\n50.4,15.3,200,5000\n"


@pytest.fixture
def night(tmp_path: Path) -> Path:
    file = tmp_path / "birds.csv"
    file.write_text(CSV)
    return file


def refused(capfd: pytest.CaptureFixture[str], output: Path, night: Path, model: object) -> str:
    """Runs, and checks that there is one line on standard error and nothing else."""
    capfd.readouterr()
    output.mkdir()
    assert run_here(output, "--input", night, "--model", model, *PLAIN) == 2
    out, err = capfd.readouterr()
    err = beside_progress(err)
    assert (out, err.count("\n"), listing(output)) == ("", 1, [])
    return err.removeprefix("penguin-score: error: ")


CARDS: dict[str, Callable[[Any], None]] = {
    "features[0].name": lambda card: card["features"][0].update(name=5),
    "features[2].scale": lambda card: card["features"][2].update(scale=0),
    "label": lambda card: card.update(label=["Species"]),
    "reference.features.BodyMass.edges[2]": lambda card: set_item(card, "edges", "3650"),
    "reference.features.BodyMass.edges[1]": lambda card: set_item(card, "edges", float("nan"), 1),
    "reference.features.BodyMass.counts[2]": lambda card: set_item(card, "counts", -1),
    "metrics.accuracy": lambda card: card["metrics"].update(accuracy="high"),
    "metrics": lambda card: card.update(metrics=[1.0]),
}


def set_item(card: Any, name: str, value: object, place: int = 2) -> None:
    card["reference"]["features"]["BodyMass"][name][place] = value


@pytest.mark.parametrize("field", CARDS)
def test_cards(
    field: str, tmp_path: Path, night: Path, shipped_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model.keras"
    model.write_bytes(shipped_model.read_bytes())
    card = json.loads(Path(card_path(str(shipped_model))).read_text())
    CARDS[field](card)
    Path(card_path(str(model))).write_text(json.dumps(card))
    line = refused(capfd, tmp_path / "out", night, model)
    assert line.startswith(f"model card {model}.card.json: {field}: ")


def save(model: Any, folder: Path, shipped_model: Path) -> str:
    path = str(folder / "model.keras")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are saving a model that has not yet been built")
        bundle.save(model, path, read_card(str(shipped_model)))
    return path


def without_softmax() -> Any:
    import keras

    return keras.Sequential([keras.Input([4]), keras.layers.Dense(3)])


def without_shape() -> Any:
    import keras

    return keras.Sequential([keras.layers.Dense(3, "softmax")])


def in_bfloat16() -> Any:
    import keras

    return keras.Sequential([keras.Input([4]), keras.layers.Dense(3, "softmax", dtype="bfloat16")])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (without_softmax, "doesn't answer with probabilities: its last layer, dense"),
        (without_shape, "has no input shape"),
        (in_bfloat16, "can't be used: its output has type bfloat16"),
    ],
)
def test_models(
    make: Callable[[], Any], message: str, tmp_path: Path, night: Path, shipped_model: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    model = save(make(), tmp_path, shipped_model)
    line = refused(capfd, tmp_path / "out", night, model)
    assert line.startswith(f"model {model} {message}")


def with_code() -> Any:
    import keras

    return keras.Sequential(
        [keras.Input([4]), keras.layers.Lambda(lambda rows: rows), keras.layers.Dense(3)]
    )


def without_three_answers() -> Any:
    import keras

    return keras.Sequential([keras.Input([4]), keras.layers.Dense(2, "softmax")])


def only_sent(read: Any = model_file.read_network) -> Any:
    """What the submitter does with a model if workers elsewhere are the first to load it."""
    return SimpleNamespace(read_network=read, load_shared=lambda *_: None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (without_softmax, "doesn't answer with probabilities: its last layer, dense"),
        (without_shape, "has no input shape"),
        (in_bfloat16, "can't be used: its output has type bfloat16"),
        (with_code, "is refused: Keras cannot load it: "),
        (without_three_answers, "does not fit its card: its output has shape"),
    ],
)
def test_models_that_fail_on_a_worker_have_the_name_that_the_user_knows(
    make: Callable[[], Any], message: str, tmp_path: Path, night: Path, shipped_model: Path,
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Workers load a copy in staging, here before the submitter has looked at the model."""
    monkeypatch.setattr(run, "model_file", only_sent())
    model = save(make(), tmp_path, shipped_model)
    line = refused(capfd, tmp_path / "out", night, model)
    assert line.startswith(f"model {model} {message}")
    assert str(tmp_path / "out") not in line
    assert "penguin-" not in line.removeprefix(f"model {model}")


def test_a_copy_that_is_damaged_has_the_name_that_the_user_knows(
    tmp_path: Path, night: Path, shipped_model: Path, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(run, "model_file", only_sent(lambda *_: b"damaged"))
    monkeypatch.setattr(engines, "_shared", {})
    line = refused(capfd, tmp_path / "out", night, shipped_model)
    assert line.startswith(f"model {shipped_model} does not fit its card: SHA-256 is ")
    assert str(tmp_path) not in line


def test_a_network_that_fails_on_some_rows_is_named(
    tmp_path: Path, night: Path, shipped_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Such as an embedding that lacks a row; made-up observations needn't find it."""
    import keras

    start = keras.Input([4])
    # A place that only a culmen of 39.1 mm has.
    place = 2 * keras.ops.cast(keras.ops.abs(start[:, 0] - 39.1) < 1e-3, "int32")
    spread = keras.ops.take(keras.ops.convert_to_tensor([[0.0, 1.0, 2.0]] * 2), place, axis=0)
    model = save(
        keras.Model(start, keras.layers.Activation("softmax")(spread)), tmp_path, shipped_model
    )
    line = refused(capfd, tmp_path / "out", night, model)
    assert line.startswith(f"model {model} fails on rows of the input: indices[0] = 2 is not in ")


def test_every_batch_is_checked(
    tmp_path: Path, night: Path, shipped_model: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import keras

    def improper_near(length: float) -> Any:
        start = keras.Input([4])
        distance = keras.ops.abs(start[:, :1] - length)
        answers = keras.layers.Dense(3, "softmax", kernel_initializer="zeros")(start)
        return keras.Model(start, answers + keras.ops.relu(0.05 - distance))

    model = save(improper_near(39.1), tmp_path, shipped_model)
    line = refused(capfd, tmp_path / "out", night, model)
    assert line.startswith("model penguin-classifier answered Adelie 0.38")
    assert line.endswith(
        f" for row 0 of {night}; probabilities are finite, in [0, 1] and sum to 1\n"
    )
    # The same model is fine for a night without such a bird.
    night.write_text(CSV.replace("39.1", "39.3"))
    assert run_here(tmp_path / "fine", "--input", night, "--model", model, *PLAIN) == 0
    assert published(tmp_path / "fine", "predictions").num_rows == 2
