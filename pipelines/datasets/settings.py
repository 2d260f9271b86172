"""The sizes of shards and their row groups."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardSettings:
    """The sizes of shards and their row groups, which don't affect the rows.

    Attributes:
      row_group_rows: rows in a full row group of the output.
      row_group_bytes: a row group is also full at this many bytes in memory.
      shard_bytes: a shard ends with the row group that reaches this size.
    """

    row_group_rows: int = 1 << 20
    row_group_bytes: int = 64 << 20
    shard_bytes: int = 256 << 20

    def __post_init__(self) -> None:
        """Refuses sizes that aren't positive."""
        for field in dataclasses.fields(self):
            size = getattr(self, field.name)
            least = field.metadata.get("least", 1)
            if size < least:
                raise ValueError(f"{field.name} is {size}; it must be at least {least}")
