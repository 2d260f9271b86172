"""docs/nightly.md: the commands of its week print what the page shows.

``python -m tests.docs.test_nightly_page`` rewrites the transcript.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines import score
from pipelines.review import command as runs
from scripts.sample_week import write_week
from tests.support.running import PROJECT

PAGE = PROJECT / "docs/nightly.md"
# Where the page says that it happens.
STATION = "/srv/penguins"
# What the page leaves out of a summary.
_DULL = re.compile(r"(files|rows read|batches|predictions|rejects|manifest|trust|estimated) ")
_CHANGING = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?|took [\d.:]+\s\w+|\w+@[\w.-]+|sha256 [0-9a-f]+|\d+\.\d\d"
)


def transcript() -> str:
    """The page's block of the week."""
    pattern = r"^```console\n(\$ python -m scripts.sample_week .*?)^```$"
    (found,) = re.findall(pattern, PAGE.read_text(), re.M | re.S)
    return str(found)


def play(commands: list[str], folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Runs the commands of a transcript in a folder; yields each with what it prints."""
    night: list[str] = []
    code = 0
    for command in commands:
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            for part in command.split("; "):
                program, *words = shlex.split(part)
                if program == "alias":
                    night = shlex.split(words[0].partition("=")[2])[1:]
                elif program == "night":
                    code = score.main([*night, *words, "--no-progress"])
                elif program == "echo":
                    print(code)
                else:
                    code = _PROGRAMS[program](words)
        text = out.getvalue().replace(str(folder), STATION)
        text = re.sub(r"(?<=by )\w+@[\w.-]+", "penguin@station1", text)
        for name in ("report", "runs", "score"):
            text = text.replace(f"{sys.executable} -m pipelines.{name}", f"penguin-{name}")
        yield command, text.splitlines()


def _copy(words: list[str]) -> int:
    for source in words[:-1]:
        shutil.copy(source, words[-1])
    return 0


def _make(words: list[str]) -> int:
    os.mkdir(words[0])
    return 0


def _run_python(words: list[str]) -> int:
    assert words[:2] == ["-m", "scripts.sample_week"]
    write_week(Path(words[2]))
    return 0


_PROGRAMS: dict[str, Callable[[list[str]], int]] = {
    "cp": _copy,
    "mkdir": _make,
    "python": _run_python,
    "penguin-runs": runs.main,
}


@contextlib.contextmanager
def station(folder: Path) -> Iterator[Path]:
    """A working folder with the model in it."""
    folder = folder.resolve()
    (folder / "models").symlink_to(PROJECT / "models")
    with contextlib.chdir(folder):
        yield folder


def steady(line: str) -> str:
    """A line without what differs from one machine or day to another."""
    return re.sub(r"\s+", " ", _CHANGING.sub("#", line)).strip()


def test_the_week_happens_as_it_is_told(tmp_path: Path) -> None:
    parts = re.split(r"^\$ ", transcript(), flags=re.M)[1:]
    told = [part.splitlines() for part in parts]
    with station(tmp_path) as folder:
        for lines, (command, printed) in zip(
            told, play([lines[0] for lines in told], folder), strict=True
        ):
            left = iter(map(steady, printed))
            for line in map(steady, lines[1:]):
                if line != "…":
                    assert line in left, f"{command}: {line} isn't in\n" + "\n".join(printed)


@pytest.mark.parametrize("day", ["friday", "saturday"])
def test_the_nights_after_a_held_one_are_published(day: str) -> None:
    """What the page is for; the test above checks that it is so."""
    (found,) = re.findall(rf"^run +{day} \((\w+)\)$", transcript(), re.M)
    assert found == "published"


def retell() -> None:
    """Rewrites the page's transcript, with the same commands."""
    commands = re.findall(r"^\$ (.*)$", transcript(), re.M)
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as folder, station(Path(folder)) as place:
        for command, printed in play(commands, place):
            lines.append(f"$ {command}")
            for line in printed:
                if not (command.split("; ")[-1].startswith("night") and _DULL.match(line)):
                    lines.append(line)
                elif lines[-1] != "…":
                    lines.append("…")
    page = PAGE.read_text()
    PAGE.write_text(page.replace(transcript(), "\n".join(lines) + "\n"))


if __name__ == "__main__":
    retell()
