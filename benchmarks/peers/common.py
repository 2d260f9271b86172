"""What the peers have in common: columns, classes, the network on either engine, their answers.

It needs NumPy and pyarrow, and the library of the engine in use, so that each peer's environment
can import it.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

KEY = "observation_id"
FEATURES = ["CulmenLength", "CulmenDepth", "FlipperLength", "BodyMass"]
SCALES = [1.0, 1.0, 10.0, 100.0]
CLASSES = ["Adelie", "Gentoo", "Chinstrap"]
PROBABILITIES = [f"probability_{name.lower()}" for name in CLASSES]
ANSWERS = ["species", "probability", *PROBABILITIES]
BATCH_ROWS = 1 << 17

Floats = npt.NDArray[np.float32]
Predict = Callable[[Floats], Floats]


def arguments(description: str | None, engines: Sequence[str] = ()) -> argparse.Namespace:
    """The arguments that every peer takes, and a choice of engines where there is one."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("input", help=".parquet or .csv")
    parser.add_argument("output", help="a file or folder that is not there yet")
    parser.add_argument("--model", default="models/penguin-classifier.keras")
    if engines:
        parser.add_argument("--engine", choices=engines, default=engines[0])
    return parser.parse_args()


def quieten() -> None:
    """Settings of TensorFlow's that ours has, too; to be called before it is imported."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["TF_ENABLE_ONEDNN_OPTS"] = "0"


def normalize(columns: Sequence[npt.NDArray[Any]]) -> Floats:
    """The network's input: the scaled features as a float32 matrix."""
    matrix = np.empty((len(columns[0]), len(columns)), np.float32)
    for place, (column, scale) in enumerate(zip(columns, SCALES, strict=True)):
        np.divide(column, scale, out=matrix[:, place], casting="same_kind")
    return matrix


def compiled(model_path: str, threads: int = 0) -> Predict:
    """Loads the network and compiles one call for any number of rows.

    Args:
      model_path: the Keras file.
      threads: how many TensorFlow may use, where several processes share a machine; 0: its choice.
    """
    quieten()
    import tensorflow as tf

    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    model = tf.keras.models.load_model(model_path, compile=False)
    call = tf.function(
        lambda matrix: model(matrix, training=False),
        input_signature=[tf.TensorSpec([None, len(FEATURES)], tf.float32)],
    )

    def predict(matrix: Floats) -> Floats:
        return call(tf.constant(matrix)).numpy()

    return predict


def onnx_session(model_path: str, threads: int = 0) -> Predict:
    """Opens the ONNX file beside a Keras file, as Keras exports it: rows in, rows out.

    Args:
      model_path: the Keras file.
      threads: see `compiled`.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        onnx_path(model_path), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name

    def predict(matrix: Floats) -> Floats:
        (found,) = session.run(None, {name: matrix})
        return found

    return predict


ENGINES: Mapping[str, Callable[..., Predict]] = {"keras": compiled, "onnx": onnx_session}


def onnx_path(model_path: str) -> str:
    """The file beside a Keras file that ONNX Runtime loads."""
    return f"{model_path}.onnx"


def answers(probabilities: Floats) -> tuple[npt.NDArray[np.int32], Floats, list[Floats]]:
    """The winner of each row (the first of equals), its probability, the columns of all.

    Whole columns are compared, which is faster than NumPy's functions along short rows.
    """
    adelie, gentoo, chinstrap = (np.ascontiguousarray(column) for column in probabilities.T)
    first_two = np.maximum(adelie, gentoo)
    winners = np.where(chinstrap > first_two, 2, gentoo > adelie).astype(np.int32)
    return winners, np.maximum(first_two, chinstrap), [adelie, gentoo, chinstrap]


def answer_table(key: str, keys: Any, probabilities: Floats) -> pa.Table:
    """The columns that a peer writes: what it can know without a card.

    Args:
      key: the name of the column that tells the row.
      keys: its values, an Arrow or NumPy array.
      probabilities: ``[n, classes]``.
    """
    winners, best, by_class = answers(probabilities)
    return pa.table(
        {
            key: keys,
            "species": pa.DictionaryArray.from_arrays(winners, pa.array(CLASSES)),
            "probability": best,
            **dict(zip(PROBABILITIES, by_class, strict=True)),
        }
    )
