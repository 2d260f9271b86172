"""Names of files and folders that aren't data: markers, temporary and hidden files; pure."""

from __future__ import annotations

import fnmatch
import re

# Names that start with "." or "_" are hidden, for programs that write data sets as for people.
_HIDDEN = (".*", "_*")
_RULES = (
    "*.crc",
    "*.tmp",
    "*.temp",
    "*.part",
    "*.partial",
    "*.filepart",
    "*.crdownload",
    "*.download",
    "*.unfinished",
    "*.swp",
    "*.swo",
    "*.lock",
    "*~",
    "~$*",
    "#*#",
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "Icon\r",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    "@eaDir",
)
RULES = (*_HIDDEN, *_RULES)
_ANY = re.compile("|".join(f"({fnmatch.translate(rule)})" for rule in _RULES), re.IGNORECASE)


def find_rule(name: str) -> str:
    """Finds the rule by which a file or folder isn't data; empty if it may be.

    A partition folder such as ``_day=3`` is data.

    Args:
      name: one name, without its folder.
    """
    if name.startswith(".") or (name.startswith("_") and "=" not in name):
        return f"{name[0]}*"
    found = _ANY.match(name)
    return _RULES[found.lastindex - 1] if found is not None and found.lastindex else ""
