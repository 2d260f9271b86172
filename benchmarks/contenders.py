"""Who is compared: ours, the bare loop, and the peers, each with its command."""

from collections.abc import Sequence
from typing import NamedTuple

from benchmarks import environments
from benchmarks.peers.common import KEY

ALL_ROWS = 1 << 62
BASELINE = "bare-loop"
REFERENCE = "one-worker"
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

    def command(self, path: str, output: str) -> list[str]:
        """The command that scores one file; `output` is not there yet."""
        start = [environments.python_of(self.environment), "-m", self.module]
        if self.module == "pipelines.score":
            return [*start, "--input", path, "--output", output, "--run_id", "bench", *self.flags]
        return [*start, path, output, *self.flags]

    def predictions(self, output: str) -> str:
        """The file or folder where its predictions lie."""
        return f"{output}/predictions" if self.module == "pipelines.score" else output


CONTENDERS = {
    "copy": Contender("copy without a model", "benchmarks.peers.copy_columns", scores=False),
    BASELINE: Contender("bare loop", "benchmarks.bare_loop", key="source_row"),
    REFERENCE: Contender("ours, one worker", "pipelines.score", key="source_row", flags=ONE_WORKER),
    # A worker for each core is the default.
    "two-workers": Contender("ours, two workers", "pipelines.score", key="source_row"),
    "ray": Contender("Ray Data, two actors", "benchmarks.peers.ray_data", "ray"),
    "spark": Contender("Spark, two cores", "benchmarks.peers.spark_udf", "spark"),
    "naive": Contender("pandas, model.predict", "benchmarks.peers.naive", most_rows=500_000),
    "run-inference": Contender(
        "Beam's RunInference", "benchmarks.peers.run_inference", "beam", most_rows=200_000
    ),
}
