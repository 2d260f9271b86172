"""What installs the project: the lock files, the console scripts, the archive that Beam stages."""

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.locks import installed, pinned

PROJECT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
LOCKS = [
    PROJECT / "locks" / f"{name}.lock" for name in ("requirements", "requirements-dev", "tools")
]
SLIM = [PROJECT / "deploy" / "slim" / f"{image}.lock" for image in ("dataflow", "flink")]


@pytest.mark.parametrize("lock", LOCKS + SLIM, ids=lambda lock: lock.name)
def test_every_locked_requirement_has_one_version_and_a_hash(lock: Path) -> None:
    for pin, hashes in pinned(lock).items():
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), pin
        assert hashes, pin


@pytest.mark.parametrize("lock", LOCKS + SLIM, ids=lambda lock: lock.name)
def test_lock_names_no_host_and_no_path(lock: Path) -> None:
    text = lock.read_text()
    options = re.findall(r"^ *-(?!-hash=sha256:).*", text, re.MULTILINE)
    addresses = re.findall(r".*://.*|(?<!\S)/.*", text)
    assert (options, addresses) == ([], [])


def test_dev_lock_holds_the_runtime_lock() -> None:
    assert installed(LOCKS[0]) <= installed(LOCKS[1])


def test_locks_fit_pyproject() -> None:
    groups = PYPROJECT["dependency-groups"]
    runtime = PYPROJECT["project"]["dependencies"] + groups["build"]
    wanted = [runtime, runtime + groups["test"] + groups["lint"], groups["lock"]]
    for lock, requirements in zip(LOCKS, wanted, strict=True):
        pins = pinned(lock)
        for requirement in map(Requirement, requirements):
            versions = [
                version.version
                for pin in pins
                if pin.name == canonicalize_name(requirement.name)
                for version in pin.specifier
            ]
            assert versions, f"{requirement} is not in {lock.name}: run make lock"
            assert all(version in requirement.specifier for version in versions), lock.name


@pytest.mark.parametrize("script", PYPROJECT["project"]["scripts"])
def test_console_script_has_help(script: str) -> None:
    module, function = PYPROJECT["project"]["scripts"][script].split(":")
    code = f"import sys, {module}; sys.argv = ['{script}', '--help']; {module}.{function}()"
    ran = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith(f"usage: {script}")


def test_archive_for_beam_workers_holds_both_packages(tmp_path: Path) -> None:
    source, archive = tmp_path / "source", tmp_path / "archive"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(PROJECT / name, source)
    for package in ("penguin_model", "pipelines", "models"):
        shutil.copytree(PROJECT / package, source / package)

    # The very command of Beam's stager.
    command = [sys.executable, "setup.py", "-q", "sdist", "--dist-dir", str(archive)]
    ran = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr

    (built,) = archive.iterdir()
    with tarfile.open(built) as tar:
        packed = {name.partition("/")[2] for name in tar.getnames()}
    modules = {
        str(path.relative_to(source))
        for package in ("penguin_model", "pipelines")
        for path in (source / package).rglob("*.py")
    }
    assert modules <= packed


def test_the_environment_is_complete() -> None:
    """The locks are installed without looking for dependencies: nothing may be missing."""
    command = [sys.executable, "-m", "pip", "check"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_no_lock_is_resolved_anew() -> None:
    """Where a package asks for an extra of another, pip passes over the other's pin."""
    found = 0
    for path in PROJECT.rglob("*"):
        inside = path.relative_to(PROJECT).parts
        if inside[0].startswith(".") or path.suffix not in (".sh", ".Dockerfile", ".py", ""):
            continue
        if path.is_file() and path != Path(__file__):
            for line in path.read_text(errors="replace").splitlines():
                if "--require-hashes" in line and not line.lstrip().startswith("#"):
                    assert "--no-deps" in line, f"{path}: {line}"
                    found += 1
    assert found > 6


def test_pre_commit_checks_what_make_lint_checks() -> None:
    config = yaml.safe_load((PROJECT / ".pre-commit-config.yaml").read_text())
    hooks = [hook["entry"] for repository in config["repos"] for hook in repository["hooks"]]
    makefile = (PROJECT / "Makefile").read_text().replace("$(python)", ".venv/bin/python")
    (recipe,) = re.findall(r"^lint:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    checks = [line.strip() for line in recipe.splitlines() if "setup_venv" not in line]
    assert hooks == checks
