"""Keeps the memory of one chunk for the next, instead of giving it back to the system in between.

A chunk's columns are megabytes that live for milliseconds. By default, glibc gives such memory back
when it's freed, and the system clears every page of it when it's used again: that takes up to a
tenth of a worker's time, more on virtual machines (`benchmarks/steps.py`). It's for NumPy's arrays:
Arrow has an allocator of its own, and reads small files a twelfth faster with it.
"""

from __future__ import annotations

import ctypes
import functools

# glibc's names for its settings, from its malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
# The largest piece that glibc takes from its heaps rather than from the system each time.
_MOST_PIECE = 32 << 20
_KEPT = 256 << 20


@functools.cache
def keep_freed() -> None:
    """Makes this process keep freed memory; only once, and only with glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return
    mallopt(_MMAP_THRESHOLD, _MOST_PIECE)
    mallopt(_TRIM_THRESHOLD, _KEPT)
    mallopt(_TOP_PAD, 2 * _MOST_PIECE)
