"""Publication on an object store, where the manifest alone makes a run visible.

A store has neither locks nor renames, but it can write an object only if none of that name exists,
or only if the object is still the one that was read. Everything depends on three such writes:

1. *The verdict.* A publishing step records once whether its attempt is published or held; a step
   that is retried or delayed reads it. Whoever wants to sweep an attempt away must first write its
   verdict ("abandoned"), so that the attempt can't be published afterwards.
2. *The copies.* Names of published shards contain the attempt's name, so two attempts never write
   the same object, and no published object is ever overwritten.
3. *The manifest* is written once all copies exist, and only if there is none, or under
   ``--replace`` only if it is still the one that this attempt saw when it began.

Anyone can carry out a verdict, any number of times, with the same result: the step, its retries,
and later runs with any id that find an attempt whose lease shows that it is dead (`leases`). An
attempt that finds the manifest taken withdraws: its copies are deleted, then its staging.

`attempts` reads staging, `verdicts` carries verdicts out, and `claims` makes `--new_only` runs take
turns.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence

from pipelines import storage
from pipelines.errors import DamagedError
from pipelines.publishing import leases, verdicts
from pipelines.publishing.attempts import (
    ABANDONED,
    CLOSE,
    DECISION,
    HOLD,
    IN_NAMES,
    LEASE,
    PUBLISH,
    VERDICT,
    Attempt,
    Verdict,
    as_json,
    is_dead,
    list_all,
    list_attempts,
    need_lease,
    place,
    read_owner,
    read_verdict,
    swept,
)
from pipelines.publishing.claims import claimed
from pipelines.publishing.commit import (
    Decision,
    PlacedShard,
    at_work,
    exists_already,
    finishing,
    replaced_meanwhile,
    was_closed,
)
from pipelines.publishing.verdicts import settle
from pipelines.runs import layout
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest, manifest_bytes, manifest_owner, parse_manifest
from pipelines.storage import objects
from pipelines.storage.objects import Object, Objects


class ManifestCommit:
    """Publication of one attempt below the root of an object store.

    Args:
      paths: the attempt's paths.
    """

    def __init__(self, paths: Layout) -> None:
        self._paths = paths
        self._store = objects.of(paths.output)

    @contextlib.contextmanager
    def attempt(self, *, waits_for_end: bool = True) -> Iterator[None]:
        """See `Commit`."""
        with (
            self._living(watched=waits_for_end),
            finishing(self, waits_for_end=waits_for_end),
        ):
            yield

    def finish(self) -> None:
        """See `Commit`."""
        with storage.writing(self._paths.output):
            settle(Attempt(self._paths, self._store.list(self._paths.staging)), self._store)

    def refuse_published(self) -> None:
        """See `Commit`."""
        with storage.writing(self._paths.manifest):
            if self._store.read(self._paths.manifest) is not None:
                raise exists_already(self._paths)
        closed = self._paths.closed_manifest
        with storage.writing(closed):
            found = self._store.read(closed)
        if found is not None:
            manifest = None
            with contextlib.suppress(DamagedError):
                manifest = parse_manifest(closed, found.content)
            raise was_closed(self._paths, manifest)

    def read_outcome(self) -> Manifest | None:
        """See `Commit`."""
        for path in (self._paths.manifest, self._paths.held_manifest):
            with storage.writing(path):
                found = self._store.read(path)
            if found is not None and manifest_owner(found.content) == self._paths.attempt:
                return parse_manifest(path, found.content)
        return None

    def published_names(self, count: int) -> list[str]:
        """See `Commit`; the names differ from those of any other attempt."""
        return layout.numbered_names(count, self._paths.attempt[:IN_NAMES])

    def decide(self, make: Callable[[], Decision]) -> Decision:
        """See `Commit`."""
        path = storage.join(self._paths.staging, DECISION)
        with storage.writing(path):
            found = self._store.read(path)
        if found is None:
            content = make().to_json().encode()
            with storage.writing(path):
                need_lease(self._paths, self._store)
                self._store.create(path, content)
                found = self._store.read(path)
        if found is None:
            raise swept(self._paths)
        return Decision.from_json(found.content)

    def make_visible(
        self,
        decision: Decision,
        *,
        replace: bool,
        check: Callable[[Sequence[str]], None] | None,
    ) -> None:
        """See `Commit`.

        Raises:
          ConflictError: another attempt replaced the run, took this one for dead, or held its claim
            for too long.
        """
        with storage.writing(self._paths.manifest):
            if self._read_verdict() is None:
                seen = need_lease(self._paths, self._store)["seen"]
                verdict = Verdict(PUBLISH, replace, seen, checked=check is not None)
                with contextlib.ExitStack() as claims:
                    if check is not None:
                        claims.enter_context(claimed(self._paths, self._store))
                        check([shard.path for shard in decision.shards[layout.FILES]])
                    self._record(verdict)
            self._carry_out(decision)

    def hold(self, decision: Decision) -> None:
        """See `Commit`."""
        with storage.writing(self._paths.held):
            if self._read_verdict() is None:
                need_lease(self._paths, self._store)
                self._record(Verdict(HOLD))
            self._carry_out(decision)

    def adopt(self, dataset: str, folder: str, names: Sequence[str]) -> tuple[PlacedShard, ...]:
        """See `Commit`: they are copied from where they are when the run is published."""
        with storage.writing(folder):
            sizes = {each.path: each.size for each in self._store.list(folder)}
        paths = [storage.join(folder, name) for name in names]
        return tuple(
            PlacedShard(path, name, 0, sizes.get(path, 0))
            for path, name in zip(paths, names, strict=True)
        )

    def close(self, decision: Decision, check: Callable[[], None]) -> None:
        """See `Commit`."""
        with storage.writing(self._paths.closed):
            if self._read_verdict() is None:
                need_lease(self._paths, self._store)
                check()
                self._record(Verdict(CLOSE))
            self._carry_out(decision)

    def rewrite(self, manifest: Manifest, check: Callable[[], None]) -> None:
        """See `Commit`."""
        path = self._paths.held_manifest if manifest.is_held else self._paths.manifest
        with storage.writing(path):
            found = self._store.read(path)
            check()
            if found is None or not self._store.replace(path, manifest_bytes(manifest), found.etag):
                raise replaced_meanwhile(self._paths)

    def refuse_others(self) -> None:
        """See `Commit`."""
        with storage.writing(self._paths.staging):
            found = list_attempts(self._paths.output, self._store, self._paths.run_id)
            mine = found.pop(self._paths.staging, None)
            now = mine.modified(LEASE) if mine else 0
            if not all(is_dead(other, self._store, now) for other in found.values()):
                raise at_work(self._paths)

    def _read_verdict(self) -> Verdict | None:
        return read_verdict(self._paths, self._store)

    def _record(self, verdict: Verdict) -> None:
        path = storage.join(self._paths.staging, VERDICT)
        self._store.create(path, as_json(verdict._asdict()))

    def _carry_out(self, decision: Decision) -> None:
        verdict = self._read_verdict()
        if verdict is None or verdict.status == ABANDONED:
            raise swept(self._paths)
        error = verdicts.carry_out(self._paths, verdict, decision, self._store)
        if error is not None:
            raise error

    @contextlib.contextmanager
    def _living(self, *, watched: bool) -> Iterator[None]:
        """Settles what dead attempts left, and renews this attempt's lease while the body runs."""
        paths, store = self._paths, self._store
        path = storage.join(paths.staging, LEASE)
        process = leases.this_process() if watched else None
        # An attempt that is reviewed has one of this name again, which must differ.
        identity = uuid.uuid4().hex
        lease = {"process": process, "watched": watched, "seen": None, "id": identity}
        with storage.writing(paths.output):
            if not store.create(path, as_json(lease)):
                raise at_work(paths)
        try:
            with storage.writing(paths.output):
                lacks = store.lacks_conditions(path)
                _recover(paths, store)
                # From now on, this run may replace only the manifest that exists now.
                seen = store.read(paths.manifest)
                content = as_json(lease | {"seen": seen.etag if seen else None})
                store.put(path, content)
                written = store.read(path)
        except BaseException:
            with contextlib.suppress(*storage.ERRORS):
                store.delete([path])
            raise
        if lacks:
            print(
                f"penguin-score: note: {paths.output} {lacks}: don't let two runs publish to it at "
                "the same time",
                file=sys.stderr,
            )
        etag = written.etag if written else ""

        def renew() -> bool:
            # The store may accept in a minute what it refuses now.
            with contextlib.suppress(*storage.ERRORS):
                return store.replace(path, content, etag)
            return True

        with leases.renewed(renew) if watched else contextlib.nullcontext():
            yield


def _recover(mine: Layout, store: Objects) -> None:
    """Settles what dead attempts of any run left, and deletes what nobody owns."""
    folders = [storage.join(mine.output, dataset) for dataset in layout.DATASETS]
    published = list_all(mine, folders, store)
    staged = list_attempts(mine.output, store)
    now = staged[mine.staging].modified(LEASE) if mine.staging in staged else 0
    for found in staged.values():
        if found.paths.staging != mine.staging and is_dead(found, store, now):
            # A damaged manifest affects only its own run.
            with contextlib.suppress(DamagedError):
                settle(found, store)
    alive = {(each.paths.run_id, each.paths.attempt[:IN_NAMES]) for each in staged.values()}
    orphans: dict[str, list[Object]] = {}
    for each in published:
        run_id, name = place(each.path)
        if name and (run_id, name) not in alive and 0 < each.modified < now - leases.DEAD_SECONDS:
            orphans.setdefault(run_id, []).append(each)
    _sweep_orphans(mine, orphans, store)


def _sweep_orphans(mine: Layout, suspects: Mapping[str, list[Object]], store: Objects) -> None:
    """Deletes each run's shards that its manifest doesn't own."""
    if not suspects:
        return
    # Each manifest costs a request: for most runs, the names alone show that all is well.
    runs = {each.path for each in store.list(storage.join(mine.output, "runs"))}
    for run_id, listed in suspects.items():
        paths = dataclasses.replace(mine, run_id=run_id)
        if paths.manifest in runs and len({place(each.path)[1] for each in listed}) == 1:
            continue
        owner = read_owner(paths.manifest, store)
        # A damaged manifest doesn't say what it owns.
        if owner != "":
            kept = (owner or "none")[:IN_NAMES]
            store.delete(each.path for each in listed if place(each.path)[1] != kept)
