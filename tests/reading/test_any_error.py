"""Whatever reading a file raises costs that file, never the run; our own errors end it."""

import io
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import storage
from pipelines.errors import OutputError, PenguinError, ReconcileError
from pipelines.reading import small_files, transforms
from pipelines.reading.format_table import FORMATS
from pipelines.reading.rows import ParsedRows, reject_batches
from pipelines.reading.settings import Sizes
from tests.support.running import ONE_WORKER, PLAIN, manifest, published, run_here, run_sized
from tests.torture.fuzz import mutate

HEADER = "id,CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"
GOOD, BAD = "{},39.1,18.7,181,3750\n", "{},39.1,18.7,181,\n"
ALONE = Sizes(small_file_bytes=0)
RANGES = Sizes(small_file_bytes=0, range_bytes=400, span_bytes=400, block_bytes=100)


class Strange(Exception):
    """An error that nobody knows."""


FORMS = ("csv", "parquet", "arrow")
ERRORS = [
    Strange("odd\nsecond line"), KeyError("x"), IndexError(), TypeError("t"), AssertionError(),
    RecursionError("deep"), MemoryError(), UnicodeError("u"), RuntimeError("r"), EOFError(),
    pa.ArrowKeyError("k"), ZeroDivisionError("z"), StopIteration(),
]  # fmt: skip

CASES = list(zip(itertools.cycle(FORMS), ERRORS, strict=False))


def make(folder: Path, name: str, rows: int, form: str = "csv") -> None:
    """A file of good rows with every tenth row bad."""
    lines = [(BAD if n % 10 == 9 else GOOD).format(f"{name}-{n}") for n in range(rows)]
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.{form}"
    if form == "csv":
        path.write_text(HEADER + "".join(lines))
        return
    table = pa.table(
        {
            "id": [line.split(",")[0] for line in lines],
            "CulmenLength": [39.1] * rows,
            "CulmenDepth": [18.7] * rows,
            "FlipperLength": [181] * rows,
            "BodyMass": [float(line.split(",")[4]) if line[-2] != "," else None for line in lines],
        }
    )
    if form == "parquet":
        pq.write_table(table, path, row_group_size=15)
    else:
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=15)


def flags(folder: Path) -> list[object]:
    return [
        "--input",
        folder,
        "--passthrough",
        "id",
        "--max_reject_fraction=1",
        *PLAIN,
        *ONE_WORKER,
    ]


@pytest.mark.parametrize(("form", "error"), CASES, ids=[type(error).__name__ for _, error in CASES])
def test_an_error_in_the_middle_costs_the_rest_of_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, error: Exception
) -> None:
    for name in "ab":
        make(tmp_path / "in", name, 60, form)
    read = FORMATS[form].read

    def break_off(source: Any, part: Any, *others: Any) -> Iterator[ParsedRows]:
        for number, rows in enumerate(read(source, part, *others)):
            if rows.rows_read and source.size() and number == 2 and breaks.pop():
                raise error
            yield rows

    breaks = [False] * 100 + [True]
    object.__setattr__(FORMATS[form], "read", break_off)
    try:
        sizes = Sizes(small_file_bytes=0, batch_rows=15, block_bytes=300)
        found = run_sized(sizes, tmp_path / "out", *flags(tmp_path / "in"))
    finally:
        object.__setattr__(FORMATS[form], "read", read)
    assert found["totals"]["files_unreadable"] == 1
    scored = published(tmp_path / "out", "predictions").column("id").to_pylist()
    assert len(set(scored)) == len(scored)
    whole = {name for name in "ab" if sum(each.startswith(name) for each in scored) == 54}
    assert len(whole) == 1
    rejects = published(tmp_path / "out", "rejects").to_pylist()
    (refused,) = [each for each in rejects if each["source_row"] is None]
    assert refused["reason"] == "unreadable_file"
    kind = "RuntimeError" if isinstance(error, StopIteration) else type(error).__name__
    assert f": {kind}" in refused["message"]
    assert "second line" not in refused["message"]
    assert refused["message"].startswith("after row ")


@pytest.mark.parametrize("step", ["load", "combine", "validate", "plan", "survey", "number"])
def test_an_error_in_any_step_costs_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    for name in "abc":
        make(tmp_path / "in", name, 60)
    calls: list[str] = []

    def breaking(function: Callable[..., Any]) -> Callable[..., Any]:
        def broken(*values: Any, **others: Any) -> Any:
            calls.append(step)
            if len(calls) == 1:
                raise Strange("odd")
            return function(*values, **others)

        return broken

    where: dict[str, tuple[Any, str, Sizes]] = {
        "load": (small_files, "_load", Sizes()),
        "combine": (small_files, "_combine", Sizes()),
        "validate": (transforms, "validate_rows", Sizes()),
        "plan": (transforms, "plan_spans", ALONE),
        "survey": (transforms, "survey", RANGES),
        "number": (transforms, "assign_rows", RANGES),
    }
    module, name, sizes = where[step]
    if step == "load":
        module, name = storage, "open_input"
    monkeypatch.setattr(module, name, breaking(getattr(module, name)))
    found = run_sized(sizes, tmp_path / "out", *flags(tmp_path / "in"))
    assert calls
    together = step in ("load", "combine", "validate")
    assert found["totals"]["files_unreadable"] == (0 if together else 1)
    assert found["totals"]["rows_scored"] == 54 * (3 if together else 2)


def test_rejects_before_the_error_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "in", "a", 60)
    make(tmp_path / "in", "b", 60)
    split = reject_batches
    done: list[str] = []

    def break_off(rejects: Any, path: str) -> Iterator[pa.RecordBatch]:
        yield from split(rejects, path)
        done.append(path)
        if len(done) == 1:
            raise Strange("odd")

    monkeypatch.setattr(transforms, "reject_batches", break_off)
    found = run_sized(ALONE, tmp_path / "out", *flags(tmp_path / "in"))
    assert found["totals"]["rows_read"] == 60 + 6
    assert found["totals"]["rows_rejected"] == 12
    assert found["totals"]["files_unreadable"] == 1


@pytest.mark.parametrize("error", [ReconcileError("lost"), OutputError("full")])
def test_our_own_errors_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: PenguinError
) -> None:
    make(tmp_path / "in", "a", 60)

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(transforms, "validate_rows", fail)
    with pytest.raises(type(error), match=str(error)):
        run_sized(ALONE, tmp_path / "out", *flags(tmp_path / "in"))


@pytest.mark.parametrize("form", FORMS)
def test_mutated_files_cost_only_themselves(tmp_path: Path, form: str) -> None:
    make(tmp_path / "in", "whole", 60, form)
    data = (tmp_path / "in" / f"whole.{form}").read_bytes()
    choice = random.Random(form)
    for number in range(40):
        (tmp_path / "in" / f"{number}.{form}").write_bytes(mutate(data, choice))
    with io.StringIO():
        assert run_here(tmp_path / "out", *flags(tmp_path / "in"), "--no-progress") == 0
    found = published(tmp_path / "out", "predictions")
    mine = [path.endswith(f"/whole.{form}") for path in found.column("source_file").to_pylist()]
    assert sum(mine) == 54
    assert manifest(tmp_path / "out")["totals"]["files"] == 41
