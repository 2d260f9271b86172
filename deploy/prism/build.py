"""Builds Beam's Prism into `.prism/`, changed to listen on a Unix socket: `make prism`.

Prism listens on all addresses and runs the commands of anyone who reaches it. So a few lines of its
source are changed before the local Go builds it. The source has the version of the installed Beam;
Go checks it against Go's checksum database, and its dependencies against Beam's own `go.sum`.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

HERE = Path(__file__).parent
PRISM = HERE.parents[1] / ".prism"
PROGRAM = PRISM / "prism"
SOCKET_VARIABLE = "PENGUIN_PRISM_SOCKET"

_MODULE = "github.com/apache/beam/sdks/v2"
_INTERNAL = "go/pkg/beam/runners/prism/internal"
_SECONDS = 3600

# Old text by new text, by file; each occurs once.
CHANGES: Mapping[str, Mapping[str, str]] = {
    f"{_INTERNAL}/jobservices/server.go": {
        """\
	lis, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
""": f"""\
	network, address := "tcp", fmt.Sprintf("localhost:%d", port)
	if path := os.Getenv("{SOCKET_VARIABLE}"); path != "" {{
		network, address = "unix", path
	}}
	lis, err := net.Listen(network, address)
""",
        """\
	_, port, _ := net.SplitHostPort(s.lis.Addr().String())
	return fmt.Sprintf("localhost:%v", port)
""": """\
	return worker.AddressOf(s.lis)
""",
    },
    f"{_INTERNAL}/worker/worker.go": {
        """\
	_, p, _ := net.SplitHostPort(lis.Addr().String())
""": "",
        """\
		endpoint: "localhost:" + p,
""": """\
		endpoint: AddressOf(lis),
""",
        """\
// NewMultiplexW instantiates""": """\
// AddressOf is what clients dial.
func AddressOf(lis net.Listener) string {
	if lis.Addr().Network() == "unix" {
		return "unix://" + lis.Addr().String()
	}
	_, port, _ := net.SplitHostPort(lis.Addr().String())
	return "localhost:" + port
}

// NewMultiplexW instantiates""",
    },
}  # fmt: skip


class BuildError(Exception):
    """Prism can't be built here; the message is one line."""


def build() -> None:
    """Builds the program, unless it exists and was built from the same source.

    Raises:
      BuildError: Go is missing or fails, or Beam's source isn't the one that the changes fit.
    """
    version = importlib.metadata.version("apache-beam")
    stamp = PRISM / "prism.stamp"
    wanted = hashlib.sha256(version.encode() + Path(__file__).read_bytes()).hexdigest()
    if PROGRAM.exists() and stamp.exists() and stamp.read_text() == wanted:
        return
    if shutil.which("go") is None:
        raise BuildError("there is no go command; install Go (https://go.dev/doc/install)")
    work = PRISM / "unfinished"
    source = work / "source"
    # What an interrupted build downloaded and compiled is used again.
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    print(f"Building {os.path.relpath(PROGRAM)} {version} (some minutes) ...", flush=True)
    answer = _go(work, work, "mod", "download", "-json", f"{_MODULE}@v{version}")
    original = Path(json.loads(answer)["Dir"])
    shutil.copytree(original / "go", source / "go", copy_function=_copy_writable)
    for name in ("go.mod", "go.sum"):
        _copy_writable(original / name, source / name)
    for name, changes in CHANGES.items():
        path = source / name
        path.write_text(change(path.read_text(), changes, name))
    _go(source, work, "build", "-mod=readonly", "-trimpath", "-buildvcs=false",
        "-o", str(work / "prism"), "./go/cmd/prism")  # fmt: skip
    stamp.unlink(missing_ok=True)
    (work / "prism").replace(PROGRAM)
    stamp.write_text(wanted)
    shutil.rmtree(work, ignore_errors=True)


def change(text: str, changes: Mapping[str, str], name: str) -> str:
    """Replaces each of the old texts.

    Raises:
      BuildError: one of them doesn't occur exactly once.
    """
    for old, new in changes.items():
        if text.count(old) != 1:
            raise BuildError(f"this Beam has another {name} than deploy/prism/build.py changes")
        text = text.replace(old, new)
    return text


def _go(folder: Path, work: Path, *arguments: str) -> str:
    # Everything that Go downloads and compiles is removed with the folder.
    ours = {
        "GOPATH": str(work / "go"),
        "GOCACHE": str(work / "cache"),
        "GOFLAGS": "-modcacherw",
        "GOWORK": "off",
    }
    ran = subprocess.run(
        ["go", *arguments], cwd=folder, env=os.environ | ours, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=_SECONDS,
    )  # fmt: skip
    if ran.returncode:
        # The last line of a JSON record is a bracket.
        said = (ran.stderr or ran.stdout).splitlines()
        lines = [line.strip() for line in said if line.strip(" }")]
        raise BuildError(f"go {arguments[0]} failed: {lines[-1] if lines else ran.returncode}")
    return ran.stdout


def _copy_writable(source: str | Path, target: str | Path) -> str:
    # Modules are read-only in Go's cache.
    return str(shutil.copyfile(source, target))


if __name__ == "__main__":
    try:
        build()
    except BuildError as error:
        sys.exit(f"prism: error: {error}")
