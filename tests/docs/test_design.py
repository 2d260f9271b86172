"""The pages show the rooms and steps that there are, and start-up stays fast."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from scripts import draw_rooms

PROJECT = Path(__file__).parents[2]
HEAVY = ("tensorflow", "keras", "sklearn", "matplotlib", "pandas")
COMMANDS = [
    f"penguin_model.{name}" for name in ("train", "predict", "describe", "register")
] + ["pipelines.score", "pipelines.report", "pipelines.runs"]  # fmt: skip


@pytest.mark.parametrize("package", draw_rooms.PACKAGES)
def test_the_trees_in_the_design_are_those_there_are(package: str) -> None:
    assert draw_rooms.drawn(package) == draw_rooms.tree(PROJECT / package)


def test_the_order_of_the_rooms_in_the_design_is_the_one_that_is_checked() -> None:
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = [each["layers"] for each in contracts if each["type"] == "layers"]
    assert "\n".join(["```text", *layers, "penguin_model", "```"]) in draw_rooms.PAGE.read_text()


@pytest.mark.parametrize(
    "room",
    sorted(path.parent for path in (PROJECT / "pipelines").glob("*/__init__.py")),
    ids=lambda room: room.name,
)
def test_each_room_has_a_face(room: Path) -> None:
    """Three lines on what goes in, what comes out, what it never imports; and what it exports."""
    face = ast.parse((room / "__init__.py").read_text())
    assert len((ast.get_docstring(face) or "").split()) > 15
    assigned = [ast.unparse(each) for each in face.body if isinstance(each, ast.Assign)]
    assert [each for each in assigned if each.startswith("__all__ = ")]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", command, "--help"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.startswith("usage: penguin-")
    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert command.split(".", maxsplit=1)[0] in loaded
    # Beam itself imports pandas.
    heavy = HEAVY[:-1] if command.startswith("pipelines") else HEAVY
    assert loaded.isdisjoint(heavy)


def test_the_picture_in_the_readme_shows_the_steps_of_the_code() -> None:
    code = (PROJECT / "pipelines/pipeline.py").read_text()
    expand = code[code.index("def expand") : code.index("class PublishFn")]
    labels = set(re.findall(r'"([A-Z][a-z ]+)"\s*>>', expand))
    readme = (PROJECT / "README.md").read_text()
    picture = readme[
        readme.index("```mermaid") : readme.index("```", readme.index("```mermaid") + 9)
    ]
    shown = set(re.findall(r'\["([A-Z][a-z ]+)"\]', picture))
    # The plumbing that no reader of the picture misses.
    plumbing = {"Input patterns", "Once"} | {
        label for label in labels if label.startswith(("All ", "Add up ", "By ", "Share "))
    }
    assert labels - plumbing == shown
