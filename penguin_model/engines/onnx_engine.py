"""The network in ONNX Runtime, which is ready in a twentieth of TensorFlow's time."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from penguin_model import model_checks
from penguin_model.card import ModelCard, onnx_path
from penguin_model.errors import ModelError, needs
from penguin_model.model_checks import Predict

# An optional input of our files: whether rows and columns are swapped, see `training.onnx_export`.
BY_COLUMN = "by_column"
# ONNX Runtime's errors are raised, so it needn't print them, too.
_FATAL_ONLY = 4
# Weights that aren't in the file itself would be read from this folder, by default the working one.
_WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path"
# Types and ranks of `rows`, `probabilities` and `by_column`.
_ENDS = [("tensor(float)", 2), ("tensor(float)", 2), ("tensor(bool)", 0)]
# Computed together: what the layers pass on stays in the processor's cache.
_BLOCK_ROWS = 16_384


class OnnxEngine:
    """Loads the ``.onnx`` file beside the model."""

    name = "onnx"
    packages = ("onnxruntime",)

    def file_of(self, model_path: str) -> str:
        """The file beside the model."""
        return onnx_path(model_path)

    def sha256_of(self, card: ModelCard) -> str:
        """The card's record of that file."""
        if card.onnx is None:
            raise ModelError("has no ONNX file: its card names none; train or register it again")
        return card.onnx.sha256

    def load(self, content: bytes, card: ModelCard, shown: str) -> Predict:
        """Loads the file for one thread, as the workers already use all cores."""
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            raise ModelError(needs(error)) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _FATAL_ONLY
        # Nothing can be in it.
        options.add_session_config_entry(_WEIGHTS_FOLDER, os.devnull)
        try:
            session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        # ONNX Runtime's errors have no base of their own.
        except Exception as error:
            raise ModelError(
                f"is refused: ONNX Runtime {onnxruntime.__version__} cannot load it: "
                f"{model_checks.shorten(error)}"
            ) from error
        predict = _compile(session)
        model_checks.check_answers(predict, card)
        return predict


def _compile(session: Any) -> Predict:
    inputs, outputs = session.get_inputs(), session.get_outputs()
    found = [*inputs, *outputs, *session.get_overridable_initializers()]
    if [(each.type, len(each.shape)) for each in found] != _ENDS or found[2].name != BY_COLUMN:
        raise ModelError(
            "is refused: it isn't an ONNX file that penguin-train or penguin-register has made"
        )
    rows, answers = inputs[0].name, outputs[0].name
    swapped = np.array(True)

    def compute(by_column: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        given = {rows: np.ascontiguousarray(by_column), BY_COLUMN: swapped}
        found: npt.NDArray[np.float32] = session.run([answers], given)[0]
        return found

    def predict(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        by_column, count = matrix.T, len(matrix)
        if count <= _BLOCK_ROWS:
            return compute(by_column).T
        blocks = [
            compute(by_column[:, start : start + _BLOCK_ROWS])
            for start in range(0, count, _BLOCK_ROWS)
        ]
        return np.concatenate(blocks, axis=1).T

    return predict
