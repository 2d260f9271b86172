"""A new file of this machine whose bytes go to the disk while more are being made."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import pyarrow as pa

# Few enough to be written before the file ends, and enough for the disk to write in one go.
_BYTES = 8 << 20
# From Linux's fs.h: begin to write pages that aren't being written yet, and don't wait for them.
_SYNC_FILE_RANGE_WRITE = 2


class WriteBehind:
    """Writes a file, and has its bytes written to the disk from time to time.

    Publication syncs every file. Linux begins to write after seconds by itself, so most bytes of a
    file would still be in memory then, and all workers would wait for the disk.

    Args:
      path: of the file; its folder must exist.
    """

    def __init__(self, path: str) -> None:
        self._file = pa.OSFile(path, "wb")
        self._begun = 0

    def write(self, content: Any) -> None:
        """Appends some bytes."""
        self._file.write(content)
        waiting = self._file.tell() - self._begun
        if waiting >= _BYTES:
            begin_to_write(self._file.fileno(), self._begun, waiting)
            self._begun += waiting

    def tell(self) -> int:
        """How many bytes were written."""
        return int(self._file.tell())

    def flush(self) -> None:
        """Hands all bytes to the system."""
        self._file.flush()

    def close(self) -> None:
        """Closes the file, without waiting for the disk."""
        self._file.close()


def begin_to_write(descriptor: int, offset: int, size: int) -> None:
    """Has the system begin to write a part of a file to the disk, if it can be asked to.

    It may fail in silence: only the sync that follows promises anything.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).sync_file_range(
            descriptor, ctypes.c_int64(offset), ctypes.c_int64(size), _SYNC_FILE_RANGE_WRITE
        )
