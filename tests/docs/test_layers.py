"""Imports run one way, start-up stays fast, and the picture shows the steps that there are."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
HEAVY = ("tensorflow", "keras", "sklearn", "matplotlib", "pandas")
COMMANDS = [
    f"penguin_model.{name}" for name in ("train", "predict", "describe")
] + ["pipelines.score", "pipelines.report"]  # fmt: skip


def imports(package: str) -> Iterator[tuple[str, str, bool]]:
    """Module, what it imports, and whether that happens when the module itself is imported."""
    for path in sorted((PROJECT / package).rglob("*.py")):
        tree = ast.parse(path.read_text())
        inside = {
            id(node)
            for function in ast.walk(tree)
            if isinstance(function, ast.FunctionDef) or is_type_checking(function)
            for node in ast.walk(function)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            else:
                continue
            for name in names:
                yield path.name, name, id(node) not in inside


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def test_the_model_never_imports_beam_or_the_pipeline() -> None:
    found = list(imports("penguin_model"))
    assert len(found) > 20
    wrong = [each for each in found if each[1].split(".")[0] in ("apache_beam", "pipelines")]
    assert wrong == []


def test_the_pipeline_never_imports_keras() -> None:
    found = list(imports("pipelines"))
    assert len(found) > 20
    wrong = [each for each in found if each[1].split(".")[0] in ("keras", "tensorflow")]
    assert wrong == []


@pytest.mark.parametrize("package", ["penguin_model", "pipelines"])
def test_heavy_libraries_are_imported_where_they_are_used(package: str) -> None:
    wrong = [
        (module, name)
        for module, name, at_import in imports(package)
        if at_import and name.split(".")[0] in HEAVY
    ]
    assert wrong == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_imports_nothing_heavy(command: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", command, "--help"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.startswith("usage: penguin-")
    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert command.split(".")[0] in loaded
    # Beam itself imports pandas.
    heavy = HEAVY[:-1] if command.startswith("pipelines") else HEAVY
    assert loaded.isdisjoint(heavy)


def test_no_module_is_too_long_to_read_in_a_sitting() -> None:
    lengths = {
        path.name: len(path.read_text().splitlines())
        for package in ("penguin_model", "pipelines")
        for path in (PROJECT / package).rglob("*.py")
    }
    assert {name: length for name, length in lengths.items() if length > 300} == {}


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
