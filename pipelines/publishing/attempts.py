"""Attempts on a store: the contents of their staging folders."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pipelines import storage
from pipelines.errors import ConflictError
from pipelines.publishing import leases
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import manifest_owner
from pipelines.storage.objects import Object, Objects

PUBLISH = "publish"
HOLD = "hold"
CLOSE = "close"
ABANDONED = "abandoned"

# What an attempt has in its staging folder besides its shards.
LEASE = "lease.json"
DECISION = "decision.json"
VERDICT = "verdict.json"
CLAIM = "claim-"
# Part of the attempt's name: 48 random bits are enough.
IN_NAMES = 12
_SHARD = re.compile(rf"part-([0-9a-f]{{{IN_NAMES}}})-\d+\.parquet")


class Verdict(NamedTuple):
    """The outcome of an attempt.

    Attributes:
      status: ``publish``, ``hold``, ``close`` or ``abandoned``.
      replace: whether a published run may be replaced.
      seen: the etag of the manifest that may be replaced; None if there was none.
      checked: whether it depends on a check of what other runs have published.
    """

    status: str
    replace: bool = False
    seen: str | None = None
    checked: bool = False


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One attempt, as a listing of the staging folder shows it."""

    paths: Layout
    found: Sequence[Object]

    def modified(self, name: str) -> float:
        """When the attempt's object of this name was last written; 0 if there is none."""
        path = storage.join(self.paths.staging, name)
        return next((each.modified for each in self.found if each.path == path), 0)

    def has(self, name: str) -> bool:
        """Whether the attempt has an object of this name."""
        return any(each.path == storage.join(self.paths.staging, name) for each in self.found)

    @property
    def newest(self) -> float:
        """When any of the attempt's objects was last written."""
        return max(each.modified for each in self.found)

    @property
    def claims(self) -> list[str]:
        """The claims of its publishing steps."""
        prefix = storage.join(self.paths.staging, CLAIM)
        return [each.path for each in self.found if each.path.startswith(prefix)]


def list_attempts(output: str, store: Objects, run_id: str = "") -> dict[str, Attempt]:
    """Lists all attempts that have anything in staging, by folder."""
    every = Layout(output=output, run_id=run_id, attempt="")
    found: dict[str, list[Object]] = {}
    for each in store.list(every.run_staging if run_id else every.all_staging):
        parts = each.path.removeprefix(f"{every.all_staging}/").split("/")
        if len(parts) > 2:
            found.setdefault("/".join(parts[:2]), []).append(each)
    attempts = [
        Attempt(dataclasses.replace(every, run_id=key.split("/")[0], attempt=key.split("/")[1]), of)
        for key, of in found.items()
    ]
    return {each.paths.staging: each for each in attempts}


def list_all(paths: Layout, folders: Iterable[str], store: Objects) -> list[Object]:
    """Lists all objects below some folders."""
    listed = storage.for_each(paths.output, store.list, folders)
    return [each for found in listed for each in found]


def place(path: str) -> tuple[str, str]:
    """The run id and attempt of a published shard, by its path; empty if the shard isn't ours."""
    *_, folder, name = path.split("/")
    found = _SHARD.fullmatch(name)
    return folder.removeprefix("run_id="), found[1] if found else ""


def is_dead(found: Attempt, store: Objects, now: float) -> bool:
    """Whether an attempt is dead; `now` is the store's time, 0 if unknown."""
    try:
        lease = read_lease(found.paths, store)
        if lease is None and found.has(VERDICT):
            # Its cleanup was interrupted: the lease is deleted just before the verdict.
            return True
    except ValueError:
        # Half-written, on a store that shows partial objects: only its age tells.
        lease = None
    return bool(now) and leases.is_dead(
        lease, renewed=found.modified(LEASE), newest=found.newest, now=now
    )


def read_owner(path: str, store: Objects) -> str | None:
    """The attempt that wrote a manifest; None if there is no manifest, empty if it doesn't say."""
    found = store.read(path)
    return None if found is None else manifest_owner(found.content)


def read_lease(paths: Layout, store: Objects) -> dict[str, Any] | None:
    """Reads an attempt's lease; None if there is none."""
    found = store.read(storage.join(paths.staging, LEASE))
    return None if found is None else dict(json.loads(found.content))


def need_lease(paths: Layout, store: Objects) -> dict[str, Any]:
    """Reads an attempt's lease; without one, it was swept and its staging must stay gone."""
    lease = read_lease(paths, store)
    if lease is None:
        raise swept(paths)
    return lease


def read_verdict(paths: Layout, store: Objects) -> Verdict | None:
    """Reads an attempt's verdict; None if there is none yet."""
    found = store.read(storage.join(paths.staging, VERDICT))
    return None if found is None else Verdict(**json.loads(found.content))


def swept(paths: Layout) -> ConflictError:
    """The error for an attempt whose staging another run removed."""
    return ConflictError(
        f"run {paths.run_id}: another run took this attempt for dead and removed its staged "
        "shards; nothing is published, start it again"
    )


def as_json(value: Mapping[str, Any]) -> bytes:
    """A mapping as the JSON that goes to the store."""
    return (json.dumps(value, indent=2) + "\n").encode()
