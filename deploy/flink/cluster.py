"""A small Flink cluster on this machine: a JobManager, TaskManagers and a pool of Beam workers.

Run `python -m deploy.flink.cluster fetch`, then `start`, `score --input … --output …`, `stop`.
Everything listens on loopback only, and requires the cluster's key or the pool's secret, which are
in the cluster's folder (docs/security.md). A cluster of several machines has the same parts, with a
worker pool on each machine that has a TaskManager (docs/flink.md).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.flink import parts
from pipelines.runners import flink_keys, flink_rest

PROGRAM = "cluster"
START_SECONDS = 60
STOP_SECONDS = 10
# The longest socket path on Linux, and what Beam calls its sockets.
_MOST_NAME, _SOCKET = 107, "fnapi0000.sock"


class ClusterError(Exception):
    """The cluster could not do what was asked; the message is one line."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """One cluster, whose process ids are recorded in its folder.

    Attributes:
      folder: Holds the logs, the list of processes and what Flink keeps on disk.
      rest_port: Port of Flink's page and API.
      rpc_port: Port of the JobManager.
      pool_port: Port of the worker pool.
      python: The workers' Python, in an environment that has Beam and the libraries.
    """

    folder: Path
    rest_port: int = 8081
    rpc_port: int = 6123
    pool_port: int = 50000
    python: Path = Path(sys.executable)
    _children: dict[int, subprocess.Popen[bytes]] = dataclasses.field(default_factory=dict)

    def start(self, *, taskmanagers: int = 2) -> None:
        """Starts all parts and waits until they have found each other.

        Args:
          taskmanagers: How many TaskManagers to start.

        Raises:
          ClusterError: A part didn't start in time or is already running. Parts that had started
            are stopped.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self._check_owner()
        if self.alive():
            raise ClusterError("it is already running; stop it first")
        # Only this user may reach the sockets, the key and the secret.
        self.folder.chmod(0o700)
        self._save({})
        self._configure()
        try:
            self._start_flink("jobmanager")
            for number in range(taskmanagers):
                self.start_taskmanager(number)
            self.start_pool()
            self._wait_for(taskmanagers)
        except BaseException:
            self.stop()
            raise

    def start_taskmanager(self, number: int) -> int:
        """Starts one more TaskManager and returns its process id."""
        return self._start_flink("taskmanager", f"-{number}")

    def start_pool(self) -> int:
        """Starts the worker pool and returns its process id."""
        environment = {
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TF_ENABLE_ONEDNN_OPTS": "0",
        }
        command = [str(self.python), "-P", str(parts.HERE / "pool.py")]
        command += [str(self.pool_port), str(self._secret)]
        # In the project's folder, Python would find its packages even if they aren't installed.
        return self._spawn("pool", command, environment, cwd=self.folder)

    def stop(self) -> None:
        """Stops all running parts, by process id."""
        found = self.processes()
        for number in (signal.SIGTERM, signal.SIGKILL):
            deadline = time.monotonic() + STOP_SECONDS
            for pid in found.values():
                if self._is_alive(pid):
                    # Each part leads a group: a pool's workers end with it.
                    with contextlib.suppress(ProcessLookupError):
                        os.killpg(pid, number)
            while any(map(self._is_alive, found.values())) and time.monotonic() < deadline:
                time.sleep(0.1)
        # Includes children that were killed meanwhile and are no longer in the list.
        for child in self._children.values():
            child.wait(STOP_SECONDS)
        self._children.clear()
        self._save({})

    def processes(self) -> dict[str, int]:
        """The process ids of all started parts, by name."""
        with contextlib.suppress(FileNotFoundError):
            self._check_owner()
            found: dict[str, int] = json.loads(self._list.read_text())
            return found
        return {}

    def alive(self) -> dict[str, int]:
        """The process ids of the parts that are still running, by name."""
        return {name: pid for name, pid in self.processes().items() if self._is_alive(pid)}

    def flags(self) -> list[str]:
        """The flags that make `pipelines.score` use this cluster; see also `environment`."""
        pool = {
            "url": f"localhost:{self.pool_port}",
            "params": {"secret_file": str(self._secret)},
        }
        return [
            "--runner=FlinkRunner",
            f"--flink_master=localhost:{self.rest_port}",
            f"--flink_version={parts.FLINK_VERSION}",
            f"--flink_job_server_jar={parts.JOB_SERVER_JAR}",
            "--environment_type=EXTERNAL",
            f"--environment_config={json.dumps(pool)}",
            f"--artifacts_dir={self.folder / 'artifacts'}",
            f"--parallelism={self._count_taskmanagers()}",
        ]

    def ask(self, path: str, method: str = "GET") -> Any:
        """Sends a request to Flink's REST API.

        Args:
          path: The path in Flink's documentation, from the first slash.
          method: The HTTP method.

        Raises:
          OSError: The API can't be reached.
        """
        return flink_rest.ask(
            f"localhost:{self.rest_port}", path, method=method, conf=str(self.conf)
        )

    def environment(self) -> dict[str, str]:
        """The environment variable that leads Flink's clients to its settings and key."""
        return {"FLINK_CONF_DIR": str(self.conf)}

    def _count_taskmanagers(self) -> int:
        return sum(name.startswith("taskmanager") for name in self.processes())

    def _start_flink(self, part: str, suffix: str = "") -> int:
        name = part + suffix
        settings = {
            "rest.port": self.rest_port,
            "jobmanager.rpc.port": self.rpc_port,
            "io.tmp.dirs": self.folder / "tmp",
        }
        if part == "taskmanager":
            settings["taskmanager.resource-id"] = name
        environment = {
            **os.environ,
            **self.environment(),
            "FLINK_LOG_DIR": str(self.folder / "log"),
            "FLINK_PID_DIR": str(self.folder),
            # Beam's servers for the workers create their sockets here.
            "JVM_ARGS": f"-Djava.io.tmpdir={self._sockets(name)}",
        }
        command = [str(parts.FLINK_HOME / "bin" / f"{part}.sh"), "start-foreground"]
        for key, value in settings.items():
            command += ["-D", f"{key}={value}"]
        return self._spawn(name, command, environment, cwd=self.folder)

    @property
    def conf(self) -> Path:
        """The folder with our settings, the key, and Flink's logging settings."""
        return self.folder / "conf"

    @property
    def _secret(self) -> Path:
        return self.folder / "pool.secret"

    def _configure(self) -> None:
        """Writes the settings, with a new key and a new secret."""
        self.conf.mkdir(exist_ok=True)
        key = "".join(
            f"{name}: {json.dumps(value)}\n"
            for name, value in flink_keys.make(str(self.conf)).items()
        )
        self._write_private(
            self.conf / "config.yaml", (parts.HERE / "config.yaml").read_text() + key
        )
        self._write_private(self._secret, f"{secrets.token_urlsafe(32)}\n")
        log = "log4j-console.properties"
        (self.conf / log).write_bytes((parts.FLINK_HOME / "conf" / log).read_bytes())

    def _write_private(self, path: Path, text: str) -> None:
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(text)

    def _sockets(self, name: str) -> Path:
        folder = self.folder / "sockets" / name
        if len(os.fsencode(folder / _SOCKET)) > _MOST_NAME:
            raise ClusterError(f"--folder {self.folder}: the path is too long for sockets")
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _check_owner(self) -> None:
        """Refuses another user's folder, because its list says which processes to stop."""
        if self.folder.stat().st_uid != os.geteuid():
            raise ClusterError(f"--folder {self.folder}: belongs to another user")

    def _spawn(self, name: str, command: list[str], environment: dict[str, str], cwd: Path) -> int:
        (self.folder / "log").mkdir(exist_ok=True)
        with open(self.folder / "log" / f"{name}.txt", "ab") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=environment, cwd=cwd, start_new_session=True,
            )  # fmt: skip
        self._children[process.pid] = process
        self._save({**self.processes(), name: process.pid})
        return process.pid

    def _wait_for(self, taskmanagers: int) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for name, pid in self.processes().items():
                if not self._is_alive(pid):
                    raise ClusterError(f"{name} ended; see {self.folder / 'log' / name}.txt")
            with contextlib.suppress(OSError):
                registered = len(self.ask("/taskmanagers")["taskmanagers"])
                if registered == taskmanagers:
                    socket.create_connection(("localhost", self.pool_port), 1).close()
                    return
            time.sleep(0.2)
        raise ClusterError(f"it is not ready after {START_SECONDS} s; see {self.folder / 'log'}")

    def _is_alive(self, pid: int) -> bool:
        """Whether a process runs and leads a group; one that reuses the id rarely does."""
        if pid in self._children:
            return self._children[pid].poll() is None
        try:
            return os.getpgid(pid) == pid
        except ProcessLookupError:
            return False

    @property
    def _list(self) -> Path:
        return self.folder / "processes.json"

    def _save(self, processes: dict[str, int]) -> None:
        self._list.write_text(json.dumps(processes, indent=1) + "\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
      arguments: Without the program's name; by default those of the command line.

    Returns:
      0 on success, 1 on failure, or the exit code of `pipelines.score`.
    """
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=parts.PARTS / "cluster", help="%(default)s")
    parser.add_argument("--port", type=int, default=8081, help="port of Flink's page (%(default)s)")
    parser.add_argument("--taskmanagers", type=int, default=2, help="their number (%(default)s)")
    parser.add_argument("command", choices=("fetch", "start", "score", "stop"))
    values, rest = parser.parse_known_args(arguments)
    if rest and values.command != "score":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    cluster = Cluster(folder=values.folder.resolve(), rest_port=values.port)
    try:
        parts.fetch()
        if values.command == "start":
            cluster.start(taskmanagers=values.taskmanagers)
            print(
                f"Flink's page: https://localhost:{cluster.rest_port}  logs: {cluster.folder}/log"
            )
        elif values.command == "stop":
            cluster.stop()
        elif values.command == "score":
            command = [sys.executable, "-m", "pipelines.score", *cluster.flags(), *rest]
            environment = {**os.environ, **cluster.environment()}
            return subprocess.run(command, cwd=parts.PROJECT, env=environment).returncode
    except (ClusterError, parts.PartsError) as error:
        print(f"{PROGRAM}: error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
