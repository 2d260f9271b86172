"""Checks the packages of an image: `python check.py LOCK LEFT_OUT`, in place of `pip check`.

Every package that the lock pins is installed in that version, and has what it requires, but for
what `left_out.txt` names. That may be lacking if the lock hasn't it, and must be, then.
"""

import importlib.metadata
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


class Installed(NamedTuple):
    """An installed package."""

    version: str
    requires: Sequence[str]


def names(left_out: str) -> set[str]:
    """The packages that `left_out.txt` names."""
    return {canonicalize_name(name) for name in re.findall(r"^\s*(\w[\w.-]*)", left_out, re.M)}


def pins(lock: str) -> dict[str, str]:
    """The version of each package that a lock pins for this Python, as ``==1.0``."""
    found = map(Requirement, re.findall(r"^[\w.-]+(?:\[.*?\])?==[^\\\n]*", lock, re.M))
    return {canonicalize_name(pin.name): str(pin.specifier) for pin in filter(_counts, found)}


def _counts(requirement: Requirement) -> bool:
    return requirement.marker is None or requirement.marker.evaluate({"extra": ""})


def find_problems(
    locked: Mapping[str, str], left_out: set[str], installed: Mapping[str, Installed]
) -> Iterator[str]:
    """What doesn't fit, a line each.

    Args:
      locked: see `pins`.
      left_out: see `names`.
      installed: by canonical name.
    """
    lacking = left_out - locked.keys()
    for name, version in locked.items():
        if name not in installed:
            yield f"{name}{version} is not installed"
        elif f"=={installed[name].version}" != version:
            yield f"{name}{version} is locked, and {installed[name].version} is installed"
    for name in sorted(lacking & installed.keys()):
        yield f"{name} is to be left out, and is installed"
    for name, package in installed.items():
        for needed in filter(_counts, map(Requirement, package.requires)):
            other = canonicalize_name(needed.name)
            if other not in installed:
                if other not in lacking:
                    yield f"{name} requires {other}, which is not installed"
            elif not needed.specifier.contains(installed[other].version, prereleases=True):
                yield f"{name} requires {needed}, and {installed[other].version} is installed"


def read_installed() -> dict[str, Installed]:
    """The packages of this Python."""
    return {
        canonicalize_name(each.name): Installed(each.version, each.requires or ())
        for each in importlib.metadata.distributions()
    }


def main(lock: str, left_out: str) -> str | None:
    """The problems of this Python's packages; None if there are none."""
    locked = pins(Path(lock).read_text())
    problems = find_problems(locked, names(Path(left_out).read_text()), read_installed())
    return "\n".join(problems) or None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
