"""Parses a page like a browser, but strictly: every element must be closed."""

import dataclasses
from html.parser import HTMLParser

from pipelines.formatting import NO_BREAK

_EMPTY = ("meta", "rect", "line", "circle")


@dataclasses.dataclass
class Element:
    """One element: its tag, attributes, ancestors, and all text inside it."""

    tag: str
    attributes: dict[str, str | None]
    around: tuple[str, ...]
    text: str = ""


class Page(HTMLParser):
    """A page's elements, in document order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self._words: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def all(self, tag: str, class_: str | None = None) -> list[Element]:
        found = [each for each in self.elements if each.tag == tag]
        return [each for each in found if class_ in (None, each.attributes.get("class"))]

    def text(self, tag: str) -> list[str]:
        return [each.text for each in self.all(tag)]

    @property
    def words(self) -> str:
        """All visible text, with whitespace collapsed and a space between any two elements."""
        return " ".join(" ".join(self._words).replace(NO_BREAK, " ").split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        found = Element(tag, dict(attrs), tuple(each.tag for each in self._open))
        self.elements.append(found)
        if tag not in _EMPTY:
            self._open.append(found)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in _EMPTY
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for each in self._open:
            each.text += data
        if any(each.tag == "body" for each in self._open):
            self._words.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)
