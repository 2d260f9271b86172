"""A Beam worker process of the local runner, quiet from its first line on."""

from __future__ import annotations

import logging
import os
import sys

from penguin_model import cli
from pipelines import detached


def main() -> None:
    """Runs the worker; the runner has put its addresses into the environment."""
    verbose = "--quiet" not in sys.argv
    cli.quiet_libraries(verbose)
    if not verbose:
        # Beam resets the level; an error reaches the submitter by another way than the log.
        logging.disable(logging.CRITICAL)
    detached.watch_parent(lambda: os._exit(1))
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


if __name__ == "__main__":
    main()
