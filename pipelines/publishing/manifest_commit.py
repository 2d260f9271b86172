"""Publication on an object store, where the manifest alone makes a run visible.

A store has neither locks nor renames, but it can write an object only if there is none of its name,
or only if it is still the one that was read. Everything rests on three such writes:

1. *The verdict.* A publishing step records once whether its attempt is published or held; a step
   that is retried, or wakes up late, reads it. Whoever wants to sweep an attempt away must first
   win its verdict ("abandoned"), so that the attempt can't be published afterwards.
2. *The copies.* Shards are published under names that hold the attempt's, so that two attempts
   never write the same object, and no published object is ever overwritten.
3. *The manifest* is written when all copies are there, and only if there is none, or under
   ``--replace`` only if it is still the one that this attempt saw when it began.

A verdict is carried out by anybody, any number of times, with the same end: the step, its retries,
and later runs, whatever their ids, which find an attempt whose lease says that it is dead
(`leases`). An attempt that finds the manifest taken withdraws: its copies go, then its staging.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import re
import sys
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from penguin_model.errors import ConflictError, DamagedError, RunExistsError
from pipelines import layout, objects, storage
from pipelines.layout import Layout
from pipelines.objects import Object, Objects
from pipelines.publishing import leases
from pipelines.publishing.commit import Decision

_PUBLISH = "publish"
_HOLD = "hold"
_ABANDONED = "abandoned"

# What an attempt has in its staging beside its shards.
_LEASE = "lease.json"
_DECISION = "decision.json"
_VERDICT = "verdict.json"
_CLAIM = "claim-"
# Of the attempt's name: 48 bits of it are random enough.
_IN_NAMES = 12
_SHARD = re.compile(rf"part-([0-9a-f]{{{_IN_NAMES}}})-\d+\.parquet")
_MOST_CLAIM_SECONDS = leases.DEAD_SECONDS + 60
_CLAIM_WAIT_SECONDS = 0.5


class _Lost(Exception):
    """An attempt can't be published any more, whatever its verdict.

    Attributes:
      error: what its job ends with.
    """

    def __init__(self, error: ConflictError | RunExistsError) -> None:
        super().__init__(str(error))
        self.error = error


class _Verdict(NamedTuple):
    """What becomes of an attempt.

    Attributes:
      status: ``publish``, ``hold`` or ``abandoned``.
      replace: whether a published run may be replaced.
      seen: the etag of the manifest that may be; None if there was none.
      checked: whether it rests on a check of what other runs have published.
    """

    status: str
    replace: bool = False
    seen: str | None = None
    checked: bool = False


class _Copy(NamedTuple):
    """A shard to be copied: from where, to where, and its bytes."""

    source: str
    target: str
    bytes: int


class ManifestCommit:
    """Publication of one attempt below the root of an object store.

    Args:
      paths: the attempt's.
    """

    def __init__(self, paths: Layout) -> None:
        self._paths = paths
        self._store = objects.of(paths.output)

    @contextlib.contextmanager
    def attempt(self, *, hands_over: bool = False) -> Iterator[None]:
        """See `Commit`."""
        with self._living(watched=not hands_over):
            try:
                yield
            except BaseException:
                self.finish()
                raise
            if not hands_over:
                self.finish()

    def finish(self) -> None:
        """See `Commit`."""
        with storage.writing(self._paths.output):
            _settle(_Attempt(self._paths, self._store.list(self._paths.staging)), self._store)

    def refuse_published(self) -> None:
        """See `Commit`."""
        with storage.writing(self._paths.manifest):
            if self._store.read(self._paths.manifest) is not None:
                raise _exists(self._paths)

    def read_outcome(self) -> dict[str, Any] | None:
        """See `Commit`."""
        for path in (self._paths.manifest, self._paths.held_manifest):
            with storage.writing(path):
                manifest = _read_manifest(path, self._store)
            if manifest is not None and manifest.get("attempt") == self._paths.attempt:
                return manifest
        return None

    def published_names(self, count: int) -> list[str]:
        """See `Commit`; the names are unlike those of any other attempt."""
        return layout.numbered_names(count, self._paths.attempt[:_IN_NAMES])

    def decide(self, make: Callable[[], Decision]) -> Decision:
        """See `Commit`."""
        path = storage.join(self._paths.staging, _DECISION)
        with storage.writing(path):
            found = self._store.read(path)
        if found is None:
            content = make().to_json().encode()
            with storage.writing(path):
                _need_lease(self._paths, self._store)
                self._store.create(path, content)
                found = self._store.read(path)
        if found is None:
            raise _swept(self._paths)
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
          ConflictError: another attempt replaced the run, took this one for dead, or keeps its
            claim for too long.
        """
        with storage.writing(self._paths.manifest):
            if self._read_verdict() is None:
                seen = _need_lease(self._paths, self._store)["seen"]
                verdict = _Verdict(_PUBLISH, replace, seen, checked=check is not None)
                with contextlib.ExitStack() as claimed:
                    if check is not None:
                        claimed.enter_context(_claimed(self._paths, self._store))
                        check([shard.path for shard in decision.shards[layout.FILES]])
                    self._record(verdict)
            self._carry_out(decision)

    def hold(self, decision: Decision) -> None:
        """See `Commit`."""
        with storage.writing(self._paths.held):
            if self._read_verdict() is None:
                _need_lease(self._paths, self._store)
                self._record(_Verdict(_HOLD))
            self._carry_out(decision)

    def _read_verdict(self) -> _Verdict | None:
        return _read_verdict(self._paths, self._store)

    def _record(self, verdict: _Verdict) -> None:
        path = storage.join(self._paths.staging, _VERDICT)
        self._store.create(path, _json(verdict._asdict()))

    def _carry_out(self, decision: Decision) -> None:
        verdict = self._read_verdict()
        if verdict is None or verdict.status == _ABANDONED:
            raise _swept(self._paths)
        error = _carry_out(self._paths, verdict, decision, self._store)
        if error is not None:
            raise error

    @contextlib.contextmanager
    def _living(self, *, watched: bool) -> Iterator[None]:
        """Settles what dead attempts left, and keeps this one's lease while the body runs."""
        paths, store = self._paths, self._store
        path = storage.join(paths.staging, _LEASE)
        process = leases.this_process() if watched else None
        lease = {"process": process, "watched": watched, "seen": None}
        try:
            with storage.writing(paths.output):
                store.create(path, _json(lease))
                lacks = store.lacks_conditions(path)
                _recover(paths, store)
                # From now on, the manifest that is there is the one that this run may replace.
                seen = store.read(paths.manifest)
                content = _json(lease | {"seen": seen.etag if seen else None})
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
            # What the store refuses now it may take in a minute.
            with contextlib.suppress(*storage.ERRORS):
                return store.replace(path, content, etag)
            return True

        with leases.renewed(renew) if watched else contextlib.nullcontext():
            yield


@dataclasses.dataclass(frozen=True)
class _Attempt:
    """One attempt as a listing of the staging shows it."""

    paths: Layout
    found: Sequence[Object]

    def modified(self, name: str) -> float:
        """When one of its own objects was written last; 0 if there is none."""
        path = storage.join(self.paths.staging, name)
        return next((each.modified for each in self.found if each.path == path), 0)

    def has(self, name: str) -> bool:
        """Whether one of its own objects is there."""
        return any(each.path == storage.join(self.paths.staging, name) for each in self.found)

    @property
    def newest(self) -> float:
        """When any of its objects was written last."""
        return max(each.modified for each in self.found)

    @property
    def claims(self) -> list[str]:
        """The claims of its publishing steps."""
        prefix = storage.join(self.paths.staging, _CLAIM)
        return [each.path for each in self.found if each.path.startswith(prefix)]


def _carry_out(
    paths: Layout, verdict: _Verdict, decision: Decision, store: Objects
) -> ConflictError | RunExistsError | None:
    """Carries a verdict out; of an attempt that lost, deletes the copies and returns the reason."""
    held = verdict.status == _HOLD
    visible = paths.held_manifest if held else paths.manifest
    copies = [
        _Copy(shard.path, storage.join(_target(paths, dataset, held=held), shard.name), shard.bytes)
        for dataset, shards in decision.shards.items()
        for shard in shards
    ]
    try:
        owner = _owner(visible, store)
        if owner is not None and owner != paths.attempt and not (held or verdict.replace):
            # Found out before readers that go by folders see any copy.
            raise _Lost(_exists(paths))
        if owner != paths.attempt:
            folders = {copy.target.rpartition("/")[0] for copy in copies}
            _copy(paths, folders, copies, store)
            _write_manifest(paths, verdict, _json(decision.manifest), store)
    except _Lost as lost:
        # Another may have finished this attempt in the meantime, and removed what it needs.
        owner = _owner(visible, store)
        if owner == "":
            raise DamagedError(f"{visible} is damaged; move it away, or restore it") from lost
        if owner != paths.attempt:
            store.delete(copy.target for copy in copies)
            return lost.error
    # Readers see the new run: what else is here, the old one first of all, can go.
    mine = {visible, *(copy.target for copy in copies)}
    if not held:
        _sweep_run(paths, mine, store)
    store.delete(each.path for each in store.list(paths.held) if each.path not in mine)
    return None


def _target(paths: Layout, dataset: str, *, held: bool) -> str:
    return storage.join(paths.held, dataset) if held else paths.published(dataset)


def _copy(paths: Layout, folders: Collection[str], copies: Sequence[_Copy], store: Objects) -> None:
    """Makes the copies that are missing, and looks whether all are there."""

    def missing() -> list[_Copy]:
        there = {each.path: each.size for each in _list(paths, folders, store)}
        return [copy for copy in copies if there.get(copy.target) != copy.bytes]

    left = missing()
    if left:
        staged = {each.path for each in store.list(paths.staging)}
        if not all(copy.source in staged for copy in left):
            raise _Lost(_swept(paths))
        storage.for_each(paths.output, lambda copy: store.copy(copy.source, copy.target), left)
        if missing():
            raise _Lost(_swept(paths))


def _write_manifest(paths: Layout, verdict: _Verdict, content: bytes, store: Objects) -> None:
    if verdict.status == _HOLD:
        store.put(paths.held_manifest, content)
    elif not verdict.replace:
        if not store.create(paths.manifest, content):
            raise _Lost(_exists(paths))
    elif not (
        store.replace(paths.manifest, content, verdict.seen)
        if verdict.seen
        else store.create(paths.manifest, content)
    ):
        raise _Lost(
            ConflictError(
                f"run {paths.run_id} was published or replaced by another attempt while this one "
                "worked; that one stands, start this one again to replace it"
            )
        )


def _exists(paths: Layout) -> RunExistsError:
    return RunExistsError(
        f"run {paths.run_id} is published already ({paths.manifest}); "
        "choose another --run_id, or give --replace"
    )


def _swept(paths: Layout) -> ConflictError:
    return ConflictError(
        f"run {paths.run_id}: another run took this attempt for dead and removed its staged "
        "shards; nothing is published, start it again"
    )


def _settle(found: _Attempt, store: Objects) -> None:
    """Ends an attempt that nobody works on, by its verdict; one that has none is abandoned.

    Only what the listing shows is deleted: if the attempt is alive after all, what it wrote since
    stays.
    """
    paths = found.paths
    lease, decision, last = (
        storage.join(paths.staging, name) for name in (_LEASE, _DECISION, _VERDICT)
    )
    store.create(last, _json(_Verdict(_ABANDONED)._asdict()))
    verdict = _read_verdict(paths, store)
    decided = store.read(decision)
    # Without a decision, the end of the attempt has been interrupted.
    if verdict is not None and verdict.status != _ABANDONED and decided is not None:
        _carry_out(paths, verdict, Decision.from_json(decided.content), store)
    # The verdict goes last, so that until then nothing can come of the attempt.
    store.delete(each.path for each in found.found if each.path not in (lease, last))
    store.delete([lease])
    store.delete([last])


def _recover(mine: Layout, store: Objects) -> None:
    """Settles what dead attempts left, whatever their run, and deletes what nobody owns."""
    folders = [storage.join(mine.output, dataset) for dataset in layout.DATASETS]
    published = _list(mine, folders, store)
    staged = _list_attempts(mine.output, store)
    now = staged[mine.staging].modified(_LEASE) if mine.staging in staged else 0
    for found in staged.values():
        if found.paths.staging != mine.staging and _is_dead(found, store, now):
            # A damaged manifest of another run is in nobody's way but that run's.
            with contextlib.suppress(DamagedError):
                _settle(found, store)
    alive = {(each.paths.run_id, each.paths.attempt[:_IN_NAMES]) for each in staged.values()}
    orphans: dict[str, list[Object]] = {}
    for each in published:
        run_id, name = _place(each.path)
        if name and (run_id, name) not in alive and 0 < each.modified < now - leases.DEAD_SECONDS:
            orphans.setdefault(run_id, []).append(each)
    _sweep_orphans(mine, orphans, store)


def _sweep_orphans(mine: Layout, suspects: Mapping[str, list[Object]], store: Objects) -> None:
    """Deletes the shards of each run that its manifest doesn't own."""
    if not suspects:
        return
    # Manifests take a request each: most runs show by their names alone that all is well.
    runs = {each.path for each in store.list(storage.join(mine.output, "runs"))}
    for run_id, listed in suspects.items():
        paths = dataclasses.replace(mine, run_id=run_id)
        if paths.manifest in runs and len({_place(each.path)[1] for each in listed}) == 1:
            continue
        owner = _owner(paths.manifest, store)
        # What a damaged manifest owns, nobody knows.
        if owner != "":
            kept = (owner or "none")[:_IN_NAMES]
            store.delete(each.path for each in listed if _place(each.path)[1] != kept)


def _sweep_run(paths: Layout, mine: Collection[str], store: Objects) -> None:
    """Deletes all shards of a published run's folders but its own, and those of live attempts.

    In this order: what is listed before the stagings, and has none, was published or left earlier
    than the manifest that is read at last.
    """
    listed = [each.path for each in _list(paths, map(paths.published, layout.DATASETS), store)]
    others = [path for path in listed if path not in mine]
    if not others:
        return
    alive = {
        each.paths.attempt[:_IN_NAMES]
        for each in _list_attempts(paths.output, store, paths.run_id).values()
    }
    if _owner(paths.manifest, store) == paths.attempt:
        store.delete(path for path in others if _place(path)[1] not in alive)


@contextlib.contextmanager
def _claimed(paths: Layout, store: Objects) -> Iterator[None]:
    """Runs the body, a check and its verdict, while no other attempt checks or is publishing.

    Each first shows its claim and then looks for others; of two, at least one sees the other. Who
    sees one withdraws and tries again.

    Raises:
      ConflictError: another attempt kept its claim for too long.
    """
    end = time.monotonic() + _MOST_CLAIM_SECONDS
    while True:
        claim = storage.join(paths.staging, f"{_CLAIM}{uuid.uuid4().hex}.json")
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
    """Another attempt that checks, or that publishes what it has checked; dead ones are settled."""
    staged = _list_attempts(paths.output, store)
    mine = staged.pop(paths.staging, None)
    now = next((each.modified for each in mine.found if each.path == claim), 0.0) if mine else 0.0
    for found in staged.values():
        if not found.claims:
            verdict = _read_verdict(found.paths, store)
            if verdict is None or not (verdict.status == _PUBLISH and verdict.checked):
                continue
            if _owner(found.paths.manifest, store) == found.paths.attempt:
                # All that it publishes is in the ledger.
                continue
        if not _is_dead(found, store, now):
            return found.paths
        _settle(found, store)
    return None


def _is_dead(found: _Attempt, store: Objects, now: float) -> bool:
    lease = _read_lease(found.paths, store)
    if lease is None and found.has(_VERDICT):
        # Its end has been interrupted: the lease goes right before the verdict.
        return True
    return bool(now) and leases.is_dead(
        lease, renewed=found.modified(_LEASE), newest=found.newest, now=now
    )


def _list_attempts(output: str, store: Objects, run_id: str = "") -> dict[str, _Attempt]:
    """All attempts that have something in the staging, by their folders."""
    every = Layout(output=output, run_id=run_id, attempt="")
    found: dict[str, list[Object]] = {}
    for each in store.list(every.run_staging if run_id else every.all_staging):
        parts = each.path.removeprefix(f"{every.all_staging}/").split("/")
        if len(parts) > 2:
            found.setdefault("/".join(parts[:2]), []).append(each)
    attempts = [
        _Attempt(
            dataclasses.replace(every, run_id=key.split("/")[0], attempt=key.split("/")[1]), of
        )
        for key, of in found.items()
    ]
    return {each.paths.staging: each for each in attempts}


def _list(paths: Layout, folders: Iterable[str], store: Objects) -> list[Object]:
    """All objects below some folders."""
    listed = storage.for_each(paths.output, store.list, folders)
    return [each for found in listed for each in found]


def _place(path: str) -> tuple[str, str]:
    """The run id of a published shard, and the attempt in its name; empty if it is none of ours."""
    *_, folder, name = path.split("/")
    found = _SHARD.fullmatch(name)
    return folder.removeprefix("run_id="), found[1] if found else ""


def _read_manifest(path: str, store: Objects) -> dict[str, Any] | None:
    """A manifest as it is; None if there is none, an empty one if it is damaged."""
    found = store.read(path)
    if found is None:
        return None
    try:
        manifest = json.loads(found.content)
    except (ValueError, RecursionError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _owner(path: str, store: Objects) -> str | None:
    """The attempt that wrote a manifest; None if there is none, empty if it doesn't say."""
    manifest = _read_manifest(path, store)
    return None if manifest is None else str(manifest.get("attempt", ""))


def _read_lease(paths: Layout, store: Objects) -> dict[str, Any] | None:
    found = store.read(storage.join(paths.staging, _LEASE))
    return None if found is None else dict(json.loads(found.content))


def _need_lease(paths: Layout, store: Objects) -> dict[str, Any]:
    """Reads an attempt's lease; without one it was swept away, and its staging must stay gone."""
    lease = _read_lease(paths, store)
    if lease is None:
        raise _swept(paths)
    return lease


def _read_verdict(paths: Layout, store: Objects) -> _Verdict | None:
    found = store.read(storage.join(paths.staging, _VERDICT))
    return None if found is None else _Verdict(**json.loads(found.content))


def _json(value: Mapping[str, Any]) -> bytes:
    return (json.dumps(value, indent=2) + "\n").encode()
