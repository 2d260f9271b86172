"""The bytes of a saved model, without what differs between two savings of the same network.

Keras writes two things into a ``.keras`` file that the network doesn't depend on: the local time,
and for objects that layers share the addresses that they had in memory. Its zip entries may also
have the time and the rights of temporary files. An ``.h5`` file has none of these.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from typing import Any

# The first moment that a zip file can hold. Keras' own file editor insists on a date.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_DATE_SAVED = "1980-01-01@00:00:00"
_SHARED = "shared_object_id"


def archive(content: bytes) -> bytes:
    """Rewrites a ``.keras`` file so that equal networks have equal bytes.

    Args:
      content: the file as Keras wrote it.

    Returns:
      A file that Keras loads the same network from: entries by name, uncompressed and without a
      time; no date in ``metadata.json``; shared objects numbered from 1 in ``config.json``.
    """
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new,
    ):
        for name in sorted(old.namelist()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, also on others
            entry.external_attr = 0o600 << 16
            edit = _EDITS.get(name)
            data = old.read(name)
            new.writestr(entry, edit(data) if edit else data)
    return target.getvalue()


def _without_date(content: bytes) -> bytes:
    metadata = json.loads(content)
    return json.dumps(metadata | {"date_saved": _DATE_SAVED}).encode()


def _renumbered(content: bytes) -> bytes:
    numbers: dict[int, int] = {}

    def renumber(found: dict[str, Any]) -> dict[str, Any]:
        if _SHARED in found:
            found[_SHARED] = numbers.setdefault(found[_SHARED], len(numbers) + 1)
        return found

    return json.dumps(json.loads(content, object_hook=renumber)).encode()


_EDITS: dict[str, Callable[[bytes], bytes]] = {
    "metadata.json": _without_date,
    "config.json": _renumbered,
}
