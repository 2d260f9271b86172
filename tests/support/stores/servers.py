"""S3 servers for tests, each on a free loopback port with its own data folder."""

import contextlib
import dataclasses
import logging
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

from tests.support.stores import fetch

_START_SECONDS = 30
_REGION = "us-east-1"


@dataclasses.dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
      url: its address.
      key: the access key, which is also the secret.
      honours_conditions: whether it honours conditional writes.
    """

    url: str
    key: str
    honours_conditions: bool = True

    @property
    def flags(self) -> list[str]:
        """The job's flags for this server."""
        keys = [f"--s3_access_key_id={self.key}", f"--s3_secret_access_key={self.key}"]
        return ["--s3_endpoint_url", self.url, f"--s3_region_name={_REGION}", *keys]

    def client(self) -> Any:
        """A client independent of the project's code."""
        return boto3.client(
            "s3", endpoint_url=self.url, region_name=_REGION,
            aws_access_key_id=self.key, aws_secret_access_key=self.key,
        )  # fmt: skip


@contextlib.contextmanager
def moto() -> Iterator[Server]:
    """Moto, in this process."""
    logging.getLogger("werkzeug").disabled = True
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    try:
        yield Server(f"http://127.0.0.1:{port}", "test")
    finally:
        server.stop()


@contextlib.contextmanager
def versitygw(folder: Path) -> Iterator[Server]:
    """Versitygw, which honours conditions."""
    port = _free_port()
    command = [str(fetch.VERSITYGW), "--port", f"127.0.0.1:{port}", "--access", "penguin"]
    command += ["--secret", "penguin", "--region", _REGION, "--quiet", "posix", str(folder)]
    with _running(command, port):
        yield Server(f"http://127.0.0.1:{port}", "penguin")


@contextlib.contextmanager
def s3rver(folder: Path) -> Iterator[Server]:
    """S3rver, which ignores conditions."""
    port = _free_port()
    command = ["node", str(fetch.S3RVER), "-d", str(folder), "-a", "127.0.0.1", "-p", str(port)]
    with _running([*command, "--silent"], port):
        yield Server(f"http://127.0.0.1:{port}", "S3RVER", honours_conditions=False)


def why_not(name: str) -> str | None:
    """Why a server can't be started here; None if it can."""
    there = {
        "moto": True,
        "versitygw": fetch.VERSITYGW.exists(),
        "s3rver": fetch.S3RVER.exists() and shutil.which("node") is not None,
    }[name]
    return None if there else f"{name} is not here: run `make stores` first (it needs Go and npm)"


@contextlib.contextmanager
def start(name: str, folder: Path) -> Iterator[Server]:
    """Starts a server by name."""
    with {"moto": lambda _: moto(), "versitygw": versitygw, "s3rver": s3rver}[name](folder) as made:
        yield made


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + _START_SECONDS
        while True:
            assert process.poll() is None, f"{command[0]} ended with {process.returncode}"
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < end, f"{command[0]} doesn't answer"
            time.sleep(0.05)
        yield
    finally:
        process.kill()
        process.wait()
