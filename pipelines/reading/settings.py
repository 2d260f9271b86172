"""How large the pieces are that the job works in."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the pieces are that the job works in; the result is the same for any.

    Attributes:
      span_bytes: a span of Parquet ends with the row group that reaches this size, uncompressed.
      range_bytes: a larger CSV is divided into ranges of this many bytes.
      small_file_bytes: files up to this size are read many at a time.
      pack_files: how many of them at most.
      block_bytes: CSV bytes that are parsed at a time.
      block_rows: and rows of it at most.
      batch_rows: Parquet rows that are read, and scored, at a time.
      batch_bytes: decoded bytes of them at most; of a pack's files as well.
      row_group_rows: rows of a full row group of the output.
      row_group_bytes: bytes in memory of a full row group, where its rows are wide.
      shard_bytes: a shard ends with the row group that reaches this size.
    """

    # Small enough that the in-process runner, which deals spans out in turns, shares them evenly.
    span_bytes: int = 16 << 20
    range_bytes: int = 16 << 20
    small_file_bytes: int = 64 << 10
    pack_files: int = 256
    block_bytes: int = 8 << 20
    block_rows: int = 1 << 19
    batch_rows: int = 1 << 17
    batch_bytes: int = 16 << 20
    row_group_rows: int = 1 << 20
    row_group_bytes: int = 64 << 20
    shard_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        """Refuses sizes that contradict each other."""
        for name, value in dataclasses.asdict(self).items():
            if value < 1 and name != "small_file_bytes":
                raise ValueError(f"{name} is {value}; it must be at least 1")
        if self.small_file_bytes > self.range_bytes:
            raise ValueError(
                f"small_file_bytes, {self.small_file_bytes}, is more than range_bytes, "
                f"{self.range_bytes}: a file is either read whole or divided"
            )


DEFAULT_SIZES = Sizes()
