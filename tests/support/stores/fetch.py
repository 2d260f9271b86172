"""Installs the S3 servers for tests, other than moto: `python -m tests.support.stores.fetch`.

They are installed in `.stores/`. versitygw, which honours conditional writes, is built from source
with the versions in `go.mod` and the checksums in `go.sum`. s3rver, which ignores them, comes from
npm with the versions and checksums in `package-lock.json`. If a command is missing, its server is
skipped with a message, and so are the tests that need it.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
MADE = HERE.parents[2] / ".stores"
VERSITYGW = MADE / "versitygw"
S3RVER = MADE / "s3rver" / "node_modules" / "s3rver" / "bin" / "s3rver.js"
_SECONDS = 900


class Skipped(Exception):
    """Raised if a server can't be installed here; the message says why."""


def make_versitygw() -> None:
    """Builds versitygw.

    Raises:
      Skipped: Go is missing or too old.
    """
    _need("go")
    wanted = re.search(r"^go (\d+)\.(\d+)", (HERE / "go.mod").read_text(), re.MULTILINE)
    version = _run(["go", "env", "GOVERSION"], HERE.parent)
    found = re.search(r"go(\d+)\.(\d+)", version)
    assert wanted is not None
    # An older one can't even read the file.
    if found is None or tuple(map(int, found.groups())) < tuple(map(int, wanted.groups())):
        raise Skipped(f"it needs {wanted[0]}, not {version.strip()}")
    package = "github.com/versity/versitygw/cmd/versitygw"
    _run(["go", "build", "-mod=readonly", "-buildvcs=false", "-o", str(VERSITYGW), package], HERE)


def make_s3rver() -> None:
    """Installs s3rver.

    Raises:
      Skipped: Node or npm is missing.
    """
    _need("node")
    _need("npm")
    folder = MADE / "s3rver"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(HERE / name, folder)
    _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], folder)


def main() -> int:
    """Installs the servers that are missing or outdated; returns the exit code."""
    servers = (
        (make_versitygw, VERSITYGW, ("go.mod", "go.sum")),
        (make_s3rver, S3RVER, ("package.json", "package-lock.json")),
    )
    for make, made, pins in servers:
        stamp = MADE / f"{made.stem}.stamp"
        wanted = hashlib.sha256(b"".join((HERE / pin).read_bytes() for pin in pins)).hexdigest()
        if made.exists() and stamp.exists() and stamp.read_text() == wanted:
            continue
        print(f"Making {os.path.relpath(made)} ...", flush=True)
        try:
            make()
        except Skipped as reason:
            print(f"Skipped: {reason}", flush=True)
            continue
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or error.stdout).strip().splitlines()
            print(f"stores: error: {lines[-1] if lines else error}", file=sys.stderr)
            return 1
        stamp.write_text(wanted)
    return 0


def _need(command: str) -> None:
    if shutil.which(command) is None:
        raise Skipped(f"there is no {command} command")


def _run(command: list[str], folder: Path) -> str:
    return subprocess.run(
        command, cwd=folder, check=True, capture_output=True, text=True, timeout=_SECONDS,
        stdin=subprocess.DEVNULL,
    ).stdout  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
