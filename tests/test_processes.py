"""Worker processes that die: the run ends at once, in one line, and leaves nothing."""

import contextlib
import os
import signal
import sys
import time
from concurrent.futures import Future
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from penguin_model.errors import PenguinError
from pipelines import interrupts, runners
from pipelines.processes import Processes
from tests.running import TWO_PROCESSES, listing
from tests.torture import jobs

KILLED = (
    "a worker process was killed, as Linux does when memory runs out; nothing is published "
    "(a lower --direct_num_workers needs less)"
)
SLEEP = "import time; time.sleep(60)"


def running(program: str) -> Processes:
    processes = Processes([sys.executable, "-c", program])
    processes.start({})
    return processes


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("import os; os.kill(os.getpid(), 9)", KILLED),
        ("import os; os.kill(os.getpid(), 15)", "a worker process was ended by SIGTERM; "),
        ("raise SystemExit(3)", "a worker process ended with code 3; nothing is published "),
        ("pass", "a worker process ended with code 0; "),
    ],
)
def test_an_early_end_is_a_failure(program: str, message: str) -> None:
    error = running(program).failure.exception(timeout=30)
    assert isinstance(error, PenguinError)
    assert str(error).startswith(message)


def test_an_end_that_was_asked_for_is_none() -> None:
    processes = running(SLEEP)
    processes.start({"PENGUIN": "2"})
    start = time.monotonic()
    processes.kill()
    assert time.monotonic() - start < 30
    time.sleep(0.2)
    assert not processes.failure.done()
    with pytest.raises(PenguinError, match="the run has ended"):
        processes.start({})


def test_workers_get_their_settings() -> None:
    program = "import os; raise SystemExit(int(os.environ['PENGUIN']))"
    processes = Processes([sys.executable, "-c", program])
    processes.start({"PENGUIN": "7"})
    with pytest.raises(PenguinError, match="ended with code 7"):
        processes.failure.result(timeout=30)


def test_a_failure_ends_the_waiting_for_a_job_that_hangs() -> None:
    failure: Future[None] = Future()
    failure.set_exception(PenguinError("died"))
    with pytest.raises(PenguinError, match="died"):
        interrupts.run_in_thread(lambda: time.sleep(60), failure=failure)


@pytest.mark.parametrize("mode", ["multi_threading", "multi_processing"])
def test_a_job_that_is_over_can_be_cancelled(mode: str) -> None:
    options = PipelineOptions([f"--direct_running_mode={mode}"])
    submission = runners.create(None, options, verbose=True)
    with contextlib.closing(submission):
        submission.run("Make", beam.Create([1]))
        submission.cancel()
    assert submission.failure is None or not submission.failure.done()


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment", [None, "_staging/*/*/predictions/*"], ids=["at start", "at work"]
)
def test_a_killed_worker_ends_the_run(
    tmp_path: Path, shipped_model: Path, moment: str | None
) -> None:
    night, output = jobs.make_night(tmp_path / "night", 2_000_000), tmp_path / "out"
    flags = ("--input", night, "--output", output, "--model", shipped_model, "--no-progress")
    with jobs.started(*flags, *TWO_PROCESSES) as job:
        while not (workers := jobs.members(job, "pipelines.worker")):
            assert job.poll() is None
            time.sleep(0.01)
        if moment is not None:
            assert jobs.wait_for(job, output, moment)
        os.kill(workers[0], signal.SIGKILL)
        _, err = job.communicate(timeout=60)
        assert (job.returncode, err) == (1, f"penguin-score: error: {KILLED}\n")
        assert jobs.members(job) == []
        assert listing(output) == []
