"""The sizes of the pieces that the job works in."""

from __future__ import annotations

import dataclasses

from pipelines.datasets.settings import ShardSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes(ShardSettings):
    """The sizes of the pieces that the job works in, shards included; they don't affect results.

    Attributes:
      span_bytes: a span of Parquet or Arrow ends with the row group or record batch that reaches
        this size, or a smaller one, see `planning.piece_bytes`.
      range_bytes: a larger CSV is divided into ranges of this many bytes, or fewer likewise.
      small_file_bytes: files up to this size are read together; 0 reads each alone.
      pack_files: maximum number of files read together.
      block_bytes: CSV bytes parsed at a time.
      block_rows: maximum CSV rows parsed at a time.
      batch_rows: Parquet or Arrow rows read and scored at a time.
      batch_bytes: their maximum decoded bytes; also applies to files read together.
    """

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
