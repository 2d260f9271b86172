"""Networks of every kind: which are loaded, and what the others are told."""

import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from penguin_model import bundle, describe, predict
from penguin_model.card import ModelCard
from tests.support.toy import toy_card

CARD = toy_card(features=4, classes=3)
TWO_CLASSES = toy_card(features=4, classes=2)
L = keras.layers
NAN = float("nan")
FLAGS = ["--girth=100", "--leaf_length=40", "--mean_frost=-7.5", "--moisture=0.5"]


def sequence(*layers: Any, **shape: Any) -> keras.Model:
    return keras.Sequential([keras.Input(**({"shape": (4,)} | shape)), *layers])


def graph(make: Callable[[Any], Any], **shape: Any) -> keras.Model:
    start = keras.Input(**({"shape": (4,)} | shape))
    return keras.Model(start, make(start))


def softmax(units: int = 3, **others: Any) -> Any:
    weights = keras.initializers.RandomNormal(seed=4)
    return L.Dense(units, "softmax", kernel_initializer=weights, **others)


def in_policy(policy: str, **last: Any) -> keras.Model:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return sequence(L.Dense(5, "relu"), softmax(**last))
    finally:
        keras.config.set_dtype_policy(before)


def adapted() -> keras.Model:
    normalization = L.Normalization(mean=[2.0, 2.0, 0.0, 1.0], variance=[1.0, 1.0, 4.0, 0.5])
    return sequence(normalization, softmax())


def called() -> keras.Model:
    model = keras.Sequential([L.Dense(5, "relu"), softmax()])
    model(np.zeros((2, 4), np.float32))
    return model


def nested() -> keras.Model:
    return sequence(L.Dense(4, "relu"), sequence(L.Dense(6), softmax()))


def by_hand(start: Any) -> Any:
    positive = L.Dense(3, "softplus")(start)
    return positive / keras.ops.sum(positive, axis=1, keepdims=True)


def ensemble(start: Any) -> Any:
    return L.Average()([softmax()(start), L.Dense(3, "softmax", name="other")(start)])


def among_others(start: Any) -> Any:
    scores = L.Dense(3)(start)
    return L.Softmax()(scores - keras.ops.mean(scores, axis=0, keepdims=True))


def two_inputs() -> keras.Model:
    starts = [keras.Input((4,)), keras.Input((4,))]
    return keras.Model(starts, softmax()(L.Add()(starts)))


def in_list() -> keras.Model:
    start = keras.Input((4,))
    return keras.Model([start], [softmax()(start)])


def in_dict() -> keras.Model:
    start = keras.Input((4,), name="birds")
    return keras.Model({"birds": start}, {"species": softmax()(start)})


GOOD: dict[str, Callable[[], keras.Model]] = {
    "dense softmax": lambda: sequence(softmax()),
    "functional": lambda: graph(lambda start: softmax()(L.Dense(4)(start))),
    "a softmax layer": lambda: sequence(L.Dense(3), L.Softmax()),
    "an activation layer": lambda: sequence(L.Dense(3), L.Activation("softmax")),
    "a softmax in a nested network": nested,
    "normalized by hand": lambda: graph(by_hand),
    "an ensemble": lambda: graph(ensemble),
    "normalization with a state": adapted,
    "batch normalization and dropout": lambda: sequence(
        L.Dense(8), L.BatchNormalization(), L.Dropout(0.5), L.GaussianNoise(0.3), softmax()
    ),
    "one input in a list": in_list,
    "one input in a dict": in_dict,
    "float64": lambda: in_policy("float64"),
    "mixed precision with a float32 end": lambda: in_policy("mixed_bfloat16", dtype="float32"),
    "float16 inputs": lambda: sequence(softmax(), dtype="float16"),
    "no Input, but called with two rows": called,
    "an Input of 32 rows": lambda: sequence(softmax(), shape=None, batch_shape=(32, 4)),
}

# With a single answer, the probability of the second of two classes.
SINGLE: dict[str, Callable[[], keras.Model]] = {
    "sigmoid": lambda: sequence(L.Dense(5, "relu"), L.Dense(1, "sigmoid")),
    "a sigmoid layer": lambda: sequence(L.Dense(1), L.Activation("sigmoid")),
    "sigmoid in a graph": lambda: graph(lambda start: keras.ops.sigmoid(L.Dense(1)(start))),
    "sigmoid in a nested network": lambda: sequence(sequence(L.Dense(1, "sigmoid"))),
    "sigmoid in float64": lambda: sequence(L.Dense(1, "sigmoid", dtype="float64")),
}

NOT_PROBABILITIES = (
    r"doesn't answer with probabilities: .*; end the network with softmax, and train "
)
NO_CLASS = "; for two classes, end the network with sigmoid"

BAD_SINGLE: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "regression": (
        lambda: sequence(L.Dense(1)),
        f"has the activation linear{NO_CLASS}, or register it with --logits if its answer is a lo",
    ),
    "positive regression": (
        lambda: sequence(L.Dense(1, "softplus")), f"has the activation softplus{NO_CLASS}; the ",
    ),
    "a softmax of one": (lambda: sequence(L.Dense(1, "softmax")), "has the activation softmax; "),
    "regression that ends in another layer": (
        lambda: sequence(L.Dense(1), L.Rescaling(100.0)), NOT_PROBABILITIES,
    ),
    "two outputs": (lambda: graph(lambda start: [softmax(1)(start)] * 2), "has 2 outputs instead"),
}  # fmt: skip
APART = "answers a row by itself with "

BAD: dict[str, tuple[Callable[[], keras.Model], str]] = {
    "five features": (lambda: sequence(softmax(), shape=(5,)), r"its input has shape \(None, 5\)"),
    "two classes": (lambda: sequence(softmax(2)), r"its output has shape \(None, 2\)"),
    "one sigmoid": (
        lambda: sequence(L.Dense(1, "sigmoid")), "names 3: .*; end the network with a softmax of 3",
    ),
    "a fixed number of rows": (
        lambda: sequence(
            L.Reshape((4, 1)), L.LSTM(3, stateful=True), softmax(),
            shape=None, batch_shape=(32, 4),
        ),
        "fails on plausible observations: .*; it must take any number of rows",
    ),
    "a sequence of inputs": (lambda: sequence(softmax(), shape=(7, 4)), "its input has shape"),
    "any width": (lambda: sequence(L.GlobalMaxPooling1D(), shape=(None, 4)), "its input has shape"),
    "a sequence of outputs": (
        lambda: sequence(softmax(), L.Reshape((3, 1))), r"its output has shape \(None, 3, 1\)",
    ),
    "two inputs": (two_inputs, "has 2 inputs instead of one matrix"),
    "two outputs": (lambda: graph(lambda start: [softmax()(start)] * 2), "has 2 outputs instead"),
    "no input shape": (lambda: keras.Sequential([softmax()]), "has no input shape; begin the "),
    "no layers": (lambda: keras.Sequential([]), "has no input shape; begin the network with "),
    "bfloat16": (lambda: in_policy("bfloat16"), "its output has type bfloat16; give the last"),
    "mixed bfloat16": (lambda: in_policy("mixed_bfloat16"), "its output has type bfloat16"),
    "float16": (lambda: in_policy("float16"), "its output has type float16"),
    "integers in": (lambda: sequence(softmax(), dtype="int32"), "its input has type int32"),
    "text in": (lambda: sequence(softmax(), dtype="string"), "type|Keras cannot|fails"),
    "integers out": (
        lambda: graph(lambda start: keras.ops.cast(softmax()(start), "int32")),
        "its output has type int32",
    ),
    "truth values out": (lambda: graph(lambda start: softmax()(start) > 0.5), "has type bool"),
    **{
        str(activation): (
            lambda activation=activation: sequence(L.Dense(3, activation, name="last")),  # type: ignore[misc]
            f"its last layer, last, has the activation {activation or 'linear'}; end the network ",
        )
        for activation in (None, "relu", "tanh", "sigmoid", "softplus", "log_softmax", "gelu")
    },
    "scores in a nested network": (
        lambda: sequence(L.Dense(4), sequence(L.Dense(3, "relu"))), "has the activation relu",
    ),
    "an activation layer": (lambda: sequence(L.Dense(3), L.Activation("tanh")), "activation tanh"),
    "scores rescaled": (lambda: sequence(L.Dense(3), L.Rescaling(0.1)), NOT_PROBABILITIES),
    "scores after a layer that does nothing": (
        lambda: sequence(L.Dense(3), L.Dropout(0.1)), NOT_PROBABILITIES,
    ),
    "scores with another ReLU": (lambda: sequence(L.Dense(3), L.ReLU()), NOT_PROBABILITIES),
    "weights of NaN": (
        lambda: sequence(L.Dense(3, "softmax", bias_initializer=keras.initializers.Constant(NAN))),
        "with probabilities: Ash nan, Birch nan, Cedar nan for .*; check its weights",
    ),
    "half a softmax": (lambda: sequence(softmax(), L.Rescaling(0.5)), NOT_PROBABILITIES),
    "a softmax down the batch": (
        lambda: sequence(L.Dense(3), L.Softmax(axis=0)), NOT_PROBABILITIES,
    ),
    "an unknown layer": (
        lambda: sequence(Unknown(), softmax()),
        "Keras cannot load it: Could not locate class 'Unknown'; code in a file isn't run, so ",
    ),
    "code": (lambda: sequence(L.Lambda(lambda x: x), softmax()), "Keras cannot load it: .*ambda"),
    "answers that depend on the batch": (lambda: graph(among_others), APART),
}  # fmt: skip


class Unknown(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs


def save(model: keras.Model, folder: Path, suffix: str = ".keras", card: ModelCard = CARD) -> str:
    path = str(folder / f"model{suffix}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are saving a model that has not yet been built")
        bundle.save(model, path, card)
    return path


@pytest.mark.parametrize("kind", GOOD)
def test_answers_are_those_of_keras(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = save(GOOD[kind](), tmp_path)
    loaded = bundle.load(path)
    matrix = np.random.default_rng(1).normal(0, 2, (33, 4)).astype(np.float32)
    given = {"birds": matrix} if kind == "one input in a dict" else matrix
    theirs = loaded.model.predict(given, verbose=0)
    theirs = theirs["species"] if isinstance(theirs, dict) else theirs
    theirs = theirs[0] if isinstance(theirs, list) else theirs
    found = loaded.predict(matrix)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, theirs.astype(np.float32), atol=1e-6)
    capfd.readouterr()
    assert describe.main(["--model", path, "--json", "--weights"]) == 0
    assert predict.main(["--model", path, *FLAGS]) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", SINGLE)
def test_a_single_answer_is_the_probability_of_the_second_class(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = save(SINGLE[kind](), tmp_path, card=TWO_CLASSES)
    loaded = bundle.load(path)
    matrix = np.random.default_rng(1).normal(0, 2, (33, 4)).astype(np.float32)
    (second,) = loaded.model.predict(matrix, verbose=0).T
    found = loaded.predict(matrix)
    assert found.dtype == np.float32
    assert found.shape == (33, 2)
    np.testing.assert_allclose(found, np.stack([1 - second, second], axis=1), atol=1e-6)
    capfd.readouterr()
    assert describe.main(["--model", path, "--json", "--weights"]) == 0
    assert predict.main(["--model", path, *FLAGS]) == 0
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("kind", BAD_SINGLE)
def test_other_single_answers_are_refused(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make, message = BAD_SINGLE[kind]
    path = save(make(), tmp_path, card=TWO_CLASSES)
    capfd.readouterr()
    assert describe.main(["--model", path]) == 2
    check_refused(capfd, f"penguin-describe: error: model {path} ", message)


@pytest.mark.parametrize("kind", BAD)
def test_others_are_refused(kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    make, message = BAD[kind]
    path = save(make(), tmp_path)
    capfd.readouterr()
    assert describe.main(["--model", path]) == 2
    check_refused(capfd, f"penguin-describe: error: model {path}", message)


def check_refused(capfd: pytest.CaptureFixture[str], start: str, message: str) -> None:
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(start)
    assert re.search(message, printed.err)
    assert printed.err.count("\n") == 1


def test_predict_refuses_them_too(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = save(sequence(L.Dense(3)), tmp_path, ".h5")
    capfd.readouterr()
    assert predict.main(["--model", path, *FLAGS]) == 2
    check_refused(capfd, f"penguin-predict: error: model {path} ", "has the activation linear")
