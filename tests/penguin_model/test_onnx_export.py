"""The ONNX file of a network: for whom it is, what is in it, and when there is none."""

import hashlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
from apache_beam.ml.inference.onnx_inference import OnnxModelHandlerNumpy

from penguin_model import bundle, engines, model_checks
from penguin_model.card import onnx_path, read_verified
from penguin_model.errors import ModelError
from penguin_model.features import normalize
from penguin_model.training import onnx_columns, onnx_export
from tests.penguin_model.test_model_kinds import CARD, GOOD, graph, sequence, softmax
from tests.support.running import PROJECT

L = keras.layers
NO_ROWS = np.empty((0, 4), np.float32)
MODEL = PROJECT / "models/penguin-classifier.keras"
# What tf2onnx or ONNX Runtime can't do.
REFUSED = {
    "mixed precision with a float32 end": "what tf2onnx exports is refused: ONNX Runtime .* cannot",
    "float16 inputs": r"ONNX Runtime's probabilities differ from Keras' by up to 1\.\de-04, more",
}


def rows(count: int) -> Any:
    return normalize(list(model_checks.plausible_rows(CARD, count).T), CARD.features)


def operators(content: bytes) -> list[str]:
    return [node.op_type for node in onnx.load_from_string(content).graph.node]


def dense(activation: Any) -> Any:
    return L.Dense(6, activation, kernel_initializer=keras.initializers.RandomNormal(seed=3))


ACTIVATIONS = (
    "relu", "tanh", "sigmoid", "softplus", "softsign", "elu", "selu", "gelu", "silu", "exponential",
    "hard_sigmoid", "hard_silu", "leaky_relu", "relu6", "mish", "celu", "softmax", "log_softmax",
    "tanh_shrink", "linear",
)  # fmt: skip
KINDS: dict[str, Callable[[], keras.Model]] = {
    **GOOD,
    **{
        f"activation {name}": (lambda name=name: sequence(dense(name), softmax()))  # type: ignore[misc]
        for name in ACTIVATIONS
    },
    "layer normalization": lambda: sequence(dense("relu"), L.LayerNormalization(), softmax()),
    "PReLU": lambda: sequence(dense(None), L.PReLU("glorot_uniform"), softmax()),
    "a reshape": lambda: sequence(L.Reshape((2, 2)), L.Permute((2, 1)), L.Flatten(), softmax()),
    # TensorFlow has operators for these, and ONNX hasn't.
    **{
        f"{name} of rows": (
            lambda name=name: sequence(  # type: ignore[misc]
                L.Reshape((2, 2)), L.Activation(name), L.Flatten(), softmax()
            )
        )
        for name in ("gelu", "selu", "elu", "celu")
    },
    "joined branches": lambda: graph(
        lambda start: softmax()(L.Concatenate()([dense("tanh")(start), start]))
    ),
    "a wide normalization": lambda: keras.Sequential(
        [keras.Input((4,)), L.Dense(300), L.Normalization(mean=[1.0] * 300, variance=[2.0] * 300),
         softmax()]
    ),
    "logarithms of features": lambda: graph(
        lambda start: softmax()(keras.ops.log1p(keras.ops.abs(start)))
    ),
    "logarithms of rows": lambda: graph(
        lambda start: softmax()(
            L.Flatten()(keras.ops.log1p(keras.ops.abs(L.Reshape((2, 2))(start))))
        )
    ),
    "means of rows": lambda: graph(
        lambda start: softmax()(start - keras.ops.mean(start, axis=1, keepdims=True))
    ),
    "without keepdims": lambda: graph(
        lambda start: softmax()(start * keras.ops.max(start, axis=-1)[:, None])
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in REFUSED])
def test_every_kind_answers_as_keras(kind: str) -> None:
    model = KINDS[kind]()
    content, record = onnx_export.export(model, CARD, NO_ROWS)
    assert record.largest_difference <= 1e-6
    assert (record.rows, record.opset) == (100_000, 18)
    assert record.sha256 == hashlib.sha256(content).hexdigest()
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    predict = bundle.compile_predict(model, 4)
    session = onnxruntime.InferenceSession(content)
    for count in (0, 1, 33):
        matrix = rows(33)[:count]
        (answers,) = session.run(None, {"rows": matrix})
        np.testing.assert_allclose(answers, predict(matrix), atol=1e-5)


@pytest.mark.parametrize("kind", REFUSED)
def test_others_are_refused(kind: str) -> None:
    with pytest.raises(ModelError, match=REFUSED[kind]):
        onnx_export.export(KINDS[kind](), CARD, NO_ROWS)


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    first, again = (onnx_export.export(bundle.load(str(MODEL)).model, card(), NO_ROWS)[0]
                    for _ in range(2))  # fmt: skip
    assert first == again == Path(onnx_path(str(MODEL))).read_bytes()
    found = onnx.load_from_string(first)
    assert (found.producer_name, found.producer_version, found.doc_string) == ("", "", "")
    assert [(each.domain, each.version) for each in found.opset_import] == [("", 18)]


def card() -> Any:
    return read_verified(str(MODEL))


def test_the_shipped_file_is_computed_by_column() -> None:
    found = operators(Path(onnx_path(str(MODEL))).read_bytes())
    layer = ["MatMul", "Add", "Relu"]
    softmax = ["Split", "Max", "Sub", "Exp", "MatMul", "Div"]
    assert found == ["If", *layer, *layer, *layer[:2], *softmax, "If"]


def test_what_is_not_known_is_computed_by_row() -> None:
    model = sequence(dense("relu"), L.Reshape((2, 3)), L.Flatten(), softmax())
    content, _ = onnx_export.export(model, CARD, NO_ROWS)
    found = operators(content)
    assert found[:3] == ["If", "MatMul", "Relu"]
    assert found.index("Transpose") < found.index("Reshape") < found.index("Softmax")
    assert found[-2:] == ["Transpose", "If"]


def test_a_loop_is_refused() -> None:
    def spin(start: Any) -> Any:
        def step(count: Any, value: Any) -> Any:
            return count + 1, keras.ops.tanh(value)

        _, value = keras.ops.while_loop(
            lambda count, value: keras.ops.sum(value) > count, step, (0.0, start)
        )
        return value

    class Spin(keras.layers.Layer):
        def call(self, start: Any) -> Any:
            return spin(start)

    with pytest.raises(ModelError, match="its ONNX graph has branches or loops"):
        onnx_export.export(sequence(Spin(), softmax()), CARD, NO_ROWS)


# Beam's handler leaves the file open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_others_read_the_file_as_any_onnx_classifier() -> None:
    path = onnx_path(str(MODEL))
    session = onnxruntime.InferenceSession(path)
    ((name, shape),) = ((each.name, each.shape) for each in session.get_inputs())
    assert (name, shape) == ("rows", ["rows", "features"])
    classifier = bundle.load(str(MODEL))
    made_up = model_checks.plausible_rows(classifier.card, 5)
    matrix = np.ascontiguousarray(normalize(list(made_up.T), classifier.card.features))
    expected = classifier.predict(matrix)
    (found,) = session.run(None, {"rows": matrix})
    np.testing.assert_allclose(found, expected, atol=1e-6)
    (swapped,) = session.run(None, {"rows": matrix.T, "by_column": np.array(True)})
    np.testing.assert_array_equal(swapped.T, found)
    handler = OnnxModelHandlerNumpy(model_uri=path, providers=["CPUExecutionProvider"])
    results = list(handler.run_inference(list(matrix), handler.load_model()))
    np.testing.assert_allclose([each.inference for each in results], expected, atol=1e-6)


def trained(model: keras.Model, path: Path, said: list[str]) -> Any:
    return onnx_export.save(model, str(path), CARD, known=rows(10), say=said.append)


def test_a_file_of_an_earlier_model_does_not_survive(tmp_path: Path) -> None:
    path, said = tmp_path / "m.keras", list[str]()
    written = trained(GOOD["functional"](), path, said)
    assert written == read_verified(str(path))
    assert said == []
    assert written.onnx.rows == 100_010
    assert Path(onnx_path(str(path))).exists()
    assert trained(KINDS["float16 inputs"](), path, said).onnx is None
    assert len(said) == 1
    assert said[0].startswith("No ONNX file, so --engine=onnx can't run this model: ONNX Runtime's")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["m.keras", "m.keras.card.json"]
    with pytest.raises(ModelError, match=r"m\.keras has no ONNX file: its card names none; train"):
        engines.load("onnx", str(path), read_verified(str(path)))


@pytest.mark.parametrize("missing", ["onnx", "tf2onnx"])
def test_without_the_extra_a_line_names_it(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == missing else really(name)
    )
    said = list[str]()
    assert trained(GOOD["functional"](), tmp_path / "m.keras", said).onnx is None
    assert said == [
        f"No ONNX file, so --engine=onnx can't run this model: {missing} isn't installed: "
        "pip install 'penguin-scoring[onnx]'"
    ]


def test_too_large_a_difference_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    really = onnx_columns.rewrite

    def slightly_off(model: Any) -> Any:
        found = really(model)
        weights = found.graph.initializer[1]
        values = onnx.numpy_helper.to_array(weights) * np.float32(1.001)
        weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
        return found

    monkeypatch.setattr(onnx_columns, "rewrite", slightly_off)
    with pytest.raises(ModelError, match=r"differ from Keras' by up to \d\.\de-0\d, more than 1e-"):
        onnx_export.export(GOOD["functional"](), CARD, NO_ROWS)


def test_a_failure_inside_a_library_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(model: Any) -> Any:
        raise AssertionError("no\nway")

    monkeypatch.setattr(onnx_columns, "rewrite", fail)
    with pytest.raises(ModelError, match=r"^tf2onnx can't export it: no$"):
        onnx_export.export(GOOD["functional"](), CARD, NO_ROWS)


def test_export_is_silent() -> None:
    code = (
        "from penguin_model import bundle, cli\n"
        "cli.quiet_libraries(False)\n"
        "from penguin_model.training import onnx_export\n"
        f"found = bundle.load({str(MODEL)!r})\n"
        "import numpy as np\n"
        "onnx_export.export(found.model, found.card, np.empty((0, 4), np.float32))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def nodes(*made: Sequence[Any], **constants: Any) -> Any:
    """A graph from ``x`` ``[n, 3]`` to ``y``, made by hand: what tf2onnx writes rarely or never."""
    from onnx import helper

    ends = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", None]) for name in "xy"
    ]
    initial = [onnx.numpy_helper.from_array(value, name) for name, value in constants.items()]
    listed = [helper.make_node(op, inputs, outputs, **attributes)
              for op, inputs, outputs, attributes in made]  # fmt: skip
    return helper.make_model(
        helper.make_graph(listed, "g", ends[:1], ends[1:], initial),
        ir_version=8, opset_imports=[helper.make_opsetid("", 18)],
    )  # fmt: skip


def numbers(*shape: int) -> Any:
    return np.random.default_rng(sum(shape)).normal(0, 1, shape).astype(np.float32)


BY_HAND: dict[str, Any] = {
    "Gemm": nodes(("Gemm", ["x", "w", "b"], ["y"], {"alpha": 0.5, "beta": 2.0}),
                  w=numbers(3, 4), b=numbers(4)),
    "Gemm with swapped weights": nodes(("Gemm", ["x", "w"], ["y"], {"transB": 1}), w=numbers(4, 3)),
    "constant first": nodes(("Sub", ["c", "x"], ["y"], {}), c=numbers(3)),
    "a matrix of one row": nodes(("Div", ["x", "c"], ["y"], {}), c=numbers(1, 3)),
    "a scalar": nodes(("Pow", ["x", "c"], ["y"], {}), c=np.array(2, np.float32)),
    "limits": nodes(("Clip", ["x", "", "c"], ["y"], {}), c=np.array(0.5, np.float32)),
    "three inputs": nodes(("Max", ["x", "c", "d"], ["y"], {}), c=numbers(3), d=numbers(1)),
    "a choice": nodes(("Less", ["x", "c"], ["less"], {}), ("Where", ["less", "x", "c"], ["y"], {}),
                      c=numbers(3)),
    "wider": nodes(("ReduceSum", ["x", "axis"], ["one"], {}), ("Add", ["one", "c"], ["y"], {}),
                   axis=np.array([-1]), c=numbers(5)),
    "joined with constants": nodes(("Mul", ["x", "c"], ["z"], {}),
                                   ("Concat", ["z", "x", "z"], ["y"], {"axis": -1}), c=numbers(3)),
}  # fmt: skip


@pytest.mark.parametrize("kind", BY_HAND)
def test_graphs_by_hand(kind: str) -> None:
    model = BY_HAND[kind]
    found = onnx_columns.rewrite(model)
    onnx.checker.check_model(found, full_check=True)
    assert "Transpose" not in [node.op_type for node in found.graph.node]
    before, after = (
        onnxruntime.InferenceSession(each.SerializeToString()) for each in (model, found)
    )
    for count in (0, 1, 7):
        matrix = np.abs(numbers(count, 3))
        (expected,), (answers,) = before.run(None, {"x": matrix}), after.run(None, {"rows": matrix})
        np.testing.assert_allclose(answers, expected, rtol=1e-6)


def test_what_changes_the_rank_is_left_to_rows() -> None:
    cube = nodes(
        ("Add", ["x", "c"], ["z"], {}), ("ReduceSum", ["z", "axis"], ["y"], {"keepdims": 0}),
        axis=np.array([0]), c=numbers(2, 1, 3),
    )  # fmt: skip
    matrix = numbers(7, 3)
    before, after = (
        onnxruntime.InferenceSession(each.SerializeToString())
        for each in (cube, onnx_columns.rewrite(cube))
    )
    (expected,), (answers,) = before.run(None, {"x": matrix}), after.run(None, {"rows": matrix})
    np.testing.assert_allclose(answers, expected, rtol=1e-6)


def test_nodes_that_nothing_needs_and_double_constants_are_gone() -> None:
    model = nodes(
        ("Add", ["x", "b"], ["unused"], {}), ("Mul", ["x", "c"], ["z"], {}),
        ("Mul", ["z", "d"], ["y"], {}), b=numbers(3), c=numbers(3), d=numbers(3),
    )  # fmt: skip
    found = onnx_columns.rewrite(model).graph
    assert [node.op_type for node in found.node] == ["If", "Mul", "Mul", "If"]
    assert len(found.initializer) == 2
