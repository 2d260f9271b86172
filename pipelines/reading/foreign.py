"""Files of other kinds than they are taken for: recognized by content or by name, with advice."""

from __future__ import annotations

from typing import BinaryIO

_WORKBOOK = "an Excel workbook; save its sheet as CSV"
_ARCHIVE = "unpack it"
_ZIP = "a ZIP archive; unzip it"
# The first bytes of a file, and what it is.
_MAGIC = {
    b"PAR1\x15": "a Parquet file; rename it to .parquet, or give --format parquet",
    b"ARROW1\0": "an Arrow file; rename it to .arrow, or give --format arrow",
    b"\xff\xff\xff\xff": "an Arrow stream; rename it to .arrow, or give --format arrow",
    b"FEA1\0": "a Feather file of version 1; save it as Parquet or as Feather version 2",
    b"Obj\x01": "an Avro file; save it as Parquet",
    b"\x89HDF": "an HDF5 file; save its table as Parquet or CSV",
    b"SQLite format 3\0": "an SQLite database; export its table as CSV",
    b"PK\x03\x04": _ZIP,
    b"PK\x05\x06": "an empty ZIP archive",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": _WORKBOOK,
    b"7z\xbc\xaf\x27\x1c": f"a 7z archive; {_ARCHIVE}",
    b"Rar!\x1a\x07": f"a RAR archive; {_ARCHIVE}",
    b"\x1f\x9d": f"compressed by an old program (.Z); {_ARCHIVE}",
    b"\x5d\0\0": f"compressed by an old program (.lzma); {_ARCHIVE}",
    b"%PDF-": "a PDF document; export its table as CSV",
    b"{\\rtf": "an RTF document; save its table as CSV",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"\xff\xfe\0\0": "UTF-32 text; save it as UTF-8",
    b"\0\0\xfe\xff": "UTF-32 text; save it as UTF-8",
}
# What the first file in a ZIP archive is called if the archive is a document.
_MEMBERS = (b"[Content_Types]", b"_rels/", b"docProps/", b"xl/", b"mimetypeapplication/vnd.oasis")
_NAME_OF_MEMBER = 30
_TAR = slice(257, 262)
# The bytes that `recognize` looks at.
HEAD = 512

# What to do with a file, by the ending of its name.
_SUFFIXES = {
    (".zip",): _ZIP,
    (".7z", ".rar", ".tar", ".tgz", ".tar.gz", ".z"): f"an archive; {_ARCHIVE}",
    (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods", ".numbers"): "a spreadsheet; save it as CSV",
    (".json", ".jsonl", ".ndjson", ".json.gz", ".geojson"): "JSON; convert it to CSV or Parquet",
    (".pdf", ".doc", ".docx", ".rtf"): "a document; export its table as CSV",
    (".orc", ".avro", ".h5", ".hdf5", ".sqlite", ".db", ".rds", ".sav", ".dta"): (
        "a file in a format that isn't read; convert it to CSV or Parquet"
    ),
    (".br",): "a Brotli file, which isn't read; uncompress it",
    (".gz", ".zst", ".bz2", ".xz", ".lz4"): (
        "a compressed file of some kind; if it holds a CSV, put .csv before the ending, or give "
        "--format csv"
    ),
}
# What text doesn't hold.
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\x1a"))


def recognize(head: bytes) -> str | None:
    """Recognizes content that isn't a CSV.

    Args:
      head: the first `HEAD` bytes of a file.

    Returns:
      What the file is and what to do with it; None if it may be a CSV.
    """
    if head.startswith(b"PK\x03\x04") and head[_NAME_OF_MEMBER:].startswith(_MEMBERS):
        return "a spreadsheet or another office document; save its sheet as CSV"
    if head[_TAR] == b"ustar":
        return f"a tar archive; {_ARCHIVE}"
    return next((what for magic, what in _MAGIC.items() if head.startswith(magic)), None)


def recognize_other(source: BinaryIO, taken_for: str) -> str:
    """Says what a file is if it isn't in the format it was taken for.

    Args:
      source: the open file.
      taken_for: the name of that format.

    Returns:
      The end of a message; empty if unknown.
    """
    source.seek(0)
    head = source.read(HEAD)
    kind = recognize(head)
    if kind is None and head and not set(head) & set(_CONTROLS):
        kind = "text; if it is a CSV, rename it to .csv or give --format csv"
    return f"; this is {kind}" if kind and taken_for not in kind else ""


def recognize_name(path: str) -> str | None:
    """What a file with a certain ending is and what to do with it; None if unknown."""
    name = path.lower()
    return next((what for ends, what in _SUFFIXES.items() if name.endswith(ends)), None)
