"""HTML that is safe by construction.

Anything that isn't `Markup` is escaped, so a file name or a raw row can never become markup.
"""

from __future__ import annotations

import html
import re
import string
import unicodedata
from collections.abc import Iterable, Sequence

_PLAIN = re.compile(r"[\n\t -~]*")
_EMPTY = frozenset({"circle", "line", "rect"})


class Markup(str):
    """Text that is already HTML. Only `element`, `fill` and `join` should make it."""

    __slots__ = ()


Content = str | Markup | int | None | Iterable["Content"]


def element(tag: str, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """One element and its content.

    Args:
      tag: its name.
      content: markup is kept, anything else is escaped; None adds nothing.
      attributes: underscores become hyphens, a trailing one is dropped (``class_``); None and
        False omit the attribute, True gives it no value.
    """
    shown = "".join(_attribute(name, value) for name, value in attributes.items())
    if tag in _EMPTY:
        return Markup(f"<{tag}{shown}/>")
    return Markup(f"<{tag}{shown}>{join(content)}</{tag}>")


def fill(template: str, **content: Content) -> Markup:
    """Fills the ``$names`` of a template, each with markup or with text that is escaped.

    Raises:
      KeyError: the template has a name that isn't among `content`.
    """
    pieces = {name: join(each) for name, each in content.items()}
    return Markup(string.Template(template).substitute(pieces))


def join(content: Content) -> Markup:
    """Joins pieces into one piece of markup."""
    if content is None:
        return Markup("")
    if isinstance(content, Markup):
        return content
    if isinstance(content, str | int):
        return Markup(html.escape(visible(str(content))))
    return Markup("".join(join(each) for each in content))


def visible(text: str) -> str:
    """Replaces invisible characters, such as direction marks, with their code points."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(_shown(character) for character in text)


def table(
    caption: str, header: Sequence[Content], rows: Iterable[Sequence[Content]], *, words: int = 1
) -> Markup:
    """A table that scrolls sideways by itself on a narrow screen.

    Args:
      caption: its content, for screen readers.
      header: one cell per column.
      rows: the first cell of each is the row's header.
      words: how many columns hold text; the others hold numbers, aligned right.
    """
    kinds = ["words" if place < words else "number" for place in range(len(header))]
    head = [
        element("th", cell, scope="col", class_=kind)
        for cell, kind in zip(header, kinds, strict=True)
    ]
    body = [
        element(
            "tr",
            element("th", row[0], scope="row"),
            [
                element("td", cell, class_=kind)
                for cell, kind in zip(row[1:], kinds[1:], strict=True)
            ],
        )
        for row in rows
    ]
    inner = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", head)),
        element("tbody", body),
    )
    return element("div", inner, class_="scroll", tabindex=0, role="region", aria_label=caption)


def figure(title: str, finding: Content, *content: Content, numbers: Markup) -> Markup:
    """A chart with its title, its finding in words, and a table of its values to unfold."""
    opens = element("summary", "Numbers", element("span", f" for: {title}", class_="heard"))
    return element("figure", heading(title, finding), content, element("details", opens, numbers))


def heading(title: str, finding: Content) -> Markup:
    """A figure's title and its finding in words."""
    return element("figcaption", element("strong", title), element("span", finding))


def tiles(known: Iterable[tuple[str, str]]) -> Markup:
    """A row of key numbers."""
    pairs = [element("div", element("dt", name), element("dd", value)) for name, value in known]
    return element("dl", pairs, class_="tiles")


def facts(known: Iterable[tuple[str, str | None]]) -> Markup:
    """A list of names and values, without the unknown ones."""
    pairs = [
        (element("dt", name), element("dd", element("bdi", value)))
        for name, value in known
        if value
    ]
    return element("dl", pairs, class_="facts")


def _attribute(name: str, value: str | float | bool | None) -> str:
    name = name.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    if isinstance(value, float):
        value = f"{value:.2f}".rstrip("0").rstrip(".")
    return f' {name}="{html.escape(visible(str(value)))}"'


def _shown(character: str) -> str:
    # Controls, format and direction marks, lone surrogates, line separators.
    if character not in "\n\t" and unicodedata.category(character) in (
        "Cc",
        "Cf",
        "Cs",
        "Zl",
        "Zp",
    ):
        return f"\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}U+{ord(character):04X}›"
    return character
