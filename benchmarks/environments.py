"""Virtual environments for the peers that need other packages than ours: `.bench/NAME`.

Each is installed from `benchmarks/peers/NAME.lock`, checked against its hashes, and again when the
lock or the Python version has changed.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

PROJECT = Path(__file__).parents[1]
FOLDER = PROJECT / ".bench"
LOCKS = Path(__file__).parent / "peers"
SETUPTOOLS = re.compile(r"^setuptools==.*\n(?:    .*\n)*", re.MULTILINE)
# A lock is complete; see overrides.txt for what it leaves out on purpose.
INSTALL = [
    *("-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
    *("--no-deps", "--require-hashes", "--no-build-isolation", "--requirement"),
]


def python_of(name: str) -> str:
    """The interpreter of an environment, made first where it is missing or out of date.

    Args:
      name: of the lock file; an empty name is the environment that runs this.
    """
    if not name:
        return sys.executable
    lock = LOCKS / f"{name}.lock"
    target = FOLDER / name
    stamp = target / "stamp"
    wanted = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    python = target / "bin" / "python"
    if stamp.exists() and stamp.read_text() == wanted:
        return str(python)
    shutil.rmtree(target, ignore_errors=True)
    print(f"Installing {os.path.relpath(lock)} into {os.path.relpath(target)} ...", file=sys.stderr)
    venv.create(target, with_pip=True)
    # PySpark comes as source only: what builds it is taken from the lock, too.
    builder = target / "setuptools.lock"
    builder.write_text("".join(SETUPTOOLS.findall(lock.read_text())))
    for requirements in (builder, lock):
        subprocess.run([python, *INSTALL, requirements], check=True)
    stamp.write_text(wanted)
    return str(python)
