"""Chunks in flight, and data sets of chunks on disk.

In: Arrow chunks and a folder. Out: Parquet shards in it, and a record of each. Never imports
`publishing` or `scoring`, and doesn't know run ids or output roots. `chunk` and `transforms` import
Beam, so import modules individually.
"""

from __future__ import annotations

__all__ = ["chunk", "data_sets", "schemas", "settings", "shard_writer", "transforms"]
