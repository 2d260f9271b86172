"""HTML that is safe by construction.

What is not `Markup` is text, and is escaped; so a file's name or a raw row can never be markup.
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
    """Text that is HTML already; `element`, `fill` and `join` make it, nothing else should."""

    __slots__ = ()


Content = str | Markup | int | None | Iterable["Content"]


def element(tag: str, *content: Content, **attributes: str | float | bool | None) -> Markup:
    """One element with all it holds.

    Args:
      tag: its name.
      content: markup as it is, anything else as escaped text; None is nothing.
      attributes: an underscore stands for a hyphen, a last one is dropped (``class_``); None and
        False leave the attribute out, True gives it without a value.
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
    """Markup of several pieces, one after the other."""
    if content is None:
        return Markup("")
    if isinstance(content, Markup):
        return content
    if isinstance(content, str | int):
        return Markup(html.escape(visible(str(content))))
    return Markup("".join(join(each) for each in content))


def visible(text: str) -> str:
    """Shows what has no look of its own, such as a mark that turns the direction of writing."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(_shown(character) for character in text)


def table(
    caption: str, header: Sequence[Content], rows: Iterable[Sequence[Content]], *, words: int = 1
) -> Markup:
    """A table that scrolls on its own where the screen is narrow.

    Args:
      caption: what it holds, for those who hear it.
      header: one cell a column.
      rows: the first cell of each is its header.
      words: how many columns hold words; the others are numbers, flush right.
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
    """A chart with its title, what it shows in words, and its values as a table that opens."""
    opens = element("summary", "Numbers", element("span", f" of: {title}", class_="heard"))
    return element("figure", heading(title, finding), content, element("details", opens, numbers))


def heading(title: str, finding: Content) -> Markup:
    """The title of a figure, and what it shows in words."""
    return element("figcaption", element("strong", title), element("span", finding))


def tiles(known: Iterable[tuple[str, str]]) -> Markup:
    """Numbers at a glance."""
    pairs = [element("div", element("dt", name), element("dd", value)) for name, value in known]
    return element("dl", pairs, class_="tiles")


def facts(known: Iterable[tuple[str, str | None]]) -> Markup:
    """Names and values, without those that are not known."""
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
    # Controls, marks of format and direction, lone surrogates: named by their number.
    if character not in "\n\t" and unicodedata.category(character) in (
        "Cc",
        "Cf",
        "Cs",
        "Zl",
        "Zp",
    ):
        return f"\N{SINGLE LEFT-POINTING ANGLE QUOTATION MARK}U+{ord(character):04X}›"
    return character
