"""Publication on a store: whatever crashes when, readers of the manifest see complete runs.

The store is in memory and supports conditions; `test_s3.py` uses real ones.
"""

import contextlib
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pipelines.errors import ConflictError, PenguinError, RunExistsError
from pipelines.publishing import claims, leases, manifest_commit, verdicts
from pipelines.publishing.attempts import Verdict, list_attempts
from pipelines.publishing.commit import Decision, PlacedShard, describe
from pipelines.publishing.manifest_commit import ManifestCommit
from pipelines.runs import layout
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Status
from pipelines.storage import objects
from tests.support.publication import manifest_of
from tests.support.stores.memory import Memory

OUTPUT = "s3://results"
HOUR = 3600.0


class Crash(BaseException):
    """Simulates the end of the process, because no handler catches it."""


begun: list["Run"] = []


@pytest.fixture(autouse=True)
def _nothing_goes_on() -> Iterator[None]:
    yield
    while begun:
        begun.pop().die()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Memory:
    return use(monkeypatch, Memory())


def use(monkeypatch: pytest.MonkeyPatch, store: Memory) -> Memory:
    monkeypatch.setattr(objects, "of", lambda _: store)
    return store


class Run:
    """One attempt at a run, whose shards contain the attempt's name and number."""

    def __init__(
        self, store: Memory, run_id: str = "r", *, shards: int = 2, replace: bool = False,
        held: bool = False, waits_for_end: bool = True,
    ) -> None:  # fmt: skip
        self.store = store
        self.paths = Layout(output=OUTPUT, run_id=run_id, attempt=uuid.uuid4().hex)
        self.commit = ManifestCommit(self.paths)
        self.shards, self.replace, self.held = shards, replace, held
        self.waits_for_end = waits_for_end
        self.opened = contextlib.ExitStack()
        begun.append(self)

    def stage(self) -> None:
        for dataset in (layout.PREDICTIONS, layout.FILES):
            for number in range(self.shards):
                path = f"{self.paths.staged(dataset)}/{number}"
                self.store.put(path, f"{self.paths.attempt} {number}".encode())

    def make(self) -> Decision:
        shards = {}
        for dataset in layout.DATASETS:
            staged = self.store.list(self.paths.staged(dataset))
            names = self.commit.published_names(len(staged))
            shards[dataset] = [
                PlacedShard(each.path, name, 1, each.size)
                for each, name in zip(staged, names, strict=True)
            ]
        status = Status.HELD if self.held else Status.PUBLISHED
        manifest = manifest_of(self.paths, status=status, shards=describe(shards), new_only=False)
        return Decision(manifest=manifest, shards=shards)

    def step(self, check: Callable[[], None] | None = None) -> None:
        """Runs the publishing step."""
        decision = self.commit.decide(self.make)
        if self.held:
            self.commit.hold(decision)
        else:
            late = (lambda _: check()) if check else None
            self.commit.make_visible(decision, replace=self.replace, check=late)

    def begin(self) -> None:
        """Runs everything before the publishing step."""
        self.opened.enter_context(self.commit.attempt(waits_for_end=self.waits_for_end))
        if not self.replace:
            self.commit.refuse_published()
        self.stage()

    def end(self) -> None:
        self.opened.close()

    def finish(self, check: Callable[[], None] | None = None) -> PenguinError | None:
        """Runs the publishing step and the rest of a job; returns the error it ends with."""
        try:
            self.step(check)
        except PenguinError as error:
            with contextlib.suppress(PenguinError):
                self.opened.__exit__(type(error), error, error.__traceback__)
            return error
        self.end()
        return None

    def run(self) -> None:
        with self.commit.attempt():
            if not self.replace:
                self.commit.refuse_published()
            self.stage()
            self.step()

    def die(self) -> None:
        """The process is gone, and its `finally` never ran."""
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(ManifestCommit, "finish", lambda _: None)
            self.end()


@contextlib.contextmanager
def doomed() -> Iterator[None]:
    """Whatever begins in the body belongs to a process of this machine that has ended since."""
    with pytest.MonkeyPatch.context() as patched:
        gone = {"machine": leases._machine(), "pid": 2**22 + 1, "started": 1}
        patched.setattr(leases, "this_process", lambda: gone)
        yield


def seen(store: Memory, run_id: str = "r") -> str | None:
    """The attempt that a reader of the manifest sees; all its shards are complete."""
    paths = Layout(output=OUTPUT, run_id=run_id, attempt="")
    if paths.manifest not in store.content:
        return None
    manifest = json.loads(store.content[paths.manifest])
    for dataset in layout.DATASETS:
        for number, name in enumerate(manifest["shards"][dataset]["names"]):
            content = store.content[f"{paths.published(dataset)}/{name}"].decode()
            assert content == f"{manifest['attempt']} {number}"
    return str(manifest["attempt"])


def assert_clean(store: Memory) -> None:
    """Only complete runs are left: no staging, and no shard that no manifest names."""
    owned = set()
    for path, content in store.content.items():
        if path.startswith(f"{OUTPUT}/runs/"):
            manifest = json.loads(content)
            paths = Layout(output=OUTPUT, run_id=manifest["run_id"], attempt="")
            assert seen(store, manifest["run_id"]) == manifest["attempt"]
            owned.add(path)
            for dataset in layout.DATASETS:
                names = manifest["shards"][dataset]["names"]
                owned |= {f"{paths.published(dataset)}/{name}" for name in names}
    assert set(store.content) == owned


def crash_at(store: Memory, stop: int, *, after: bool) -> Callable[[], int]:
    """Ends the process before or after the stop-th change; reports how many there were."""
    count = 0

    def step(_: str) -> None:
        nonlocal count
        count += 1
        if count == stop:
            raise Crash

    vars(store)["after" if after else "before"] = step
    return lambda: count


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("replace", [False, True], ids=["first", "replace"])
@pytest.mark.parametrize("again", ["retry", "the same", "--replace", "another"])
def test_a_crash_at_any_step_loses_and_mixes_nothing(
    monkeypatch: pytest.MonkeyPatch, after: bool, replace: bool, again: str
) -> None:
    """Crashes anywhere from the beginning of an attempt to its end."""
    published = set()
    for stop in range(1, 200):
        store = use(monkeypatch, Memory())
        old = Run(store, shards=3)
        if replace:
            old.run()
        new = Run(store, replace=replace)
        with pytest.MonkeyPatch.context() as patched, doomed():
            steps = crash_at(store, stop, after=after)
            # The end of the attempt may crash too; it isn't retried.
            patched.setattr(ManifestCommit, "finish", lambda _: None)
            crashed = True
            try:
                new.begin()
                new.step()
                new.end()
                patched.undo()
                new.commit.finish()
                crashed = False
            except Crash:
                pass
            if not crashed:
                assert steps() < stop
                break
            new.die()
            store.before = store.after = lambda _: None
        whole = {old.paths.attempt, new.paths.attempt} if replace else {None, new.paths.attempt}
        assert seen(store) in whole
        if again == "retry":
            try:
                new.step()
                new.commit.finish()
            except ConflictError:
                # It died before its lease said enough, or after its end.
                Run(store, run_id="s").run()
            assert_clean(store)
            continue
        later = Run(store, run_id="s" if again == "another" else "r", replace=again == "--replace")
        exists = False
        try:
            later.run()
        except RunExistsError:
            exists = True
        assert_clean(store)
        found = seen(store)
        if again == "another":
            assert seen(store, "s") == later.paths.attempt
            assert found in whole
        elif again == "--replace":
            assert found == later.paths.attempt
        else:
            assert exists == (found != later.paths.attempt)
            assert found in whole or (not replace and found == later.paths.attempt)
        published.add(found == new.paths.attempt)
    assert stop > 15
    assert again in ("retry", "--replace") or published == {True, False}


def test_a_run_is_published_with_one_copy_of_each_shard(
    store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = []
    copy = Memory.copy

    def note(store: Memory, source: str, target: str) -> None:
        copied.append(source)
        copy(store, source, target)

    monkeypatch.setattr(Memory, "copy", note)
    run = Run(store, shards=5)
    run.run()
    assert seen(store) == run.paths.attempt
    assert len(copied) == len(set(copied)) == 10
    assert_clean(store)


@pytest.mark.parametrize("replace", [False, True], ids=["first", "replace"])
def test_of_two_attempts_at_once_one_wins(store: Memory, replace: bool) -> None:
    if replace:
        Run(store, shards=4).run()
    both = [Run(store, shards=1 + n, replace=replace) for n in range(2)]
    for run in both:
        run.begin()
    ready = threading.Barrier(2, timeout=30)
    errors: dict[str, PenguinError | None] = {}

    def publish(run: Run) -> None:
        ready.wait()
        errors[run.paths.attempt] = run.finish()

    threads = [threading.Thread(target=publish, args=[run]) for run in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [attempt for attempt, error in errors.items() if error is None]
    (error,) = [error for error in errors.values() if error is not None]
    assert isinstance(error, ConflictError if replace else RunExistsError)
    assert seen(store) == winner
    assert_clean(store)


def test_an_attempt_that_lives_is_left_alone(store: Memory) -> None:
    alive = Run(store)
    alive.begin()
    before = dict(store.content)
    Run(store, run_id="s").run()
    assert {path: store.content.get(path) for path in before} == before
    # Even an attempt at the same run isn't disturbed; it is too late.
    Run(store).run()
    assert isinstance(alive.finish(), RunExistsError)
    assert_clean(store)


def test_a_dead_attempt_of_this_machine_is_swept_at_once(store: Memory) -> None:
    with doomed():
        dead = Run(store)
        dead.begin()
    Run(store, run_id="s").run()
    assert_clean(store)


@pytest.mark.parametrize(
    ("watched", "seconds", "swept"),
    [
        (True, leases.DEAD_SECONDS - 1, False),
        (True, leases.DEAD_SECONDS + 1, True),
        (False, leases.DEAD_SECONDS + 1, False),
        (False, leases.DEAD_UNWATCHED_SECONDS + 1, True),
    ],
)
def test_an_attempt_elsewhere_is_dead_when_its_lease_is_old(
    store: Memory, monkeypatch: pytest.MonkeyPatch, watched: bool, seconds: float, swept: bool
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            leases, "this_process", lambda: {"machine": "other", "pid": 1, "started": 1}
        )
        run = Run(store, waits_for_end=watched)
        run.begin()
    store.now += seconds
    Run(store, run_id="s").run()
    error = run.finish()
    assert isinstance(error, ConflictError) == swept
    # Only its publishing step ends an attempt that is handed over.
    run.commit.finish()
    assert_clean(store)
    assert (seen(store) is None) == swept


@pytest.mark.parametrize("written", [b"", b'{"process": {'])
def test_an_attempt_with_half_a_lease_is_dead_when_it_is_old(store: Memory, written: bytes) -> None:
    with doomed():
        dead = Run(store)
        dead.begin()
    (lease,) = [path for path in store.content if path.endswith("/lease.json")]
    store.put(lease, written)
    Run(store, run_id="s").run()
    assert lease in store.content
    store.now += leases.DEAD_SECONDS + 1
    Run(store, run_id="t").run()
    assert_clean(store)


def test_a_lease_is_renewed_while_it_is_there(
    store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RENEWED_SECONDS", 0.001)
    renewed, done = threading.Event(), threading.Event()
    replace = Memory._replace

    def note(store: Memory, path: str, content: bytes, etag: str) -> bool:
        store.now += 1
        renewed.set()
        return replace(store, path, content, etag)

    monkeypatch.setattr(Memory, "_replace", note)
    run = Run(store)
    run.begin()
    (lease,) = [path for path in store.content if path.endswith("/lease.json")]
    content = store.content[lease]
    assert renewed.wait(30)
    assert store.content[lease] == content
    store.delete([lease])
    (thread,) = [each for each in threading.enumerate() if each.name == "lease"]
    thread.join(30)
    # A removed attempt isn't recreated.
    assert lease not in store.content
    assert isinstance(run.finish(), ConflictError)
    assert_clean(store)
    del done


def test_a_step_that_wakes_up_after_the_sweep_publishes_nothing(store: Memory) -> None:
    """It has verified its shards, but they are gone when it decides."""
    with doomed():
        late = Run(store)
        late.begin()
    decision = late.make()
    Run(store, run_id="s").run()

    def make() -> Decision:
        return decision

    with pytest.raises(ConflictError, match="took this attempt for dead"):
        late.commit.decide(make)
    # The same, just after it has looked for its lease.
    lease = {"seen": None, "process": None, "watched": True}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(manifest_commit, "need_lease", lambda *_: lease)
        found = late.commit.decide(make)
        with pytest.raises(ConflictError, match="took this attempt for dead"):
            late.commit.make_visible(found, replace=False, check=None)
    Run(store, run_id="t").run()
    assert_clean(store)
    assert seen(store) is None


def test_a_step_that_goes_on_beside_a_later_run_changes_nothing(
    store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has decided; another run finishes it at each of its changes, and a third replaces it."""
    for replaced in (False, True):
        for stop in range(1, 50):
            store = use(monkeypatch, Memory())
            with doomed():
                slow = Run(store)
                slow.begin()
            decision = slow.commit.decide(slow.make)
            slow.commit._record(Verdict("publish"))
            last = slow.paths.attempt
            count = 0

            def between(
                _: str, store: Memory = store, stop: int = stop, replaced: bool = replaced
            ) -> None:
                nonlocal count, last
                count += 1
                if count != stop:
                    return
                store.before = lambda _: None
                Run(store, run_id="s").run()
                assert seen(store) == last
                if replaced:
                    later = Run(store, replace=True)
                    later.run()
                    last = later.paths.attempt

            store.before = between
            with contextlib.suppress(PenguinError, OSError):
                slow.commit.make_visible(decision, replace=False, check=None)
            if count < stop:
                break
            slow.commit.finish()
            assert seen(store) == last
            store.now += HOUR
            Run(store, run_id="t").run()
            assert_clean(store)
        assert stop > 4


def put_orphan(store: Memory, run_id: str, name: str, dataset: str = "predictions") -> str:
    path = f"{OUTPUT}/{dataset}/run_id={run_id}/{name}"
    store.put(path, b"orphan")
    return path


def test_shards_that_nobody_owns_are_swept_in_time(store: Memory) -> None:
    run = Run(store)
    run.run()
    damaged = {put_orphan(store, "torn", f"part-{digit * 12}-00000.parquet") for digit in "ab"}
    store.put(f"{OUTPUT}/runs/torn.json", b"")
    orphans = {
        put_orphan(store, "r", f"part-{'ab' * 6}-00000.parquet"),
        put_orphan(store, "gone", f"part-{'cd' * 6}-00007.parquet"),
    }
    # Shards as the first release named them, and files that aren't ours.
    others = {put_orphan(store, "old", "part-00000.parquet"), put_orphan(store, "r", "notes.txt")}
    Run(store, run_id="s").run()
    assert orphans | others < set(store.content)
    store.now += HOUR
    alive = Run(store, run_id="alive", waits_for_end=False)
    alive.begin()
    its = put_orphan(store, "alive", f"part-{alive.paths.attempt[:12]}-00000.parquet")
    store.now += HOUR
    Run(store, run_id="t").run()
    assert its in store.content
    assert not orphans & set(store.content)
    assert others | damaged < set(store.content)
    assert seen(store) == run.paths.attempt


def test_a_run_that_wins_leaves_nothing_else_in_its_folders(store: Memory) -> None:
    for replace in (False, True):
        for name in ("part-00003.parquet", f"part-{'ab' * 6}-00000.parquet"):
            put_orphan(store, "r", name, "rejects")
        Run(store, replace=replace).run()
        assert_clean(store)


def test_a_run_that_was_replaced_meanwhile_sweeps_nothing_of_the_new_one(
    store: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new run is listed, then ends, so its staging is gone when it is looked for."""
    late, new = Run(store), Run(store, replace=True)
    late.begin()
    late.step()
    new.begin()
    attempts = list_attempts

    def meanwhile(*arguments: Any) -> Any:
        monkeypatch.setattr(verdicts, "list_attempts", attempts)
        new.end()
        return attempts(*arguments)

    new.step()
    monkeypatch.setattr(verdicts, "list_attempts", meanwhile)
    verdicts.sweep_run(late.paths, [], store)
    assert seen(store) == new.paths.attempt


def test_a_held_run_is_kept_until_one_is_published(store: Memory) -> None:
    for shards in (3, 1):
        held = Run(store, held=True, shards=shards)
        held.run()
        prefix = f"{OUTPUT}/_held/r/"
        names = held.commit.published_names(shards)
        assert {path.removeprefix(prefix) for path in store.content} == {
            "manifest.json",
            *(f"{dataset}/{name}" for dataset in ("predictions", "files") for name in names),
        }
        outcome = held.commit.read_outcome()
        assert outcome is not None
        assert outcome.status == "held"
    Run(store).run()
    assert_clean(store)


def test_a_dead_run_that_was_held_is_kept_too(store: Memory) -> None:
    for stop in range(1, 50):
        with doomed():
            held = Run(store, held=True)
            held.begin()
            steps = crash_at(store, stop, after=False)
            with contextlib.suppress(Crash):
                held.step()
            held.die()
            store.before = lambda _: None
        Run(store, run_id="s").run()
        assert not any("/_staging/" in path for path in store.content)
        outcome = held.commit.read_outcome()
        kept = [path for path in store.content if "/_held/r/" in path]
        assert len(kept) == (5 if outcome else 0)
        if steps() < stop:
            break
        store.delete(kept)
        store.delete([path for path in store.content if path.endswith("/s.json")])
    assert stop > 5
    assert outcome is not None


@pytest.mark.parametrize("damage", [b"", b'{"attempt": ', b"[]", b"{}", b"\xff"])
def test_a_damaged_manifest_stops_its_own_run_alone(store: Memory, damage: bytes) -> None:
    with doomed():
        dead = Run(store)
        dead.begin()
        dead.commit._record(Verdict("publish"))
        dead.commit.decide(dead.make)
    path = dead.paths.manifest
    store.put(path, damage)
    Run(store, run_id="s").run()
    assert store.content[path] == damage
    with pytest.raises(PenguinError, match=r"runs/r\.json"):
        Run(store).run()
    Run(store, replace=True).run()
    Run(store, run_id="t").run()
    assert_clean(store)


def refuse_others(store: Memory) -> Callable[[], None]:
    """The check of a run that may only publish what no other run has published."""

    def check() -> None:
        if store.list(f"{OUTPUT}/runs"):
            raise ConflictError("another run published the file")

    return check


@pytest.fixture
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "_CLAIM_WAIT_SECONDS", 0.002)


def test_of_runs_that_check_at_once_one_publishes(
    monkeypatch: pytest.MonkeyPatch, hurry: None
) -> None:
    for _ in range(20):
        store = use(monkeypatch, Memory())
        runs = [Run(store, run_id=f"r{number}") for number in range(4)]
        for run in runs:
            run.begin()
        ready = threading.Barrier(len(runs), timeout=30)
        ended: list[PenguinError | None] = []

        def publish(
            run: Run, store: Memory = store, ready: Any = ready, ended: list[Any] = ended
        ) -> None:
            ready.wait()
            ended.append(run.finish(refuse_others(store)))

        threads = [threading.Thread(target=publish, args=[run]) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(store.list(f"{OUTPUT}/runs")) == 1
        assert sum(error is None for error in ended) == 1
        assert_clean(store)


@pytest.mark.parametrize("moment", ["checks", "publishes"])
def test_a_run_waits_while_another_checks_or_publishes(
    store: Memory, monkeypatch: pytest.MonkeyPatch, hurry: None, moment: str
) -> None:
    monkeypatch.setattr(claims, "_MOST_CLAIM_SECONDS", 0)
    first, second = Run(store, run_id="r"), Run(store, run_id="s")
    first.begin()
    second.begin()
    errors: list[PenguinError | None] = []

    def meanwhile(path: str = "") -> None:
        store.before = lambda _: None
        errors.append(second.finish(lambda: None))

    def at_manifest(path: str) -> None:
        if path == first.paths.manifest:
            meanwhile()

    if moment == "publishes":
        store.before = at_manifest
    assert first.finish(meanwhile if moment == "checks" else lambda: None) is None
    (error,) = errors
    assert isinstance(error, ConflictError)
    assert "run r has been publishing" in str(error)
    assert_clean(store)


@pytest.mark.parametrize("moment", ["checks", "publishes"])
def test_a_dead_run_is_not_waited_for(store: Memory, hurry: None, moment: str) -> None:
    with doomed():
        dead = Run(store, run_id="r")
        dead.begin()

    def crash(path: str = "") -> None:
        if moment == "checks" or path == dead.paths.manifest:
            # It doesn't take its claim back either.
            store.before = crash
            raise Crash

    later = Run(store, run_id="s")
    with pytest.MonkeyPatch.context() as patched:
        # It began before the other was dead.
        patched.setattr(leases, "has_ended", lambda _: False)
        later.begin()
    if moment == "publishes":
        store.before = crash
    with pytest.raises(Crash):
        dead.step(crash if moment == "checks" else lambda: None)
    store.before = lambda _: None
    error = later.finish(refuse_others(store))
    # What was decided is published, and counts.
    assert (error is None) == (moment == "checks")
    assert (seen(store) is None) == (moment == "checks")
    assert_clean(store)


def test_a_run_says_that_the_store_ignores_conditions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = use(monkeypatch, Memory(honours_conditions=False))
    Run(store).run()
    assert_clean(store)
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.startswith(f"penguin-score: note: {OUTPUT} ignores conditional writes")
    # What a look can detect still counts.
    with pytest.raises(RunExistsError):
        Run(store).run()
    Run(store, replace=True).run()
    assert_clean(store)
