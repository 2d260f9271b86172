"""A Beam worker process of the local runner, quiet from its first line on."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from penguin_model import cli
from pipelines import detached


def main() -> None:
    """Runs the worker; the runner has put its addresses into the environment."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True, help="the submitter's process id")
    parser.add_argument("--quiet", action="store_true")
    flags, others = parser.parse_known_args()
    detached.watch_parent(flags.parent, lambda: os._exit(1))
    cli.quiet_libraries(not flags.quiet)
    if flags.quiet:
        # Beam resets the level; an error reaches the submitter by another way than the log.
        logging.disable(logging.CRITICAL)
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main([sys.argv[0], *others])


if __name__ == "__main__":
    main()
