"""The network in ONNX Runtime, which is ready in a twentieth of TensorFlow's time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from penguin_model import model_checks
from penguin_model.card import ModelCard, onnx_path
from penguin_model.errors import ModelError
from penguin_model.model_checks import Predict

# An optional input of our files: whether rows and columns are swapped, see `training.onnx_export`.
BY_COLUMN = "by_column"
_ERRORS_ONLY = 3


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
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        try:
            session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        # ONNX Runtime's errors have no base of their own.
        except Exception as error:
            raise ModelError(
                f"is refused: ONNX Runtime cannot load it: {model_checks.shorten(error)}"
            ) from error
        predict = _compile(session)
        model_checks.check_answers(predict, card)
        return predict


def _compile(session: Any) -> Predict:
    (rows,) = (each.name for each in session.get_inputs())
    (answers,) = (each.name for each in session.get_outputs())
    by_column = np.array(True)

    def predict(matrix: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        given = {rows: np.ascontiguousarray(matrix.T), BY_COLUMN: by_column}
        (found,) = session.run([answers], given)
        probabilities: npt.NDArray[np.float32] = found.T
        return probabilities

    return predict
