"""docs/runs.md names each sub-command, flag, status and exit code; its commands can be typed."""

import re
from pathlib import Path

import pytest

from pipelines.review import options, replay, verify
from pipelines.review.options import COMMANDS, STATUSES
from tests.support.runs import act

PAGE = (Path(__file__).parents[2] / "docs/runs.md").read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_sub_command_and_its_flags_are_in_the_table(name: str) -> None:
    (row,) = re.findall(rf"^\| `{name}( .*)$", PAGE.replace(f"`{name}`", f"`{name} `"), re.M)
    flags = {flag for flag in options.build_parser(name)._option_string_actions if flag[:2] == "--"}
    flags -= {"--help", "--version", "--verbose", "--output"}
    assert set(re.findall(r"--\w+", row.partition("|")[2].partition("|")[2])) == flags


def test_every_status_and_exit_code_is_explained() -> None:
    assert set(re.findall(r"^\| `([a-z]+)` \| [^|]+ \| [^|]* ?\|$", PAGE, re.M)) >= set(STATUSES)
    assert re.findall(r"^\| (\d+) \|", PAGE, re.M) == ["0", "1", "2", "130"]


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"counts of {verify.MOST_FILES:,} files" in PAGE
    assert f"up to {replay.MOST_FILES} input files" in PAGE
    assert f"relative {replay.RELATIVE:.0e}".replace("e-05", "e-5") in " ".join(PAGE.split())


def test_commands_on_the_page_can_be_typed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = re.findall(
        r"(?:^\$ |^|`)penguin-runs (\w+)((?: [\w.-]+)*) --output (?:…/)?out", PAGE, re.M
    )
    assert {name for name, _ in shown} >= {"verify", "prune", "labels"}
    for name, words in shown:
        act(tmp_path, name, *words.split())
        assert "unrecognized" not in capsys.readouterr().err
