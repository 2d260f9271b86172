"""Default flags for a runner, unless the user gave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def add_defaults(arguments: Sequence[str], defaults: Mapping[str, str]) -> list[str]:
    """Adds the flags that a command line doesn't have.

    Args:
      arguments: the command line.
      defaults: values by flag.
    """
    given = {each.split("=")[0] for each in arguments}
    added = [f"{flag}={value}" for flag, value in defaults.items() if flag not in given]
    return [*arguments, *added]
