"""Ray Data: map_batches with a pool of two actors on two CPUs.

Arrow batches as large as the network likes them, one thread of TensorFlow in each actor. An actor
asks for half a CPU, so that one is left for the task that reads; Ray starts nothing else.
"""

import os
import secrets
import shutil
import tempfile

import pyarrow as pa

from benchmarks.peers.common import (
    BATCH_ROWS,
    FEATURES,
    KEY,
    answer_table,
    arguments,
    compiled,
    normalize,
)

WORKERS = 2
# By default a block may have 128 MiB: one actor would have all the rows of a file of millions.
BLOCK_BYTES = 16 << 20


class Classifier:
    """The network, loaded once in each actor."""

    def __init__(self, model_path: str) -> None:
        self._network = compiled(model_path, threads=1)

    def __call__(self, batch: pa.Table) -> pa.Table:
        columns = [batch[name].to_numpy() for name in FEATURES]
        return answer_table(KEY, batch[KEY], self._network(normalize(columns)))


def main() -> None:
    """Scores one file."""
    given = arguments(__doc__)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # Ray listens on loopback only where it believes that there can be no cluster.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    # Else Ray would make a token and keep it in the home directory.
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    import ray

    logs = tempfile.mkdtemp(prefix="ray-")
    ray.init(
        num_cpus=WORKERS,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=logs,
    )
    try:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.target_max_block_size = BLOCK_BYTES
        if given.input.endswith(".parquet"):
            rows = ray.data.read_parquet(given.input).select_columns([KEY, *FEATURES])
        else:
            rows = ray.data.read_csv(given.input)
        rows.map_batches(
            Classifier,
            fn_constructor_args=(os.path.abspath(given.model),),
            batch_format="pyarrow",
            batch_size=BATCH_ROWS,
            compute=ray.data.ActorPoolStrategy(size=WORKERS),
            num_cpus=0.5,
        ).write_parquet(given.output)
    finally:
        ray.shutdown()
        shutil.rmtree(logs, ignore_errors=True)


if __name__ == "__main__":
    main()
