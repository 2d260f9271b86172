"""Helpers for the nightly job's tests: its files, and a night among hostile names."""

import dataclasses
import os
import subprocess
from pathlib import Path

from tests.support.running import PROJECT, beside_progress

FOLDER = PROJECT / "deploy" / "nightly"
INSTALLED = "/opt/penguin-scoring"

# A name that a shell would mangle unless quoted.
HOSTILE = "a b $(touch pwned) `touch pwned` 'q\" ;*?"

# Records its arguments, and exits with the code in the file beside it.
STAND_IN = """#!/bin/sh
printf '%s\\0' "$@" >"{folder}/arguments"
exit "$(cat "{folder}/code")"
"""
# Appends its number of arguments and the first one.
PAGER = """#!/bin/sh
printf '%s %s\\n' "$#" "$1" >>"$0.told"
"""


def write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@dataclasses.dataclass(frozen=True, kw_only=True)
class Night:
    """A home, an output and an alert command with hostile names, and their settings."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / HOSTILE / "home"

    @property
    def output(self) -> Path:
        return self.root / HOSTILE / "scored"

    @property
    def settings(self) -> Path:
        return self.root / "nightly.env"

    def prepare(self, *lines: str) -> None:
        pager = write_program(self.root / HOSTILE / "page me", PAGER)
        self.home.mkdir(exist_ok=True)
        own = [f"PENGUIN_ALERT={pager}", f"PENGUIN_HOME={self.home}"]
        own += [f"PENGUIN_OUTPUT={self.output}", *lines]
        self.settings.write_text("# A comment\n\n" + "\n".join(own))  # and no newline at the end

    def stand_in(self, code: int) -> None:
        """Replaces penguin-score with a program that exits with this code."""
        folder = self.root / "seen"
        program = self.home / ".venv/bin/penguin-score"
        write_program(program, STAND_IN.format(folder=folder))
        folder.mkdir(exist_ok=True)
        (folder / "code").write_text(str(code))

    @property
    def arguments(self) -> list[str]:
        """The arguments that the stand-in was called with."""
        return (self.root / "seen/arguments").read_text().split("\0")[:-1]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        ran = subprocess.run(
            ["sh", str(FOLDER / "night.sh"), *arguments], cwd=self.root, env=self.environment,
            capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        ran.stderr = beside_progress(ran.stderr)
        return ran

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "PENGUIN_ENV": str(self.settings)}

    @property
    def told(self) -> list[str]:
        """The alerts, each preceded by its number of arguments."""
        path = self.root / HOSTILE / "page me.told"
        return path.read_text().splitlines() if path.exists() else []
