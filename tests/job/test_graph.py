"""The pipeline's graph: what a step emits arrives somewhere, so that no row leaves unseen."""

from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.pipeline import PipelineVisitor

from pipelines import job


class Edges(PipelineVisitor):
    """Which PCollections steps make, and which they take."""

    def __init__(self) -> None:
        self.made: dict[Any, str] = {}
        self.taken: set[Any] = set()

    def visit_transform(self, node: Any) -> None:
        for tag, collection in node.outputs.items():
            self.made[collection] = f"{node.full_label}[{tag}]"
        self.taken |= {*node.inputs, *(side.pvalue for side in node.side_inputs)}


def test_every_output_of_a_step_is_consumed(tmp_path: Path, shipped_model: Path) -> None:
    flags = ["--input", __file__, "--output", str(tmp_path), "--model", str(shipped_model)]
    prepared = job.prepare(job.parse_arguments("test", flags), flags)
    pipeline = beam.Pipeline(runner=prepared.submission.runner, options=prepared.submission.options)
    _ = pipeline | "Score" >> prepared.transform
    edges = Edges()
    pipeline.visit(edges)
    assert len(edges.made) > 40
    (last,) = [label for made, label in edges.made.items() if made not in edges.taken]
    assert last.startswith("Score/Publish")
    # Only records cross to the publisher: rejects don't.
    shards = [label for made, label in edges.made.items() if label.endswith("[shards]")]
    assert len(shards) == 3
