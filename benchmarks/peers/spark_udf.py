"""Spark's predict_batch_udf, in local mode with two cores.

Arrow batches as large as the network likes them, scalar columns in and out (arrays of floats would
be lists of Python objects on the way), one thread of TensorFlow in each worker, the species from an
index in Spark itself.
"""

import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql import SparkSession
from pyspark.sql import functions as sf
from pyspark.sql.types import StructType

from benchmarks.peers.common import (
    BATCH_ROWS,
    CLASSES,
    FEATURES,
    KEY,
    PROBABILITIES,
    answers,
    arguments,
    compiled,
    normalize,
)

Column = np.ndarray[Any, Any]
WORKERS = 2
CSV_SCHEMA = f"{KEY} BIGINT, " + ", ".join(f"{name} DOUBLE" for name in FEATURES)
ANSWER_SCHEMA = "winner INT, probability FLOAT, " + ", ".join(
    f"{name} FLOAT" for name in PROBABILITIES
)
SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "2g",
    "spark.local.dir": tempfile.gettempdir(),
    "spark.sql.execution.arrow.maxRecordsPerBatch": str(BATCH_ROWS),
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def loader(model_path: str) -> Callable[[], Callable[..., dict[str, Any]]]:
    """What each Python worker calls once, before its first batch."""

    def load() -> Callable[..., dict[str, Any]]:
        network = compiled(model_path, threads=1)

        # Spark counts the parameters to learn how many columns the network takes.
        def predict(length: Column, depth: Column, flipper: Column, mass: Column) -> dict[str, Any]:
            matrix = normalize([length, depth, flipper, mass])
            winners, best, by_class = answers(network(matrix))
            named = dict(zip(PROBABILITIES, by_class, strict=True))
            return {"winner": winners, "probability": best, **named}

        return predict

    return load


def main() -> None:
    """Scores one file."""
    given = arguments(__doc__)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(f"local[{WORKERS}]").appName("penguins")
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        if given.input.endswith(".parquet"):
            frame = spark.read.parquet(given.input).select(KEY, *FEATURES)
        else:
            frame = spark.read.csv(given.input, schema=CSV_SCHEMA, header=True)
        score = predict_batch_udf(
            loader(given.model),
            return_type=StructType.fromDDL(ANSWER_SCHEMA),
            batch_size=BATCH_ROWS,
        )
        names = sf.array(*map(sf.lit, CLASSES))
        (
            frame.select(KEY, score(*FEATURES).alias("answer"))
            .select(
                KEY,
                sf.get(names, "answer.winner").alias("species"),
                "answer.probability",
                *(f"answer.{name}" for name in PROBABILITIES),
            )
            .write.parquet(given.output)
        )
    finally:
        spark.stop()


if __name__ == "__main__":
    main()
