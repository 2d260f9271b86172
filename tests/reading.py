"""What the tests of both readers share: a card's features, and rows out of blocks."""

import io
from collections.abc import Iterable
from typing import Any

from penguin_model.card import Feature
from pipelines import csv_spans
from pipelines.blocks import Block, Reject, Wanted, split

LENGTH = Feature(name="length", unit="mm", scale=10, minimum=0.5, maximum=300)
MASS = Feature(name="mass", unit="g", scale=100, minimum=100, maximum=9000)
WANTED = Wanted(features=(LENGTH, MASS), passthrough=("id",))

Row = tuple[int, str, float, float]


def score_ready(
    blocks: Iterable[Block], wanted: Wanted = WANTED
) -> tuple[list[tuple[Any, ...]], list[Reject], int]:
    """All good rows (place, passthrough, values), all rejects, and the count of rows read."""
    rows: list[tuple[Any, ...]] = []
    rejects: list[Reject] = []
    read = 0
    for block in blocks:
        read += block.rows_read
        chunk, refused = split(block, "file", wanted)
        rejects += refused
        if chunk is not None:
            assert set(chunk.column("source_file").to_pylist()) == {"file"}
            rows += zip(*(column.to_pylist() for column in chunk.columns[1:]), strict=True)
    return rows, rejects, read


def read_csv(data: bytes, wanted: Wanted = WANTED, *, block_bytes: int = 1 << 20) -> Any:
    blocks = csv_spans.read(io.BytesIO(data), wanted, block_bytes=block_bytes)
    return score_ready(blocks, wanted)
