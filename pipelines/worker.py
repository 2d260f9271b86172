"""A Beam worker process of the local runner, quiet from its first line on."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time

from penguin_model import cli


def main() -> None:
    """Runs the worker; the runner has put its addresses into the environment."""
    verbose = "--quiet" not in sys.argv
    cli.quiet_libraries(verbose)
    if not verbose:
        # Beam resets the level; an error reaches the submitter by another way than the log.
        logging.disable(logging.CRITICAL)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


def _end_with_parent(parent: int) -> None:
    """Ends the process when the job that started it is gone, however that ended."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


if __name__ == "__main__":
    main()
