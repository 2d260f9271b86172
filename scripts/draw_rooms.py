"""Draws both packages as trees for docs/design.md, and lists the longest and most imported modules.

`python -m scripts.draw_rooms` prints them; `--write` puts the trees into the page.
"""

from __future__ import annotations

import argparse
import ast
import collections
import re
from collections.abc import Iterator
from pathlib import Path

import grimp

PROJECT = Path(__file__).parents[1]
PAGE = PROJECT / "docs" / "design.md"
PACKAGES = ("pipelines", "penguin_model")
_MOST = 8


def summary(path: Path) -> str:
    """The first line of a module's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    return text.partition("\n")[0].removesuffix(".")


def tree(root: Path) -> str:
    """Modules and rooms of a package, two levels deep, each with its docstring's first line."""
    entries = [(f"{root.name}/", "")]
    for path in _members(root):
        if path.is_dir():
            entries.append((f"  {path.name}/", summary(path / "__init__.py")))
            for member in _members(path):
                name = f"{member.name}/" if member.is_dir() else member.name
                face = member / "__init__.py" if member.is_dir() else member
                entries.append((f"    {name}", summary(face)))
        else:
            entries.append((f"  {path.name}", summary(path)))
    width = max(len(name) for name, _ in entries) + 2
    return "".join(f"{name:{width}}{text}".rstrip() + "\n" for name, text in entries)


def _members(folder: Path) -> Iterator[Path]:
    modules = [path for path in folder.glob("*.py") if path.name != "__init__.py"]
    rooms = [path.parent for path in folder.glob("*/__init__.py")]
    yield from sorted(modules)
    yield from sorted(rooms)


def drawn(package: str) -> str:
    """The tree of a package in the page."""
    block = rf"(?<=```text\n){package}/\n.*?(?=```)"
    found = re.search(block, PAGE.read_text(), re.DOTALL)
    if found is None:
        raise SystemExit(f"{PAGE}: no block that begins with {package}/")
    return found.group()


def main() -> None:
    """Prints the trees and the two lists, or writes the trees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="put the trees into docs/design.md")
    trees = {package: tree(PROJECT / package) for package in PACKAGES}
    if parser.parse_args().write:
        for package, now in trees.items():
            PAGE.write_text(PAGE.read_text().replace(drawn(package), now))
        return
    print(*trees.values(), sep="\n")
    lengths = {
        str(path.relative_to(PROJECT)): len(path.read_text().splitlines())
        for package in PACKAGES
        for path in (PROJECT / package).rglob("*.py")
    }
    graph = grimp.build_graph(*PACKAGES)
    importers = {name: len(graph.find_modules_that_directly_import(name)) for name in graph.modules}
    for title, numbers in (("lines", lengths), ("importers", importers)):
        for name, number in collections.Counter(numbers).most_common(_MOST):
            print(f"{number:4} {title}  {name}")


if __name__ == "__main__":
    main()
