"""Chunks, and data sets: chunks at rest.

In go Arrow chunks and a folder; out come Parquet shards there and a record of each. The room never
imports `publishing` or `scoring`, and knows no run id and no output root. `chunk` and
`transforms` import Beam, so import the modules by their own names.
"""

from __future__ import annotations

__all__ = ["chunk", "schemas", "settings", "shard_writer", "transforms"]
