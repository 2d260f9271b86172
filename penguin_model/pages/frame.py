"""The frame of every page: its head, its policy, its sections and the links to them."""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from importlib import resources

from penguin_model.pages.markup import Content, Markup, element, fill

# A section's id, title and content.
Section = tuple[str, str, Content]


def page(title: str, header: Content, sections: Sequence[Section]) -> Markup:
    """A whole self-contained page, whose policy allows its own style sheet and nothing else.

    Args:
      title: for the browser's tab.
      header: what is above the links to the sections.
      sections: in order.
    """
    style = _read_file("style.css")
    links = [element("li", element("a", title, href=f"#{name}")) for name, title, _ in sections]
    return fill(
        _read_file("page.html"),
        policy=_policy(style),
        title=title,
        style=Markup(style),
        header=[header, _nav(links) if len(links) > 1 else None],
        sections=[
            element("section", element("h2", title, id=f"{name}-title"), content, id=name,
                    aria_labelledby=f"{name}-title")
            for name, title, content in sections
        ],
    )  # fmt: skip


def _nav(links: list[Markup]) -> Markup:
    return element("nav", element("ul", links), aria_label="Sections")


@functools.cache
def _read_file(name: str) -> str:
    """The text of a file of this package, wherever the package is installed."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
