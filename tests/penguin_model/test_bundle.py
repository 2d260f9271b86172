"""Model file and card: saved, verified and loaded together."""

import dataclasses
import json
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from penguin_model import bundle, engines
from penguin_model.card import MOST_CARD_BYTES, ModelCard, card_path, read_verified
from penguin_model.engines import ENGINES
from penguin_model.errors import CardError, ModelError
from penguin_model.model_checks import Predict
from tests.support.toy import toy_bundle, toy_card


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> bundle.Classifier:
    return bundle.load(toy_bundle(tmp_path_factory.mktemp("toy")))


def rows(count: int, width: int = 5) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    return np.random.default_rng(count).normal(0, 3, (count, width)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_saves_and_loads(suffix: str, tmp_path: Path, toy: bundle.Classifier) -> None:
    path = str(tmp_path / f"copy{suffix}")
    written = bundle.save(toy.model, path, toy_card())
    loaded = bundle.load(path)
    assert loaded.card == written
    assert loaded.card.model_file == f"copy{suffix}"
    np.testing.assert_array_equal(loaded.predict(rows(50)), toy.predict(rows(50)))
    # Nothing unfinished stays behind.
    assert sorted(each.name for each in tmp_path.iterdir()) == [
        f"copy{suffix}", f"copy{suffix}.card.json",
    ]  # fmt: skip


def test_a_card_that_could_not_be_read_is_not_written(
    tmp_path: Path, toy: bundle.Classifier
) -> None:
    card = toy_card()
    card = dataclasses.replace(card, data={"file": "x" * MOST_CARD_BYTES})
    path = tmp_path / "model.keras"
    with pytest.raises(CardError, match=f"the card of model {path} is larger than 10,000,000 byt"):
        bundle.save(toy.model, str(path), card)
    assert list(tmp_path.iterdir()) == []


def test_another_suffix_is_refused(tmp_path: Path, toy: bundle.Classifier) -> None:
    with pytest.raises(ModelError, match=r"must end in \.keras or \.h5"):
        bundle.save(toy.model, str(tmp_path / "model.pb"), toy_card())


@pytest.mark.parametrize("count", [1, 2, 1000])
def test_predict_equals_keras(count: int, toy: bundle.Classifier) -> None:
    matrix = rows(count)
    got = toy.predict(matrix)
    assert got.dtype == np.float32
    assert got.shape == (count, 4)
    np.testing.assert_allclose(got, toy.model.predict(matrix, verbose=0), atol=1e-6)
    np.testing.assert_allclose(got.sum(axis=1), 1, atol=1e-6)


def test_predict_of_no_rows(toy: bundle.Classifier) -> None:
    assert toy.predict(rows(0)).shape == (0, 4)


def test_any_number_of_rows_is_traced_once() -> None:
    traced: list[object] = []

    class Spy(keras.layers.Layer):
        def call(self, inputs: object) -> object:
            traced.append(inputs)
            return inputs

    model = keras.Sequential([keras.Input((5,)), Spy(), keras.layers.Dense(2, "softmax")])
    traced.clear()
    predict = bundle.compile_predict(model, 5)
    assert len(traced) == 1
    for count in (1, 2, 3, 10, 31, 32, 33, 1000, 4097):
        assert len(predict(rows(count))) == count
    assert len(traced) == 1


def test_threads_share_one_load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = toy_bundle(tmp_path)
    card = read_verified(path)
    loads = []
    really_load = bundle.load_content

    def slowly(content: bytes, card: ModelCard, shown: str) -> bundle.Classifier:
        loads.append(shown)
        time.sleep(0.05)
        return really_load(content, card, shown)

    monkeypatch.setattr(engines, "_shared", {})
    monkeypatch.setattr(bundle, "load_content", slowly)
    together = threading.Barrier(8)
    answers: list[tuple[Predict, bool]] = []

    def worker() -> None:
        together.wait()
        answers.append(engines.load_shared(ENGINES["keras"], path, card, path))

    threads = [threading.Thread(target=worker) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    assert len(answers) == 8
    assert sorted(loaded for _, loaded in answers) == [False] * 7 + [True]
    assert len({id(predict) for predict, _ in answers}) == 1


def test_a_changed_model_is_refused(tmp_path: Path) -> None:
    path = toy_bundle(tmp_path)
    with open(path, "ab") as file:
        file.write(b" ")
    with pytest.raises(ModelError, match="does not fit its card: SHA-256"):
        bundle.load(path)


@pytest.mark.parametrize(
    ("features", "classes", "what"), [(4, 4, "input"), (6, 4, "input"), (5, 3, "output")]
)
def test_widths_must_fit_the_card(
    features: int, classes: int, what: str, tmp_path: Path, toy: bundle.Classifier
) -> None:
    path = str(tmp_path / "model.keras")
    bundle.save(toy.model, path, toy_card(features, classes))
    with pytest.raises(ModelError, match=f"does not fit its card: its {what} has shape"):
        bundle.load(path)


def test_a_missing_card_or_model_is_refused(tmp_path: Path) -> None:
    path = Path(toy_bundle(tmp_path))
    card = Path(card_path(str(path)))
    content = card.read_bytes()
    card.unlink()
    with pytest.raises(CardError, match="No such file"):
        bundle.load(str(path))
    card.write_bytes(content)
    bundle.load(str(path))
    path.unlink()
    with pytest.raises(ModelError, match="no such file"):
        bundle.load(str(path))


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_file_that_is_no_model_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(b"abc")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    card = dataclasses.replace(toy_card(), model_file=name, sha256=sha256)
    Path(card_path(str(path))).write_text(card.to_json())
    with pytest.raises(ModelError, match="Keras cannot load it") as caught:
        bundle.load(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_code_inside_a_model_is_refused(suffix: str, tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Lambda(lambda x: x * 2), keras.layers.Dense(4)]
    )
    path = str(tmp_path / f"model{suffix}")
    bundle.save(model, path, toy_card())
    with pytest.raises(ModelError, match="Keras cannot load it"):
        bundle.load(path)


def test_the_card_is_plain_json(tmp_path: Path) -> None:
    card = json.loads(Path(card_path(toy_bundle(tmp_path))).read_text())
    assert card["format"] == 1
    assert card["features"][0]["name"] == "Girth"
