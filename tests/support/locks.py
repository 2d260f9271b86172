"""Reads what a lock file pins, and what it installs in which environment."""

import re
from pathlib import Path

from packaging.requirements import Requirement

# CPython only, since markers for PyPy may differ between locks.
ENVIRONMENTS = [
    {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "sys_platform": platform,
        "platform_machine": machine,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    for version in ("3.11", "3.12", "3.13")
    for platform, machine in (("linux", "x86_64"), ("linux", "aarch64"), ("darwin", "arm64"))
]


def pinned(lock: Path) -> dict[Requirement, int]:
    """The pinned requirements of a lock file, each with the number of its hashes."""
    pins = re.sub(r" *#.*|\\\n", "", lock.read_text()).splitlines()
    return {
        Requirement(pin.partition(" --hash")[0]): pin.count("--hash=sha256:")
        for pin in pins
        if pin.strip()
    }


def installed(lock: Path) -> set[tuple[int, str, str, int]]:
    """Each package that a lock installs: number of the environment, name, version, hashes."""
    return {
        (number, pin.name, str(pin.specifier), hashes)
        for pin, hashes in pinned(lock).items()
        for number, environment in enumerate(ENVIRONMENTS)
        if pin.marker is None or pin.marker.evaluate(dict(environment))
    }
