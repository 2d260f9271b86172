"""Names as people spell them: case and surrounding spaces don't tell two names apart."""

from __future__ import annotations

import difflib
import functools
import unicodedata
from collections.abc import Iterable

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


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Returns the name that was probably meant, or None if none is like it."""
    folded = {fold(each): each for each in known}
    found = difflib.get_close_matches(fold(name), folded, n=1)
    return folded[found[0]] if found else None
