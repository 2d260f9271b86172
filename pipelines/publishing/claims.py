"""Claims: how runs that check the ledger before publishing take turns."""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from collections.abc import Iterator

from pipelines import storage
from pipelines.errors import ConflictError
from pipelines.publishing import leases
from pipelines.publishing.attempts import (
    CLAIM,
    PUBLISH,
    is_dead,
    list_attempts,
    read_owner,
    read_verdict,
)
from pipelines.publishing.verdicts import settle
from pipelines.runs.layout import Layout
from pipelines.storage.objects import Objects

_MOST_CLAIM_SECONDS = leases.DEAD_SECONDS + 60
_CLAIM_WAIT_SECONDS = 0.5


@contextlib.contextmanager
def claimed(paths: Layout, store: Objects) -> Iterator[None]:
    """Runs the body, a check and its verdict, while no other attempt is checking or publishing.

    Each attempt writes its claim before it looks for others, so at least one of two sees the other.
    An attempt that sees another withdraws its claim and retries.

    Raises:
      ConflictError: another attempt held its claim for too long.
    """
    end = time.monotonic() + _MOST_CLAIM_SECONDS
    while True:
        claim = storage.join(paths.staging, f"{CLAIM}{uuid.uuid4().hex}.json")
        store.put(claim, b"{}\n")
        try:
            other = _find_claim(paths, claim, store)
            if other is None:
                yield
                return
        finally:
            store.delete([claim])
        if time.monotonic() > end:
            raise ConflictError(
                f"run {other.run_id} has been publishing for {_MOST_CLAIM_SECONDS} s, and may "
                "publish the same files; nothing is published, start this run again after it"
            )
        time.sleep(_CLAIM_WAIT_SECONDS * (1 + random.random()))


def _find_claim(paths: Layout, claim: str, store: Objects) -> Layout | None:
    """Finds another attempt that is checking, or publishing after a check; settles dead ones."""
    staged = list_attempts(paths.output, store)
    mine = staged.pop(paths.staging, None)
    now = next((each.modified for each in mine.found if each.path == claim), 0.0) if mine else 0.0
    for found in staged.values():
        if not found.claims:
            verdict = read_verdict(found.paths, store)
            if verdict is None or not (verdict.status == PUBLISH and verdict.checked):
                continue
            if read_owner(found.paths.manifest, store) == found.paths.attempt:
                # Everything it publishes is in the ledger.
                continue
        if not is_dead(found, store, now):
            return found.paths
        settle(found, store)
    return None
