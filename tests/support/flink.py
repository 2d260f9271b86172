"""Helpers for the Flink tests: free ports, runs on each engine, and a check that no row is lost."""

import os
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from deploy.flink import parts
from deploy.flink.cluster import Cluster
from tests.support.running import PROJECT, beside_progress, command, manifest, published

EMBEDDED = (
    "--runner=FlinkRunner",
    f"--flink_version={parts.FLINK_VERSION}",
    f"--flink_job_server_jar={parts.JOB_SERVER_JAR}",
)
RUN_SECONDS = 420


def why_not() -> str:
    """The reason why the Flink tests can't run here; empty if they can."""
    if shutil.which("java") is None:
        return "there is no java command"
    if not parts.JOB_SERVER_JAR.exists() or not parts.FLINK_HOME.exists():
        return "its parts are not here: run `make flink` first"
    return ""


def free_ports(count: int) -> list[int]:
    """Free loopback ports."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def make_bare_environment(folder: Path) -> Path:
    """Creates a Python that finds this one's libraries but not the project; returns its path."""
    venv.create(folder, symlinks=True)
    (own,) = folder.glob("lib/python*/site-packages")
    libraries = next(path for path in sys.path if path.endswith("site-packages"))
    # A path in a .pth file doesn't load the .pth files in that path, which include the project's.
    (own / "libraries.pth").write_text(f"{libraries}\n")
    return folder / "bin" / "python"


def write_observations(folder: Path, files: int, rows: int) -> None:
    """Parquet files of made-up birds."""
    folder.mkdir()
    random = np.random.default_rng(1)
    columns = {
        "CulmenLength": random.uniform(33, 59, rows),
        "CulmenDepth": random.uniform(14, 21, rows),
        "FlipperLength": random.uniform(175, 230, rows),
        "BodyMass": random.uniform(2800, 6200, rows),
    }
    for number in range(files):
        pq.write_table(pa.table(columns), folder / f"{number}.parquet", row_group_size=rows // 4)


def assert_all_rows_once(output: Path, files: int, rows: int) -> None:
    """Checks that each row of each file is published exactly once, and that the manifest agrees."""
    table = published(output, "predictions").select(["source_file", "source_row"])
    assert table.num_rows == files * rows
    names = table.column("source_file").to_numpy().reshape(files, rows)
    assert len({*names[:, 0]}) == files
    assert (names == names[:, :1]).all()
    places = table.column("source_row").to_numpy().reshape(files, rows)
    assert (places == np.arange(rows)).all()
    found = manifest(output)["totals"]
    assert (found["files"], found["rows_read"], found["rows_scored"]) == (
        files, files * rows, files * rows,
    )  # fmt: skip


def errors(err: str) -> list[str]:
    """The lines of standard error, without Beam's own about packaging the project."""
    return [line for line in err.splitlines() if "No module named build" not in line]


class Running:
    """A job in its own process, with an action performed once its first rows are staged."""

    def __init__(self, output: Path, *flags: object) -> None:
        self.output = output
        self.process = subprocess.Popen(
            command("--output", output, "--run_id", "test", *flags), cwd=PROJECT, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=os.environ, start_new_session=True,
        )  # fmt: skip

    def once_staged(self, act: Callable[[], object]) -> None:
        """Waits for the first rows, and performs the action."""
        deadline = time.monotonic() + RUN_SECONDS
        while not any(self.output.glob("_staging/test/*/predictions/*")):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        act()

    def end(self) -> tuple[int, str, str]:
        """Waits for the end; returns exit code, output, and standard error without progress."""
        out, err = self.process.communicate(timeout=RUN_SECONDS)
        return self.process.returncode, out, beside_progress(err)


def newest_job(cluster: Cluster) -> dict[str, str]:
    """Flink's record of the last submitted job."""
    jobs: list[dict[str, str]] = cluster.ask("/jobs/overview")["jobs"]
    return max(jobs, key=lambda job: job["start-time"])
