"""Rewrites an ONNX graph to compute by column: each feature's values are side by side in memory.

A classifier of a table is a few dozen units wide and thousands of rows long. By column, its
products are of long vectors, and a softmax of three classes adds three of them instead of three
numbers for each row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from penguin_model.engines.onnx_engine import BY_COLUMN
from penguin_model.errors import ModelError

ROWS = "rows"
PROBABILITIES = "probabilities"
# The oldest opset with all that is written here; ONNX Runtime reads it since its version 1.14.
OPSET = 18
_IR_VERSION = 8
_SWAPPED = [1, 0]
_MATRIX = 2

# Operators that treat each number by itself, alone or with those in the same place of other inputs.
_ELEMENTWISE = frozenset([
    "Abs", "Add", "And", "Cast", "Ceil", "Celu", "Clip", "Div", "Elu", "Equal", "Erf", "Exp",
    "Floor", "Greater", "GreaterOrEqual", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu",
    "Less", "LessOrEqual", "Log", "Max", "Mean", "Min", "Mish", "Mul", "Neg", "Not", "Or", "PRelu",
    "Pow", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Softplus", "Softsign",
    "Sqrt", "Sub", "Sum", "Tanh", "ThresholdedRelu", "Where", "Xor",
])  # fmt: skip
_REDUCTIONS = frozenset(["ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"])

Array = npt.NDArray[Any]


def rewrite(model: Any) -> Any:
    """Rewrites a graph from rows to probabilities.

    Whatever follows an operator that isn't known here is computed by row, as it was.

    Args:
      model: an ``onnx.ModelProto`` of `OPSET` with one input ``[n, width]`` and one output
        ``[n, classes]``.

    Returns:
      A model that answers the same. Its input is `ROWS`, its output `PROBABILITIES`, and where the
      optional input `BY_COLUMN` is true, both are swapped: ``[width, n]`` and ``[classes, n]``.
      Names, the order of nodes and what is recorded follow from the network alone.

    Raises:
      ModelError: the graph has branches or loops; says so without naming the file.
    """
    graph = onnx.shape_inference.infer_shapes(model).graph
    writer = _Writer(graph)
    for node in _needed(graph):
        writer.add(node)
    answers = writer.by_column(graph.output[0].name)
    return _wrap(writer, answers)


class _Writer:
    """Writes the nodes of the new graph; looks names of the old one up, and returns new ones."""

    def __init__(self, graph: Any) -> None:
        self.nodes: list[Any] = []
        self.constants: dict[tuple[str, tuple[int, ...], bytes], Any] = {}
        self._known = dict(_read_constants(graph))
        self._ones = dict(_read_ones(graph))
        (rows,) = (each.name for each in graph.input if each.name not in self._known)
        self._names = 0
        self._rows: dict[str, str] = {}
        self._columns = {rows: "by_column_in"}

    def add(self, node: Any) -> None:
        """Writes a node by column if that is possible, otherwise by row."""
        if any(each.type in (each.GRAPH, each.GRAPHS) for each in node.attribute):
            raise ModelError("its ONNX graph has branches or loops")
        varying = [name for name in node.input if name and name not in self._known]
        rule = _RULES.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if rule and varying and all(name in self._columns for name in varying):
            found = rule(self, node)
            if found:
                self._columns[node.output[0]] = found
                return
        written = _WRITTEN_OUT.get(node.op_type)
        if written:
            self._rows[node.output[0]] = written(self, self._by_row(node.input[0]))
            return
        made = onnx.NodeProto()
        made.CopyFrom(node)
        made.input[:] = [name and self._by_row(name) for name in node.input]
        made.output[:] = [name and self._name() for name in node.output]
        made.name = made.doc_string = ""
        self.nodes.append(made)
        self._rows.update(zip(node.output, made.output, strict=True))

    def write(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Writes a node with one output, and returns that."""
        output = self._name()
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def split(self, columns: str, width: int) -> list[str]:
        """Writes a node that takes a matrix apart into its columns."""
        parts = [self._name() for _ in range(width)]
        self.nodes.append(helper.make_node("Split", [columns], parts, axis=0, num_outputs=width))
        return parts

    def constant(self, values: Array) -> str:
        """Writes a constant, once for all nodes that use it."""
        key = values.dtype.name, values.shape, values.tobytes()
        made = numpy_helper.from_array(np.ascontiguousarray(values), f"c{len(self.constants)}")
        return str(self.constants.setdefault(key, made).name)

    def find_constant(self, name: str) -> Array | None:
        """A value of the old graph; None if it varies."""
        return self._known.get(name)

    def find_ones(self, name: str) -> Array | None:
        """A row of ones as wide as a matrix of the old graph; None if its width isn't known."""
        return self._ones.get(name)

    def by_column(self, name: str) -> str:
        """A value of the old graph, swapped; a matrix or what spreads over one."""
        known = self._known.get(name)
        if known is not None:
            return self.constant(_swapped(known) if known.ndim else known)
        if name not in self._columns:
            self._columns[name] = self.write("Transpose", self._rows[name], perm=_SWAPPED)
        return self._columns[name]

    def _by_row(self, name: str) -> str:
        known = self._known.get(name)
        if known is not None:
            return self.constant(known)
        if name not in self._rows:
            self._rows[name] = self.write("Transpose", self._columns[name], perm=_SWAPPED)
        return self._rows[name]

    def _name(self) -> str:
        self._names += 1
        return f"v{self._names}"


def _swapped(values: Array) -> Array:
    """What spreads over a swapped matrix as the values do over the matrix."""
    return np.atleast_2d(values).T


def _read_constants(graph: Any) -> Iterator[tuple[str, Array]]:
    for each in graph.initializer:
        yield each.name, numpy_helper.to_array(each)
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            yield node.output[0], numpy_helper.to_array(node.attribute[0].t)


def _read_ones(graph: Any) -> Iterator[tuple[str, Array]]:
    for each in (*graph.value_info, *graph.output):
        kind = each.type.tensor_type
        if len(kind.shape.dim) == _MATRIX and (width := kind.shape.dim[1].dim_value):
            yield each.name, np.ones((1, width), helper.tensor_dtype_to_np_dtype(kind.elem_type))


def _needed(graph: Any) -> list[Any]:
    """The nodes that the output needs, each after those that it needs."""
    makers = {name: node for node in graph.node for name in node.output}
    constants = dict(_read_constants(graph))
    order: dict[str, Any] = {}
    begun: set[str] = set()
    waiting = [(graph.output[0].name, False)]
    while waiting:
        name, is_ready = waiting.pop()
        node = makers.get(name)
        if node is None or name in constants:
            continue
        if is_ready:
            order.setdefault(node.output[0], node)
        elif name not in begun:
            begun.add(name)
            waiting.append((name, True))
            waiting += [(each, False) for each in reversed(node.input)]
    return list(order.values())


def _attributes(node: Any) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _elementwise(writer: _Writer, node: Any) -> str | None:
    known = map(writer.find_constant, node.input)
    if any(each is not None and each.ndim > _MATRIX for each in known):
        return None
    inputs = [name and writer.by_column(name) for name in node.input]
    return writer.write(node.op_type, *inputs, **_attributes(node))


def _complement_of_erf(writer: _Writer, value: str) -> str:
    return writer.write("Sub", _one(writer), writer.write("Erf", value))


def _exp_less_one(writer: _Writer, value: str) -> str:
    return writer.write("Sub", writer.write("Exp", value), _one(writer))


def _log_of_one_more(writer: _Writer, value: str) -> str:
    return writer.write("Log", writer.write("Add", value, _one(writer)))


def _one(writer: _Writer) -> str:
    return writer.constant(np.array(1, np.float32))


def _write_out(writer: _Writer, node: Any) -> str:
    return _WRITTEN_OUT[node.op_type](writer, writer.by_column(node.input[0]))


def _multiply(writer: _Writer, node: Any) -> str | None:
    weights = writer.find_constant(node.input[1])
    if weights is None or weights.ndim != _MATRIX:
        return None
    return writer.write("MatMul", writer.constant(weights.T), writer.by_column(node.input[0]))


def _multiply_and_add(writer: _Writer, node: Any) -> str | None:
    given = _attributes(node)
    known = [writer.find_constant(name) for name in node.input[1:] if name]
    if given.get("transA") or any(each is None for each in known):
        return None
    weights, *others = (each for each in known if each is not None)
    turned = weights if given.get("transB") else weights.T
    scaled = (turned * given.get("alpha", 1.0)).astype(weights.dtype)
    found = writer.write("MatMul", writer.constant(scaled), writer.by_column(node.input[0]))
    for bias in others:
        added = (bias * given.get("beta", 1.0)).astype(bias.dtype)
        found = writer.write("Add", found, writer.constant(_swapped(added)))
    return found


def _softmax(writer: _Writer, node: Any) -> str | None:
    """Written out: along a short first axis, the operators that reduce take three times as long."""
    ones = writer.find_ones(node.output[0])
    if ones is None or _attributes(node).get("axis", -1) not in (-1, 1):
        return None
    scores = writer.by_column(node.input[0])
    highest = writer.write("Max", *writer.split(scores, ones.size))
    powers = writer.write("Exp", writer.write("Sub", scores, highest))
    total = writer.write("MatMul", writer.constant(ones), powers)
    return writer.write("Div", powers, total)


def _reduce(writer: _Writer, node: Any) -> str | None:
    given = _attributes(node)
    axes = writer.find_constant(node.input[1]) if len(node.input) > 1 else None
    if axes is None or not axes.size or not given.get("keepdims", 1):
        return None
    other = writer.constant(1 - axes % _MATRIX)
    return writer.write(node.op_type, writer.by_column(node.input[0]), other, **given)


def _join(writer: _Writer, node: Any) -> str | None:
    known = map(writer.find_constant, node.input)
    if any(each is not None and each.ndim != _MATRIX for each in known):
        return None
    axis = 1 - _attributes(node)["axis"] % _MATRIX
    return writer.write("Concat", *map(writer.by_column, node.input), axis=axis)


# Operators of TensorFlow's that ONNX doesn't have, which tf2onnx passes on.
_WRITTEN_OUT: Mapping[str, Callable[[_Writer, str], str]] = {
    "Erfc": _complement_of_erf,
    "Expm1": _exp_less_one,
    "Log1p": _log_of_one_more,
}
_Rule = Callable[[_Writer, Any], str | None]
_RULES: Mapping[str, _Rule] = {
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    **dict.fromkeys(_REDUCTIONS, _reduce),
    **dict.fromkeys(_WRITTEN_OUT, _write_out),
    "Concat": _join,
    "Gemm": _multiply_and_add,
    "MatMul": _multiply,
    "Softmax": _softmax,
}


def _wrap(writer: _Writer, answers: str) -> Any:
    """The graph between two switches, which leave values as they are or swap them."""
    front = _switch(ROWS, "by_column_in")
    back = _switch(answers, PROBABILITIES)
    graph = helper.make_graph(
        [front, *writer.nodes, back],
        "classifier",
        [
            _matrix(ROWS, ROWS, "features"),
            helper.make_tensor_value_info(BY_COLUMN, TensorProto.BOOL, []),
        ],
        [_matrix(PROBABILITIES, ROWS, "classes")],
        [numpy_helper.from_array(np.array(False), BY_COLUMN), *writer.constants.values()],
    )
    return helper.make_model(
        graph, ir_version=_IR_VERSION, opset_imports=[helper.make_opsetid("", OPSET)]
    )


def _switch(source: str, target: str) -> Any:
    def branch(op: str, **attributes: Sequence[int]) -> Any:
        output = f"{target}_{op.lower()}"
        made = helper.make_node(op, [source], [output], **attributes)
        return helper.make_graph([made], op.lower(), [], [_matrix(output, None, None)])

    return helper.make_node(
        "If", [BY_COLUMN], [target],
        then_branch=branch("Identity"), else_branch=branch("Transpose", perm=_SWAPPED),
    )  # fmt: skip


def _matrix(name: str, *shape: str | None) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
