"""Both engines answer alike, whatever network and rows; and the promises of `Engine.load`."""

import gc
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_model import bundle, engines
from penguin_model.card import ModelCard, read_card
from penguin_model.errors import ModelError
from penguin_model.features import normalize
from penguin_model.model_checks import Predict
from penguin_model.training import onnx_export
from tests.support.running import PROJECT
from tests.support.toy import toy_card

L = keras.layers
MODEL = str(PROJECT / "models/penguin-classifier.keras")
ACTIVATIONS = ("relu", "tanh", "sigmoid", "elu", "selu", "softplus", "gelu", "silu", "linear")


def draw_network(draw: Any) -> tuple[keras.Model, ModelCard]:
    """A network of a few layers with weights of any usual size, and its card.

    Not a strategy: Keras draws random numbers of its own for the layers' names and seeds.
    """
    features, classes = draw(st.integers(1, 6)), draw(st.integers(2, 6))
    seeds = iter(range(draw(st.integers(0, 1000)), 10_000))

    def numbers(spread: float = 1.0) -> Any:
        return keras.initializers.RandomNormal(stddev=spread, seed=next(seeds))

    layers: list[Any] = [keras.Input((features,))]
    if draw(st.booleans()):
        random = np.random.default_rng(next(seeds))
        layers.append(
            L.Normalization(mean=random.normal(0, 2, features), variance=random.random(features))
        )
    for _ in range(draw(st.integers(0, 3))):
        spread = draw(st.sampled_from([0.1, 1.0, 3.0]))
        layers.append(
            L.Dense(
                draw(st.integers(1, 9)), draw(st.sampled_from(ACTIVATIONS)),
                kernel_initializer=numbers(spread), bias_initializer=numbers(),
            )
        )  # fmt: skip
        layers += draw(
            st.sampled_from(
                [
                    [],
                    [L.BatchNormalization(moving_mean_initializer=numbers())],
                    [L.Dropout(0.5)],
                    [L.LayerNormalization()],
                    [L.UnitNormalization(), L.Rescaling(2.0, 0.5)],
                    [L.PReLU(numbers())],
                    # What follows can't be computed by column.
                    [L.RepeatVector(2), L.Activation("gelu"), L.Flatten()],
                ]
            )
        )
    layers.append(L.Dense(classes, "softmax", kernel_initializer=numbers()))
    return keras.Sequential(layers), toy_card(features, classes)


@settings(max_examples=12)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_random_networks_differ_by_less_than_the_limit_or_are_refused(
    data: st.DataObject, seed: int
) -> None:
    model, card = draw_network(data.draw)
    try:
        content, record = onnx_export.export(model, card, np.empty((0, card.width), np.float32))
    except ModelError as error:
        # Weights of 3 make scores so large that their own rounding shows.
        refused = str(error)
        assert "differ from Keras' by up to" in refused
        return
    assert record.largest_difference <= onnx_export.MOST_DIFFERENCE
    predict = engines.ENGINES["onnx"].load(content, card, "")
    ours = bundle.compile_predict(model, card.width)
    # Rows at the ends of the ranges, and anywhere between.
    random = np.random.default_rng(seed)
    low, high = (np.array([getattr(each, end) for each in card.features])
                 for end in ("minimum", "maximum"))  # fmt: skip
    share = random.choice([0.0, 1.0, 0.5, np.finfo(float).eps, random.random()], (64, card.width))
    matrix = normalize(list((low + share * (high - low)).T), card.features)
    # As others call it.
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (by_row,) = session.run(None, {"rows": np.ascontiguousarray(matrix)})
    for answers in (predict(matrix), by_row):
        assert np.abs(answers - ours(matrix)).max() <= onnx_export.MOST_DIFFERENCE


@pytest.fixture(scope="module", params=engines.ENGINES)
def predict(request: pytest.FixtureRequest) -> Predict:
    return engines.load(request.param, MODEL, read_card(MODEL))


def rows(count: int) -> Any:
    return np.random.default_rng(count).normal(20, 9, (count, 4)).astype(np.float32)


@pytest.mark.parametrize("count", [0, 1, 2, 16_383, 16_384, 16_385, 40_000])
def test_any_number_of_rows(count: int, predict: Predict) -> None:
    found = predict(rows(count))
    assert (found.shape, found.dtype.name) == ((count, 3), "float32")
    some = slice(max(0, count - 5), None)
    np.testing.assert_allclose(found[some], predict(rows(count)[some]), atol=1e-6)
    # Column by column in memory, as the pipeline takes it.
    assert found.T.flags.c_contiguous


def test_any_memory_order(predict: Predict) -> None:
    matrix = rows(1000)
    wide = np.zeros((2000, 8), np.float32)
    wide[::2, ::2] = matrix
    kinds: Sequence[Any] = (np.asfortranarray(matrix), wide[::2, ::2], matrix[::-1][::-1])
    for other in kinds:
        np.testing.assert_array_equal(predict(other), predict(matrix))


def test_threads_at_once_get_their_own_answers(predict: Predict) -> None:
    expected = {count: predict(rows(count)) for count in range(1, 9)}
    together = threading.Barrier(8)
    right: list[bool] = []

    def work(count: int) -> None:
        together.wait()
        found = [predict(rows(count)) for _ in range(50)]
        right.extend(np.allclose(each, expected[count], atol=1e-6) for each in found)

    threads = [threading.Thread(target=work, args=(count,)) for count in expected]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (len(right), all(right)) == (400, True)


def resident() -> int:
    """The bytes of memory that this process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def test_a_thousand_calls_of_changing_sizes_hold_no_more_memory() -> None:
    predict = engines.load("onnx", MODEL, read_card(MODEL))
    sizes = np.random.default_rng(0).integers(1, 30_000, 1000)
    matrix = rows(30_000)
    for size in sizes[:200]:
        predict(matrix[:size])
    gc.collect()
    before = resident()
    for size in sizes:
        predict(matrix[:size])
    gc.collect()
    assert resident() - before < 20e6
