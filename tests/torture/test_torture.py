"""The short form of `make torture`: a few kills and faults, some hundred mutated files."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.running import PROJECT, manifest, run_here
from tests.torture import faults, fuzz, kills, nights, readers, reviews, rights
from tests.torture.cases import Case

CASES: dict[str, Callable[[Path], Case]] = {
    "kill and repeat": lambda folder: kills.kill_and_repeat(folder, 2, 400_000, 4),
    "kill and next night": lambda folder: kills.kill_and_next_night(folder, 1, 400_000, 0),
    "reviews": lambda folder: reviews.killed_reviews(folder, 30, 0),
    "reviews beside nights": lambda folder: reviews.reviews_beside_nights(folder, 3, 0),
    "two at once": lambda folder: faults.together(folder, 20_000),
    "signals": lambda folder: faults.signals(folder, 2, 400_000, 0),
    "file size limit": lambda folder: faults.file_size_limit(folder, 200_000),
    "unreadable inputs": faults.unreadable_inputs,
    "permissions": rights.permissions,
    "reader and jobs": lambda folder: readers.read_while_jobs_replace(folder, 2, 100_000),
    "reader and exchanges": lambda folder: readers.read_while_exchanged(folder, 60),
    "mutated nights": lambda folder: nights.mutated_nights(folder, 1, 60, 0),
    "mutated CSV": lambda _: fuzz.fuzz("csv", 200, 100_000),
    "mutated gzip": lambda _: fuzz.fuzz("gzip", 200, 100_000),
    "mutated Parquet": lambda _: fuzz.fuzz("parquet", 400, 100_000),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_lost(tmp_path: Path, name: str) -> None:
    case = CASES[name](tmp_path)
    assert case.faults == []
    assert (case.lost, case.doubled) == (0, 0)
    assert case.tries or case.seen


def test_the_tally_sees_losses_and_doubles(tmp_path: Path) -> None:
    from tests.torture.jobs import check_rows

    case = Case("a test of the test")
    check_rows(case, {"a": [0, 1, 1, 3]}, {"a": 4})
    assert (case.lost, case.doubled, case.failed) == (1, 1, True)
    check_rows(case, {"b": [0]}, {})
    assert len(case.faults) == 1


@pytest.mark.parametrize(
    "seed",
    [
        pytest.param(500_668, id="a column's name is no UTF-8"),
        pytest.param(502_562, id="a column counts fewer rows than its row group"),
        pytest.param(1_010_384, id="a damaged histogram in the footer ends the process"),
    ],
)
def test_a_damaged_parquet_file_costs_only_itself(seed: int) -> None:
    assert fuzz.fuzz("parquet", 1, seed).faults == []


def test_a_byte_order_mark_inside_a_csv_is_text_wherever_blocks_begin() -> None:
    data = b"id,length,mass\na,10.0,1000\n\xef\xbb\xbfb,10.0,1000\n"
    whole, _ = fuzz.read_csv(data, 1000)
    assert whole[1][1] == "\ufeffb"
    # The second block begins with the mark.
    assert fuzz.read_csv(data, data.index(b"\xef"))[0] == whole


def test_a_file_name_that_is_no_utf8_costs_only_its_file(
    tmp_path: Path, shipped_model: Path
) -> None:
    night, output = tmp_path / "night", tmp_path / "out"
    night.mkdir()
    (night / "good.csv").write_bytes(nights.seed_file("csv", 20))
    Path(os.fsdecode(bytes(night) + b"/caf\xe9.csv")).write_bytes(nights.seed_file("csv", 20))
    flags = ("--run_id", "test", "--model", shipped_model)
    assert run_here(output, "--input", night, *flags) == 0
    assert manifest(output)["totals"]["rows_scored"] >= 20


def test_sigint_at_start_up_is_one_line() -> None:
    program = """if True:
        import os, runpy, signal, sys
        # A shell starts what it runs in the background with SIGINT ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        class Finder:
            def find_spec(self, name, *_):
                if name == "pipelines.job":
                    os.kill(os.getpid(), signal.SIGINT)
        sys.meta_path.insert(0, Finder())
        runpy.run_module("pipelines.score", run_name="__main__", alter_sys=True)
    """
    ran = subprocess.run(
        [sys.executable, "-c", program, "--input", "x", "--output", "y"],
        cwd=PROJECT, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr.count("\n")) == (130, 1)
