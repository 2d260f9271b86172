"""The documents name what there is: every flag, every command, every file they link to."""

import argparse
import re
import tomllib
from pathlib import Path

import pytest

from pipelines.job.options import ScoreOptions

PROJECT = Path(__file__).parents[2]
PAGES = [PROJECT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING")]
PAGES += (PROJECT / "docs").glob("*.md")
README = PAGES[0].read_text()


def test_every_flag_of_score_is_in_the_readme() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    ScoreOptions._add_argparse_args(parser)
    flags = [action.option_strings[0] for action in parser._actions]
    assert len(flags) > 8
    assert [flag for flag in flags if f"| `{flag}" not in README] == []


def test_every_console_script_is_in_the_readme() -> None:
    scripts = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    named = {"penguin-train": "make train"}
    assert [name for name in scripts if named.get(name, name) not in README] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    local = [link for link in links if not link.startswith("https://")]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_targets_that_are_named_exist(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|\$ )make ([a-z-]+)", page.read_text()))
    assert named <= targets
