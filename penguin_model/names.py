"""Names as people spell them: case and surrounding spaces don't tell two names apart."""

from __future__ import annotations

import difflib
import functools
import unicodedata
from collections.abc import Iterable, Mapping, Sequence

from penguin_model.errors import CardError

# Invisible: byte-order mark, zero-width spaces.
_NOTHING = dict.fromkeys(map(ord, "\ufeff\u200b\u200c\u200d\u2060"))


@functools.lru_cache(maxsize=1 << 12)
def fold(name: str) -> str:
    """Returns what two spellings of a name have in common.

    Case, surrounding white space, how many spaces separate two words, and the encoding of an
    accent make no difference. Underscores aren't spaces.
    """
    text = unicodedata.normalize("NFKC", name.translate(_NOTHING)).casefold()
    # Folding may leave an accent apart from its letter.
    return " ".join(unicodedata.normalize("NFKC", text).split())


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Returns the name that was probably meant, or None if none is like it."""
    folded = {fold(each): each for each in known}
    found = difflib.get_close_matches(fold(name), folded, n=1)
    return folded[found[0]] if found else None


def refuse_shared(what: str, aliases: Mapping[str, Sequence[str]]) -> None:
    """Refuses an alias that could mean two things.

    Args:
      what: what is named, for the message.
      aliases: by name.

    Raises:
      CardError: an alias is empty, belongs to two names, or is another name.
    """
    owners: dict[str, str] = {}
    for name in aliases:
        owners.setdefault(fold(name), name)
    for name, others in aliases.items():
        for alias in others:
            if not fold(alias):
                raise CardError(f"{what} {name!r} has an empty alias")
            owner = owners.setdefault(fold(alias), name)
            if owner != name:
                raise CardError(f"alias {alias!r} of {what} {name!r} also means {owner!r}")
