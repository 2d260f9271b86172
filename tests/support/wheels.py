"""Builds the project's wheel, and runs commands as outside its folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.running import PROJECT


def build_wheel(folder: Path) -> Path:
    """Made from the source archive, which is made from what is committed."""
    source = folder / "source"
    for name in ("penguin_model", "pipelines", "models"):
        shutil.copytree(PROJECT / name, source / name)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    run(sys.executable, "setup.py", "-q", "sdist", "--dist-dir", folder, cwd=source)
    (archive,) = folder.glob("*.tar.gz")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-build-isolation")
    run(*pip, "--no-deps", "--wheel-dir", folder, archive, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


def start(*command: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What a command did that can't import from the project's folder."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True,
        timeout=600,
    )  # fmt: skip


def run(*command: object, cwd: Path) -> str:
    """The output of such a command, which must succeed."""
    ran = start(*command, cwd=cwd)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout
