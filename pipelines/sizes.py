"""How large the pieces are that the job works in."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the pieces are that the job works in; the result is the same for any.

    Attributes:
      span_bytes: a span of Parquet ends with the row group that reaches this size, uncompressed.
      range_bytes: a larger CSV is divided into ranges of this many bytes.
      block_bytes: CSV bytes that are parsed at a time.
      batch_rows: Parquet rows that are read, and scored, at a time.
      row_group_rows: rows of a full row group of the output.
      shard_bytes: a shard ends with the row group that reaches this size.
    """

    span_bytes: int = 64 << 20
    range_bytes: int = 32 << 20
    block_bytes: int = 8 << 20
    batch_rows: int = 1 << 17
    row_group_rows: int = 1 << 20
    shard_bytes: int = 256 << 20


DEFAULT_SIZES = Sizes()
