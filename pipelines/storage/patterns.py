"""What a path or glob means, the same on every filesystem; pure.

- ``*``, ``?`` and ``[...]`` match within one name; the part ``**`` matches any number of folders,
  none included. ``**`` beside other characters does too: ``**.csv`` is ``**/*.csv``.
- A part that exists under exactly this name is that file or folder, whatever characters it has.
- A folder means all files below it, at any depth.

A *state* is what may still follow: the remaining parts of all readings of a pattern.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from pipelines.storage.rubbish import find_rule

State = frozenset[tuple[str, ...]]

_WILDCARD = re.compile(r"[*?[]")
_STARS = re.compile(r"\*{3,}")
_ANY_DEPTH = "**"


def first_wildcard(text: str) -> int:
    """The position of the first wildcard; the text's length if it has none."""
    found = _WILDCARD.search(text)
    return len(text) if found is None else found.start()


def is_glob(text: str) -> bool:
    """Whether a path or a part of one has wildcards."""
    return _WILDCARD.search(text) is not None


def begin(parts: Sequence[str]) -> State:
    """The state in a folder below which the parts are looked for; no parts mean everything."""
    return _settle(_expand(tuple(_STARS.sub(_ANY_DEPTH, part) for part in parts)))


def is_match(state: State) -> bool:
    """Whether what was reached with this state matches the whole pattern."""
    return () in state


def descend(state: State, names: Collection[str]) -> Callable[[str], tuple[State, bool]]:
    """Prepares the step from a folder to its entries.

    Args:
      state: the folder's.
      names: of all entries.

    Returns:
      A function from an entry's name to its state, which is empty if it can't match, and whether
      the pattern asks for names of its kind (`rubbish`), as ``_*.csv`` asks for hidden files.
    """
    if is_match(state):  # of the folder: all below it matches
        state = frozenset({(_ANY_DEPTH,)})
    deep = _settle(rest for rest in state if rest[0] == _ANY_DEPTH)
    tests = [
        (_tester(rest[0], names), _settle([rest[1:]]), _asks_for(rest[0]))
        for rest in state
        if rest[0] != _ANY_DEPTH
    ]

    def step(name: str) -> tuple[State, bool]:
        found, asked = deep, False
        for fits, rest, asks in tests:
            if fits(name):
                found |= rest
                asked |= asks
        return found, asked

    return step


def count_hidden_by(part: str, names: Iterable[str]) -> int:
    """Counts the names that a part matches as a pattern, besides the one that is exactly it."""
    fits = _compiled(part)
    return sum(name != part and fits(name) is not None for name in names)


def exact_globs(state: State, names: Collection[str]) -> set[str]:
    """The parts with wildcards that are taken literally, because entries have these names."""
    return {rest[0] for rest in state if rest and is_glob(rest[0]) and rest[0] in names}


def _asks_for(part: str) -> bool:
    return not is_glob(part) or bool(find_rule(part))


def _tester(part: str, names: Collection[str]) -> Callable[[str], object]:
    if not is_glob(part) or part in names:
        return functools.partial(str.__eq__, part)
    return _compiled(part)


@functools.lru_cache(maxsize=1000)
def _compiled(part: str) -> Callable[[str], re.Match[str] | None]:
    return re.compile(fnmatch.translate(part)).match


def _settle(rests: Iterable[tuple[str, ...]]) -> State:
    """Adds what may follow if ``**`` stands for no folder."""
    found = set(rests)
    for rest in list(found):
        deep = 0
        while rest[deep : deep + 1] == (_ANY_DEPTH,):
            deep += 1
            found.add(rest[deep:])
    return frozenset(found)


def _expand(parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Yields the readings of a pattern in which ``**`` is always a part of its own."""
    for place, part in enumerate(parts):
        before, deep, after = part.partition(_ANY_DEPTH)
        if deep and (before or after):
            yield from _expand((*parts[:place], f"{before}*{after}", *parts[place + 1 :]))
            yield from _expand(
                (*parts[:place], f"{before}*", _ANY_DEPTH, f"*{after}", *parts[place + 1 :])
            )
            return
    yield parts
