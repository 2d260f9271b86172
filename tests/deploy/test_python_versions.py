"""Each Python that the project claims: lock and wheel install, and score the samples."""

import os
import pwd
import re
import shutil
import subprocess
import sys
import tomllib
import zlib
from pathlib import Path

import pytest

from tests.support import samples
from tests.support.running import PROJECT

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
CLAIMED = [
    found.group(1)
    for classifier in PYPROJECT["classifiers"]
    if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", classifier))
]
LOCK = PROJECT / "locks" / "requirements.lock"
FOLDER = PROJECT / ".pythons"


def test_the_classifiers_are_the_range() -> None:
    first, last = CLAIMED[0], CLAIMED[-1]
    assert [f"3.{minor}" for minor in range(int(first[2:]), int(last[2:]) + 1)] == CLAIMED
    assert PYPROJECT["requires-python"] == f">={first},<3.{int(last[2:]) + 1}"


def find_python(version: str) -> str | None:
    """An interpreter of a version, on the path or among pyenv's; None if there is none."""
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)  # the tests have another
    installed = Path(os.environ.get("PYENV_ROOT", home / ".pyenv")).glob(f"versions/{version}.*")
    for command in (f"python{version}", *(str(each / "bin/python") for each in sorted(installed))):
        # A command of pyenv's may stand for a version that is switched off.
        tried = [command, "-c", "import ensurepip, venv"]
        if shutil.which(command) and not subprocess.run(tried, capture_output=True).returncode:
            return command
    return None


def installed(version: str, python: str) -> Path:
    """An environment with the locked packages, made again when the lock has changed."""
    folder = FOLDER / version
    stamp, now = folder / "stamp", str(zlib.crc32(LOCK.read_bytes()))
    if not stamp.exists() or stamp.read_text() != now:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", str(folder)], check=True)
        builder = folder / "setuptools.lock"
        (own,) = re.findall(r"^setuptools==.*\n(?:    .*\n)*", LOCK.read_text(), re.MULTILINE)
        builder.write_text(own)
        for lock in (builder, LOCK):
            install(folder, "--no-deps", "--require-hashes", "--requirement", str(lock))
        stamp.write_text(now)
    return folder


def install(environment: Path, *arguments: str) -> None:
    pip = [str(environment / "bin/python"), "-m", "pip", "install", "--quiet"]
    subprocess.run(
        [*pip, "--disable-pip-version-check", "--no-build-isolation", *arguments],
        check=True, timeout=900,
    )  # fmt: skip


@pytest.mark.registry
@pytest.mark.parametrize("version", CLAIMED)
def test_the_wheel_scores_the_samples(tmp_path: Path, version: str) -> None:
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        pytest.skip("all other tests run on it")
    python = find_python(version)
    if python is None:
        pytest.skip(f"this machine has no python{version} with venv")
    environment = installed(version, python)
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    for package in ("penguin_model", "pipelines", "models"):
        shutil.copytree(PROJECT / package, source / package)
    # Builds the wheel and installs it, over that of the test before.
    install(environment, "--no-deps", "--force-reinstall", str(source))

    output = tmp_path / "out"
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        [str(environment / "bin/penguin-score"), "--output", str(output), *map(str, samples.FLAGS)],
        cwd=tmp_path, env=env, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    samples.assert_golden(output)
    samples.assert_equals_keras(output)
    check = [str(environment / "bin/python"), "-m", "pip", "check"]
    ran = subprocess.run(check, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout
