"""Opens the file of a CSV as UTF-8 text, whatever it is compressed with or encoded in."""

from __future__ import annotations

import codecs
import dataclasses
import re
from collections.abc import Callable
from typing import BinaryIO, NamedTuple, cast

from pipelines.reading import foreign
from pipelines.reading.csv_files.compressed import Codec, find_codec, reader_of
from pipelines.reading.csv_files.records import BOM
from pipelines.reading.dialect import Dialect
from pipelines.reading.foreign import HEAD
from pipelines.reading.unreadable import UnreadableFile

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
# Excel's first line, which isn't part of the table. A saved copy has it quoted or padded.
_SEPARATOR = re.compile(rb'"?sep=([^\r\n])"?\1*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_CHECK_BYTES = 1 << 20


class Text(NamedTuple):
    """The text of a file.

    Attributes:
      stream: its bytes in UTF-8.
      dialect: how its fields and numbers are written.
      encoding: what it is compressed with or encoded in, for people; empty for UTF-8.
      is_plain: whether these are all the bytes of the file itself.
    """

    stream: BinaryIO
    dialect: Dialect
    encoding: str
    is_plain: bool


def open_text(source: BinaryIO, dialect: Dialect, codec: Codec | None = None) -> Text:
    """Opens a file as text.

    If the text is compressed or encoded, it is read to its end first: otherwise the rows before any
    damage would be published, and again once the file is delivered whole.

    Args:
      source: the file.
      dialect: of a file that doesn't name its own delimiter.
      codec: what the file's name says it is compressed with; None if it says nothing.

    Raises:
      UnreadableFile: it is damaged, or isn't text.
    """
    stream, encoding = _decode(source, codec)
    if encoding:
        while stream.read(_CHECK_BYTES):
            pass
        stream, _ = _decode(source, codec)
    return _begin(stream, dialect, encoding)


def look(source: BinaryIO, dialect: Dialect, codec: Codec | None = None) -> Text:
    """Opens a file as text without reading it to its end first; see `open_text`.

    Raises:
      UnreadableFile: it is damaged at its beginning, or isn't text.
    """
    stream, encoding = _decode(source, codec)
    return _begin(stream, dialect, encoding)


class _Stream:
    """Bytes that a function reads, with a look at those to come."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._ahead = b""

    def peek(self) -> bytes:
        """Returns the first bytes without taking them."""
        while len(self._ahead) < HEAD and (more := self._read(HEAD - len(self._ahead))):
            self._ahead += more
        return self._ahead

    def read(self, size: int) -> bytes:
        """Returns at most about as many bytes; none at the end."""
        ahead, self._ahead = self._ahead[:size], self._ahead[size:]
        return ahead + self._read(size - len(ahead)) if len(ahead) < size else ahead


def _decode(source: BinaryIO, codec: Codec | None) -> tuple[_Stream, str]:
    """Returns the text of a file, and what it was compressed with or encoded in."""
    source.seek(0)
    stream, encodings = _Stream(source.read), []
    found = find_codec(stream.peek())
    if found:
        source.seek(0)
        stream, encodings = _Stream(reader_of(source, found)), [found.name]
        if find_codec(stream.peek()):
            raise UnreadableFile("the file is compressed twice; uncompress it once")
    elif codec and stream.peek():
        raise UnreadableFile(
            f"the file is not compressed, though its name says {codec.name}: rename it, or deliver "
            "it again if it is broken"
        )
    kind = foreign.recognize(stream.peek())
    if kind:
        raise UnreadableFile(f"this is {kind}")
    if stream.peek().startswith(_UTF_16):
        stream = _Stream(_from_utf_16(stream))
        encodings.append("UTF-16")
    return stream, ", ".join(encodings)


def _from_utf_16(stream: _Stream) -> Callable[[int], bytes]:
    """Returns a function that reads UTF-16 text, with its byte-order mark, as UTF-8."""
    decoder = codecs.getincrementaldecoder("utf-16")()

    def read(size: int) -> bytes:
        while True:
            # Two bytes become three at most.
            data = stream.read(max(2, size // 2))
            try:
                text = decoder.decode(data, final=not data)
            except UnicodeDecodeError as error:
                raise UnreadableFile(
                    f"the UTF-16 text is broken ({error.reason}); deliver it again, or save it as "
                    "UTF-8"
                ) from error
            if text or not data:
                return text.encode()

    return read


def _begin(stream: _Stream, dialect: Dialect, encoding: str) -> Text:
    """Takes the line that names the delimiter, if the text begins with one."""
    head = stream.peek()
    text = head.removeprefix(BOM)
    line = _SEPARATOR.match(text)
    if line:
        stream.read(len(head) - len(text) + line.end())
        try:
            dialect = dataclasses.replace(dialect, delimiter=line[1].decode("latin-1"))
        except ValueError as error:
            raise UnreadableFile(f"the first line names the delimiter, but {error}") from error
    return Text(cast(BinaryIO, stream), dialect, encoding, not (encoding or line))
