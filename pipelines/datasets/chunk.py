"""The coder by which a chunk crosses a stage."""

from __future__ import annotations

import pyarrow as pa
from apache_beam import coders


class RecordBatchCoder(coders.Coder):
    """Encodes a record batch as an Arrow IPC stream.

    Beam has no coder for Arrow: it would pickle the batch, and a slice with the whole buffer it
    was cut from.
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
        """The size without encoding: runners sample it on every edge, fused ones too."""
        return int(value.nbytes)

    def is_deterministic(self) -> bool:
        """Equal batches may have unequal buffers."""
        return False

    def to_type_hint(self) -> type:
        """The element type."""
        chunk: type = pa.RecordBatch
        return chunk


def register_coder() -> None:
    """Makes Beam use the coder for the chunks of the pipelines that are built from here on."""
    coders.registry.register_coder(pa.RecordBatch, RecordBatchCoder)
