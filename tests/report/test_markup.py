"""Markup: text from outside never becomes HTML."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model.pages import markup
from penguin_model.pages.markup import Markup, element
from tests.support.pages import Page


@given(st.text())
def test_text_never_becomes_markup(text: str) -> None:
    page = Page(f"<body>{element('p', text, title=text)}</body>")
    assert [each.tag for each in page.elements] == ["body", "p"]
    # Where a parser reads text anew, as of a carriage return, the page shows the character's name.
    assert page.all("p")[0].text == page.all("p")[0].attributes["title"] == markup.visible(text)


@pytest.mark.parametrize("text", ["\u202e", "\u2066", "\ufeff", "\x00", "\x1b", "\r", "\udcff"])
def test_what_has_no_look_of_its_own_is_shown_by_its_number(text: str) -> None:
    assert markup.visible(f"a{text}b") == f"a‹U+{ord(text):04X}›b"


def test_markup_is_kept_and_none_is_nothing() -> None:
    assert element("p", Markup("<b>x</b>"), None, ["&", 1]) == "<p><b>x</b>&amp;1</p>"
    assert element("p", hidden=True, id=None, aria_label="a\"'<b") == (
        '<p hidden aria-label="a&quot;&#x27;&lt;b"></p>'
    )


def test_a_template_is_filled_with_escaped_text() -> None:
    filled = markup.fill("<p>$text</p>$more", text="<b>$more</b>", more=markup.element("i", "&"))
    assert filled == "<p>&lt;b&gt;$more&lt;/b&gt;</p><i>&amp;</i>"
    with pytest.raises(KeyError):
        markup.fill("$missing")
