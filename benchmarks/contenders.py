"""Who is compared: ours and bare loops on both engines, and the peers, each with its command."""

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks import environments
from benchmarks.peers.common import KEY

ALL_ROWS = 1 << 62
BASELINE = "copy"
REFERENCE = "one-worker"
OURS, PLACE = "pipelines.score", "source_row"
ONE_WORKER = ("--direct_num_workers=1",)


class Contender(NamedTuple):
    """One way of scoring a file.

    Attributes:
      title: what tables and charts call it.
      module: what to run; takes INPUT OUTPUT, ours its own flags.
      environment: the lock that it runs with; empty for ours.
      most_rows: a large file has no more, where a rate needs no more to be known.
      key: the column of the output that tells the row.
      flags: further ones.
      scores: whether its output can be compared with ours.
    """

    title: str
    module: str
    environment: str = ""
    most_rows: int = ALL_ROWS
    key: str = KEY
    flags: Sequence[str] = ()
    scores: bool = True

    @property
    def is_ours(self) -> bool:
        """Whether it is the job itself."""
        return self.module == OURS

    def command(self, path: str, output: str) -> list[str]:
        """The command that scores one file; `output` is not there yet."""
        start = [environments.python_of(self.environment), "-m", self.module]
        if self.is_ours:
            return [*start, "--input", path, "--output", output, "--run_id", "bench", *self.flags]
        return [*start, path, output, *self.flags]

    def predictions(self, output: str) -> str:
        """The file or folder where its predictions lie."""
        return f"{output}/predictions" if self.is_ours else output


TWO_WORKERS = ("--direct_num_workers=2",)
ON_KERAS, ON_ONNX = ("--engine=keras",), ("--engine=onnx",)
BARE, BATCHES = "benchmarks.bare_loop", "benchmarks.peers.run_inference_batches"

CONTENDERS = {
    "copy": Contender("copy without a model", "benchmarks.peers.copy_columns", scores=False),
    "onnx-two-workers": Contender(
        "ours, ONNX, two workers", OURS, key=PLACE, flags=(*TWO_WORKERS, *ON_ONNX)
    ),
    "onnx-one-worker": Contender(
        "ours, ONNX, one worker", OURS, key=PLACE, flags=(*ONE_WORKER, *ON_ONNX)
    ),
    "two-workers": Contender("ours, Keras, two workers", OURS, key=PLACE, flags=TWO_WORKERS),
    REFERENCE: Contender("ours, Keras, one worker", OURS, key=PLACE, flags=ONE_WORKER),
    "bare-onnx": Contender("bare loop, ONNX Runtime", BARE, key=PLACE, flags=ON_ONNX),
    "bare-loop": Contender("bare loop, TensorFlow", BARE, key=PLACE, flags=ON_KERAS),
    "run-inference-onnx": Contender("RunInference, ONNX, matrices", BATCHES, "beam", flags=ON_ONNX),
    "run-inference-keras": Contender(
        "RunInference, TensorFlow, matrices", BATCHES, "beam", flags=ON_KERAS
    ),
    "ray": Contender("Ray Data, two actors", "benchmarks.peers.ray_data", "ray"),
    "spark": Contender("Spark, two cores", "benchmarks.peers.spark_udf", "spark"),
    "naive": Contender("pandas, model.predict", "benchmarks.peers.naive", most_rows=500_000),
    "run-inference-rows": Contender(
        "RunInference, one row an element, as in Beam's example",
        "benchmarks.peers.run_inference",
        "beam",
        most_rows=200_000,
    ),
}
