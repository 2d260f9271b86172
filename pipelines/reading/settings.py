"""How large the pieces are that the job works in."""

from __future__ import annotations

import dataclasses

from pipelines.datasets.settings import ShardSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes(ShardSettings):
    """How large the pieces are that the job works in, shards included; the result is the same.

    Attributes:
      span_bytes: a span of Parquet or Arrow ends with the row group or record batch that reaches
        this size.
      range_bytes: a larger CSV is divided into ranges of this many bytes.
      small_file_bytes: files up to this size are read together; 0 reads each alone.
      pack_files: how many of them at most.
      block_bytes: CSV bytes that are parsed at a time.
      block_rows: CSV rows that are parsed at a time, at most.
      batch_rows: Parquet or Arrow rows that are read, and scored, at a time.
      batch_bytes: their decoded bytes at most; those of files read together as well.
    """

    # Small enough that the in-process runner, which deals spans out in turns, shares them evenly.
    span_bytes: int = 16 << 20
    range_bytes: int = 16 << 20
    small_file_bytes: int = dataclasses.field(default=64 << 10, metadata={"least": 0})
    pack_files: int = 256
    block_bytes: int = 8 << 20
    block_rows: int = 1 << 19
    batch_rows: int = 1 << 17
    batch_bytes: int = 16 << 20

    def __post_init__(self) -> None:
        """Refuses sizes that contradict each other."""
        super().__post_init__()
        if self.small_file_bytes > self.range_bytes:
            raise ValueError(
                f"small_file_bytes, {self.small_file_bytes}, is more than range_bytes, "
                f"{self.range_bytes}: a file is either read whole or divided"
            )


DEFAULT_SIZES = Sizes()
