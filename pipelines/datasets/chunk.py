"""The Beam coder for chunks."""

from __future__ import annotations

import pyarrow as pa
from apache_beam import coders


class RecordBatchCoder(coders.Coder):
    """Encodes a record batch as an Arrow IPC stream.

    Beam has no coder for Arrow: it would pickle the batch, and for a slice the whole buffer behind
    it.
    """

    def encode(self, value: pa.RecordBatch) -> bytes:
        """Encodes one batch."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, value.schema) as writer:
            writer.write_batch(value)
        return bytes(sink.getvalue())

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """Decodes one batch."""
        with pa.ipc.open_stream(encoded) as reader:
            return reader.read_next_batch()

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """The size without encoding, as runners sample it on every edge, even fused ones."""
        return int(value.nbytes)

    def is_deterministic(self) -> bool:
        """False, as equal batches may have different buffers."""
        return False

    def to_type_hint(self) -> type:
        """The element type."""
        chunk: type = pa.RecordBatch
        return chunk


def register_coder() -> None:
    """Makes Beam use the coder for chunks in pipelines built afterwards."""
    coders.registry.register_coder(pa.RecordBatch, RecordBatchCoder)
