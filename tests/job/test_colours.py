"""Colours of a run's outcome: on a terminal, for people, and never from what a file says."""

import re
import sys
from pathlib import Path

import pytest

from tests.support import terminal
from tests.support.running import PLAIN, run_here

HEADER = "CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"
RED, GREEN, YELLOW = "\x1b[31m", "\x1b[32m", "\x1b[33m"


@pytest.fixture
def night(tmp_path: Path) -> Path:
    """A file with a good row and a bad one, whose name would turn a terminal red."""
    folder = tmp_path / "night"
    folder.mkdir()
    (folder / f"{RED}.csv").write_text(HEADER + "39,18,181,3750\n,18,181,3750\n")
    return folder


class Streams:
    """Standard output and error of a run in this process, each on a terminal of its own or not."""

    def __init__(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = tmp_path
        self._patch = monkeypatch
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.delenv("NO_COLOR", raising=False)

    def run(self, *arguments: object, plain: str = "", **settings: str) -> tuple[int, str, str]:
        """Returns the exit code and what was shown; the stream named by `plain` is a file."""
        for name, value in settings.items():
            self._patch.setenv(name, value)
        flags = (*PLAIN, "--no-progress", *arguments)
        with terminal.opened(100) as out, terminal.opened(100) as err:
            screens = {"stdout": out, "stderr": err}
            file = self._folder / "plain"
            for name, screen in screens.items():
                target = file if name == plain else screen.descriptor
                stream = open(target, "w", closefd=name == plain)  # noqa: SIM115
                self._patch.setattr(sys, name, stream)
            code = run_here(self._folder / "out", *flags)
            sys.stdout.close()
            sys.stderr.close()
        shown = {name: screen.text.replace("\r\n", "\n") for name, screen in screens.items()}
        if plain:
            shown[plain] = file.read_text()
        return code, shown["stdout"], shown["stderr"]


@pytest.fixture
def streams(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Streams:
    return Streams(tmp_path, monkeypatch)


def colours(text: str) -> list[str]:
    """What stands in colour."""
    return re.findall(r"\x1b\[3[0-9]m.*?\x1b\[0m", text)


def test_a_held_run_is_yellow(streams: Streams, night: Path) -> None:
    code, out, err = streams.run("--input", night)
    assert code == 3
    assert colours(out) == [out.splitlines()[0]]
    assert re.fullmatch(r"\x1b\[33mrun +test \(held\)\x1b\[0m", out.splitlines()[0])
    assert err.startswith(f"{YELLOW}penguin-score: error:\x1b[0m 50.0% of the rows were rejected")
    assert r"/\x1b[31m.csv, row 1: CulmenLength is missing" in out
    assert (out.count("\x1b"), err.count("\x1b")) == (2, 2)


def test_a_published_run_is_green(streams: Streams, night: Path) -> None:
    code, out, err = streams.run("--input", night, "--max_reject_fraction=1")
    assert (code, err) == (0, "")
    assert colours(out) == [out.splitlines()[0]]
    assert out.startswith(GREEN)


@pytest.mark.parametrize(
    ("code", "flags"), [(1, ["--output", "/dev/null/x"]), (2, ["--run_id", RED]), (2, [RED])]
)
def test_a_failed_run_is_red(streams: Streams, night: Path, code: int, flags: list[str]) -> None:
    got, out, err = streams.run("--input", night, *flags)
    assert (got, out) == (code, "")
    assert err.startswith(f"{RED}penguin-score: error:\x1b[0m ")
    assert err.count("\x1b") == 2


@pytest.mark.parametrize("setting", [{"NO_COLOR": "0"}, {"TERM": "dumb"}])
def test_nothing_is_coloured_if_nobody_wants_it(
    streams: Streams, night: Path, setting: dict[str, str]
) -> None:
    code, out, err = streams.run("--input", night, **setting)
    assert (code, "\x1b" in out + err) == (3, False)
    assert "(held)" in out


def test_an_empty_no_color_does_not_count(streams: Streams, night: Path) -> None:
    _, out, _ = streams.run("--input", night, NO_COLOR="")
    assert YELLOW in out


@pytest.mark.parametrize("plain", ["stdout", "stderr"])
def test_each_stream_is_judged_on_its_own(streams: Streams, night: Path, plain: str) -> None:
    _, out, err = streams.run("--input", night, plain=plain)
    assert ("\x1b" in out, "\x1b" in err) == (plain != "stdout", plain != "stderr")


def test_json_is_never_coloured(streams: Streams, night: Path) -> None:
    _, out, _ = streams.run("--input", night, "--summary=json")
    assert '"status": "held"' in out
    assert "\x1b" not in out
