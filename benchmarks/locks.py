"""Writes `benchmarks/peers/*.lock` from the `.in` files beside them; `make lock` runs this.

The peers get the versions of locks/requirements.lock, but for packages that the `.in` file bounds.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.environments import LOCKS, PROJECT

PIN = re.compile(r"^([a-z0-9-]+)(?:\[[^\]]*\])?==[^\s;\\]+(?: ;[^\\]*)?", re.MULTILINE)
BOUND = re.compile(r"^([a-z0-9-]+)(?:\[[^\]]*\])?[=<>~!]", re.MULTILINE)
# The same result on any machine, without the path of the constraints.
COMPILE = [
    *("-m", "uv", "pip", "compile", "--quiet", "--no-config", "--universal"),
    *("--python-version", "3.11", "--generate-hashes", "--no-annotate"),
    *("--override", "benchmarks/peers/overrides.txt"),
]


def lock(source: Path, ours: str) -> None:
    """Pins what one `.in` file asks for, the same on any machine.

    Args:
      source: the `.in` file.
      ours: the text of locks/requirements.lock.
    """
    peer = source.relative_to(PROJECT).with_suffix("")
    own = set(BOUND.findall(source.read_text()))
    pins = [found.group() for found in PIN.finditer(ours) if found.group(1) not in own]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("\n".join(pins) + "\n")
        files = [f"{peer}.in", "--constraint", str(constraints), "--output-file", f"{peer}.lock"]
        subprocess.run(
            [sys.executable, *COMPILE, *files, *sys.argv[1:]],
            cwd=PROJECT,
            env=os.environ | {"UV_FIND_LINKS": "", "UV_CUSTOM_COMPILE_COMMAND": "make lock"},
            check=True,
        )


def main() -> None:
    """Locks all peers; further arguments go to uv."""
    ours = (PROJECT / "locks/requirements.lock").read_text()
    for source in sorted(LOCKS.glob("*.in")):
        lock(source, ours)


if __name__ == "__main__":
    main()
