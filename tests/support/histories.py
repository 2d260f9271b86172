"""Nights, reviews and deaths in any order, and what must come of them: a plain model."""

import dataclasses
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import strategies as st

from pipelines import publishing
from pipelines.errors import PenguinError
from pipelines.publishing import publish
from pipelines.publishing.recovery import Attempt
from pipelines.runs import layout, ledger
from pipelines.runs.ledger import Fingerprint
from pipelines.runs.manifest import Manifest, Status, read_manifest
from tests.support.publication import (
    FILES,
    Crash,
    at_step,
    check_whole,
    decide_on,
    figures_of,
    new,
    stage,
)

Files = frozenset[Fingerprint]
MODEL = "0" * 64


@dataclasses.dataclass(frozen=True)
class Kept:
    """A run in one place.

    Attributes:
      files: the versions that it lists.
      new_only: whether it took only what was new.
      done: whether later nights take its files for done, unless it is held.
    """

    files: Files
    new_only: bool
    done: bool = True


@dataclasses.dataclass(frozen=True)
class State:
    """Every run of an output root by id, in each of the three places."""

    published: Mapping[str, Kept] = dataclasses.field(default_factory=dict)
    held: Mapping[str, Kept] = dataclasses.field(default_factory=dict)
    closed: Mapping[str, Kept] = dataclasses.field(default_factory=dict)

    def put(self, run_id: str, place: str, kept: Kept, *gone: str) -> "State":
        """With a run in one place, and no longer in others."""
        changed = dict(vars(self))
        for name in gone:
            changed[name] = {key: run for key, run in changed[name].items() if key != run_id}
        return State(**changed | {place: changed[place] | {run_id: kept}})

    def done(self) -> Files:
        closed = [run for run in self.closed.values() if run.done]
        return _all(*self.published.values(), *closed)

    def waiting(self, besides: str = "") -> Files:
        return _all(*(run for key, run in self.held.items() if key != besides)) - self.done()


def _all(*runs: Kept) -> Files:
    return frozenset().union(*(run.files for run in runs))


class Refused(Exception):
    """The model's word for an error that leaves everything as it was."""


@dataclasses.dataclass(frozen=True)
class Night:
    """A run over all files there are."""

    run_id: str
    new_only: bool
    held: bool
    replace: bool

    def expect(self, state: State, there: Files) -> State:
        if not self.replace and self.run_id in {*state.published, *state.closed}:
            raise Refused
        taken = there
        if self.new_only:
            taken = there - state.done() - state.waiting(self.run_id)
        if not taken:
            return state
        kept = Kept(taken, self.new_only)
        if self.held:
            return state.put(self.run_id, "held", kept, "closed")
        return state.put(self.run_id, "published", kept, "held", "closed")

    def act(self, output: Path, there: Files) -> None:
        publication = new(
            output, self.run_id, replace=self.replace, new_only=self.new_only,
            max_reject_fraction=0.0,
        )  # fmt: skip
        paths = publication.layout
        commit = publishing.of(paths)
        with commit.attempt():
            if not self.replace:
                commit.refuse_published()
            taken = there
            if self.new_only:
                known = ledger.look_up(paths.output, MODEL, there, run_id=self.run_id)
                taken = there - set(known.done) - set(known.waiting)
            if not taken:
                return
            files = sorted(taken)
            rows = [(path, size) for path, size, _ in files]
            shards = stage(paths, layout.PREDICTIONS, rows)
            shards += stage(paths, layout.FILES, [(*file, "read") for file in files], FILES)
            if self.held:
                shards += stage(paths, layout.REJECTS, rows[:1])
            counted = figures_of(files=len(rows), scored=len(rows), rejected=int(self.held))
            publish(publication, shards, counted)


@dataclasses.dataclass(frozen=True)
class Review:
    """A person's decision about a run.

    Attributes:
      which: picks one of the runs that it applies to, if there are any.
    """

    which: int
    status: Status
    files_done: bool = True
    as_baseline: bool = False
    run_id: str = "r"

    @property
    def place(self) -> str:
        takes_held = self.status in (Status.PUBLISHED, Status.REJECTED)
        return "held" if takes_held else "published"

    def on(self, state: State) -> "Review":
        """The review of a run that there is."""
        runs = sorted(getattr(state, self.place))
        return dataclasses.replace(self, run_id=runs[self.which % len(runs)]) if runs else self

    def expect(self, state: State, there: Files) -> State:
        found: Kept | None = getattr(state, self.place).get(self.run_id)
        if found is None:
            raise Refused
        if self.status is not Status.PUBLISHED:
            closed = dataclasses.replace(found, done=self.files_done)
            return state.put(self.run_id, "closed", closed, self.place)
        others = [run for key, run in state.published.items() if key != self.run_id]
        if found.new_only and found.files & _all(*others):
            raise Refused
        return state.put(self.run_id, "published", found, "held", "closed")

    def act(self, output: Path, there: Files) -> None:
        known = {"files_done": self.files_done, "as_baseline": self.as_baseline}
        decide_on(output, self.status, self.run_id, **known)


@dataclasses.dataclass(frozen=True)
class Write:
    """A new file, or another version of one."""

    name: str


@dataclasses.dataclass(frozen=True)
class Dying:
    """A night or a review whose process dies before or after a change of the disk.

    Attributes:
      when: at which change, in percent of all that the step would make.
    """

    step: Night | Review
    when: int
    after: bool


Step = Night | Review | Write | Dying
_RUN_IDS = st.sampled_from("rst")
_NIGHTS = st.builds(
    Night,
    run_id=_RUN_IDS,
    new_only=st.sampled_from([True, True, False]),
    held=st.booleans(),
    replace=st.booleans(),
)
_STATUSES = st.sampled_from([status for status in Status if status is not Status.HELD])
_REVIEWS = st.builds(Review, st.integers(0, 2), _STATUSES, st.booleans(), st.booleans())
_PERCENT = st.sampled_from(range(100))
_DEATHS = st.builds(Dying, _NIGHTS | _REVIEWS, _PERCENT, st.booleans())
_STEPS = st.one_of(st.builds(Write, st.sampled_from("abc")), _NIGHTS, _REVIEWS, _DEATHS, _DEATHS)
# There is something to decide about from the beginning.
_FIRST = st.sampled_from(
    [
        [],
        [Night("r", new_only=True, held=False, replace=False)],
        [Night("r", new_only=True, held=True, replace=False)],
    ]
)
HISTORIES = st.builds(list.__add__, _FIRST, st.lists(_STEPS, min_size=3, max_size=10))


def play(output: Path, steps: Iterable[Step]) -> None:
    """Takes steps on a local disk, and compares each outcome with the model's.

    A step whose process died has been taken wholly or not at all; which of the two shows when the
    next one that lives has recovered it.
    """
    versions = {"a": 1}
    possible = [State()]
    for step in (*steps, Night("last", new_only=True, held=False, replace=False)):
        if isinstance(step, Write):
            versions[step.name] = versions.get(step.name, 0) + 1
            continue
        there = frozenset((name, version, 0) for name, version in versions.items())
        taken = step.step if isinstance(step, Dying) else step
        if isinstance(taken, Review):
            taken = taken.on(possible[-1])
        outcomes = [_expect(taken, state, there) for state in possible]
        if isinstance(step, Dying):
            stop = 1 + step.when * _count(taken, output, there) // 100
            with mortal(stop, after=step.after):
                _try(taken.act, output, there)
            possible += [state for state, _ in outcomes]
            continue
        refused = _try(taken.act, output, there)
        found = read_state(output)
        assert (found, refused) in outcomes, taken
        check(output, found, there)
        possible = [found]


def _count(step: Night | Review, output: Path, there: Files) -> int:
    """How many changes of the disk a step makes, in a copy."""
    trial = output.with_name("trial")
    if output.exists():
        shutil.copytree(output, trial)
    with mortal(0, after=False) as changes:
        _try(step.act, trial, there)
    shutil.rmtree(trial, ignore_errors=True)
    return changes()


def _expect(step: Night | Review, state: State, there: Files) -> tuple[State, bool]:
    try:
        return step.expect(state, there), False
    except Refused:
        return state, True


def _try(act: Callable[[Path, Files], None], output: Path, there: Files) -> bool:
    """Whether a step is refused."""
    try:
        act(output, there)
    except PenguinError:
        return True
    return False


@contextmanager
def mortal(stop: int, *, after: bool) -> Iterator[Callable[[], int]]:
    """The process dies at the stop-th change of the disk in the body, and tidies nothing up."""
    dead = False

    def die() -> None:
        nonlocal dead
        dead = True
        raise Crash

    with pytest.MonkeyPatch.context() as patched:
        for name in ("end", "sweep"):
            work: Callable[[Attempt], None] = getattr(Attempt, name)
            alive: Any = lambda self, work=work: None if dead else work(self)  # noqa: E731
            patched.setattr(Attempt, name, alive)
        changes = at_step(patched, stop, die, after=after)
        with suppress(Crash):
            yield changes


def read_state(output: Path) -> State:
    """Reads where every run is; each has exactly what its manifest lists."""
    published = {}
    for path in output.glob("runs/*.json"):
        check_whole(output, path.stem)
        kept = _read(path, output / f"files/run_id={path.stem}")
        rows = _rows(output / f"predictions/run_id={path.stem}", "source_row")
        assert rows == sorted((name, version) for name, version, _ in kept.files)
        published[path.stem] = kept
    folders = {path.name.partition("=")[2] for path in output.glob("*/run_id=*")}
    assert folders <= set(published), "shards without a manifest"
    return State(published, _read_kept(output / "_held"), _read_kept(output / "_closed"))


def _read_kept(folder: Path) -> dict[str, Kept]:
    kept = {}
    for path in folder.glob("*"):
        manifest = read_manifest(str(path / "manifest.json"))
        for dataset in layout.DATASETS if manifest.is_held else (layout.FILES,):
            names = {each.name for each in (path / dataset).glob("*")}
            assert names == set(manifest.shard_names(dataset))
        kept[path.name] = _read(path / "manifest.json", path / "files")
    return kept


def _read(path: Path, files: Path) -> Kept:
    manifest: Manifest = read_manifest(str(path))
    listed = frozenset((name, size, 0) for name, size in _rows(files, "size"))
    return Kept(listed, bool(manifest.new_only), manifest.is_held or manifest.files_done)


def _rows(folder: Path, column: str) -> list[tuple[str, int]]:
    tables = [pq.ParquetFile(path).read() for path in folder.glob("*.parquet")]
    return sorted(
        row
        for table in tables
        for row in zip(table["source_file"].to_pylist(), table[column].to_pylist(), strict=True)
    )


def check(output: Path, state: State, there: Files) -> None:
    """What holds after every recovered step."""
    # Each version of a file is done, waits or is new, as the runs say.
    known = ledger.look_up(str(output), MODEL, there)
    assert set(known.done) == state.done() & there
    assert set(known.waiting) == state.waiting() & there
    # No row is twice in what is published, unless somebody ran without --new_only.
    published = [run for run in state.published.values() if run.new_only]
    assert len(_all(*published)) == sum(len(run.files) for run in published)
    assert not (output / "_staging").exists()
    assert list(output.rglob(".*")) == []
