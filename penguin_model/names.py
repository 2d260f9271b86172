"""Names as people spell them: case and surrounding spaces don't tell two names apart."""

from __future__ import annotations

import functools
import unicodedata

# Categories of characters that break a line, hide, or can't be written: controls, surrogates, line
# and paragraph separators.
_CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Invisible: byte-order mark, zero-width spaces.
_NOTHING = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060"))


@functools.lru_cache(maxsize=1 << 12)
def fold(name: str) -> str:
    """Returns what two spellings of a name have in common.

    Case, surrounding white space, how many spaces separate two words, and the encoding of an
    accent make no difference. Underscores aren't spaces.
    """
    if name.isascii():
        return " ".join(name.lower().split())
    text = unicodedata.normalize("NFKC", name.translate(_NOTHING)).casefold()
    # Folding may leave an accent apart from its letter.
    return " ".join(unicodedata.normalize("NFKC", text).split())


def find_control(text: str) -> str | None:
    """The first character that breaks a line, hides, or can't be written; None if there is none."""
    return next((each for each in text if unicodedata.category(each) in _CONTROLS), None)
