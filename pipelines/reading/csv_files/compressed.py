"""Compressed files: how each kind is recognized and read.

Every codec reads files of several members (or frames), each compressed on its own, to their end,
and notices a file that is cut off or has anything else after its last member.
"""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import io
import lzma
import zlib
from collections.abc import Callable
from typing import Any, BinaryIO, cast

import pyarrow as pa

from pipelines import storage
from pipelines.reading.unreadable import UnreadableFile

# What damaged content raises. Arrow's own errors are OSErrors without a number.
_ERRORS = (OSError, EOFError, zlib.error, lzma.LZMAError, pa.ArrowException)
# `xz -9` needs 65 MiB.
_XZ_MEMORY = 128 << 20
_READ_BYTES = 64 << 10
# The block size, then the first block or, in an empty file, the end.
_BZIP2 = tuple(b"BZh%d" % size + rest for size in range(1, 10) for rest in (b"1AY&SY", b"\x17rE8P"))


@dataclasses.dataclass(frozen=True)
class Codec:
    """One kind of compression.

    Attributes:
      name: for people.
      suffix: of file names, after ``.csv``.
      magic: the bytes that a compressed file may begin with.
      open: returns a stream of the uncompressed bytes of an open file.
    """

    name: str
    suffix: str
    magic: tuple[bytes, ...]
    open: Callable[[BinaryIO], BinaryIO]


def _with_arrow(name: str) -> Callable[[BinaryIO], BinaryIO]:
    def open_(source: BinaryIO) -> BinaryIO:
        # Arrow closes the file it is given along with the stream.
        return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(_Borrowed(source)), name))

    return open_


class _Borrowed(io.RawIOBase):
    """A file that stays open when whoever reads it is done."""

    def __init__(self, source: BinaryIO) -> None:
        super().__init__()
        self._source = source

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._source.read(size)


class _Members:
    """The content of members that the standard library decompresses one at a time.

    Its own files ignore whatever follows the first member that is damaged.
    """

    def __init__(self, begin: Callable[[], Any], source: BinaryIO) -> None:
        self._begin = begin
        self._source = source
        self._unused = b""
        self._member: Any = None

    def read(self, size: int) -> bytes:
        """Returns some of the uncompressed bytes; none at the end."""
        while self._member is not None or self._next_member():
            data = b""
            if self._member.needs_input:
                data, self._unused = self._unused or self._source.read(_READ_BYTES), b""
                if not data:
                    raise EOFError("it is cut off")
            found: bytes = self._member.decompress(data, size)
            if self._member.eof:
                self._unused, self._member = self._member.unused_data, None
            if found:
                return found
        return b""

    def _next_member(self) -> bool:
        """Begins the next member, after the zeros that may pad the last one."""
        while not self._unused.lstrip(b"\0"):
            self._unused = self._source.read(_READ_BYTES)
            if not self._unused:
                return False
        self._unused = self._unused.lstrip(b"\0")
        self._member = self._begin()
        return True


def _begin_xz() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, _XZ_MEMORY)


def _in_members(begin: Callable[[], Any]) -> Callable[[BinaryIO], BinaryIO]:
    return lambda source: cast(BinaryIO, _Members(begin, source))


CODECS = (
    Codec(
        "gzip", ".gz", (b"\x1f\x8b",), lambda source: cast(BinaryIO, gzip.GzipFile(fileobj=source))
    ),
    Codec(
        "zstd",
        ".zst",
        # Frames to skip, which parallel compressors write, begin with one of 16 bytes.
        (b"\x28\xb5\x2f\xfd", *(bytes([first]) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))),
        _with_arrow("zstd"),
    ),
    Codec("bzip2", ".bz2", _BZIP2, _in_members(bz2.BZ2Decompressor)),
    Codec("xz", ".xz", (b"\xfd7zXZ\0",), _in_members(_begin_xz)),
    Codec("LZ4", ".lz4", (b"\x04\x22\x4d\x18",), _with_arrow("lz4")),
)


def find_codec(head: bytes) -> Codec | None:
    """The codec of a file, given its first bytes; None if it isn't compressed."""
    return next((codec for codec in CODECS if head.startswith(codec.magic)), None)


def reader_of(source: BinaryIO, codec: Codec) -> Callable[[int], bytes]:
    """Returns a function that reads the uncompressed bytes of an open file.

    It raises `UnreadableFile` where the file is damaged, and filesystem errors as they are.
    """
    stream = codec.open(source)

    def read(size: int) -> bytes:
        try:
            return stream.read(size)
        except _ERRORS as error:
            if isinstance(error, OSError) and storage.may_pass(error):
                raise
            reason = str(error).splitlines()[0] if str(error) else repr(error)
            raise UnreadableFile(
                f"the {codec.name} file is broken ({reason}); deliver it again"
            ) from error

    return read
