"""The pure parts of the steps, and the DoFns on their own."""

from pathlib import Path

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from penguin_model.features import normalize
from penguin_model.winners import find_winners
from pipelines import job
from pipelines.datasets import schemas
from pipelines.datasets.chunk import RecordBatchCoder
from pipelines.scoring.transforms import NormalizeFn
from tests.support.toy import toy_card

MATRICES = hnp.arrays(
    np.float32,
    st.tuples(st.integers(0, 20), st.integers(2, 5)),
    elements=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
)


@given(MATRICES)
def test_winners_are_those_of_argmax(matrix: npt.NDArray[np.float32]) -> None:
    winners, best = find_winners(list(matrix.T))
    np.testing.assert_array_equal(winners, matrix.argmax(axis=1))
    np.testing.assert_array_equal(best, matrix.max(axis=1))


def test_nan_is_never_a_winner_unseen() -> None:
    for position in range(3):
        row = np.full((1, 3), 0.3, np.float32)
        row[0, position] = np.nan
        assert np.isnan(find_winners(list(row.T))[1]).all()


def chunk(rows: int) -> pa.RecordBatch:
    card = toy_card()
    random = np.random.default_rng(rows)
    return pa.RecordBatch.from_arrays(
        [
            schemas.constant("/night/a.csv", rows),
            pa.array(np.arange(rows)),
            pa.array([f"b{n}" for n in range(rows)]),
            *(pa.array(random.uniform(f.minimum, f.maximum, rows)) for f in card.features),
        ],
        schema=schemas.observations(("bird",), card.features),
    )


def test_normalize_keeps_the_places_and_makes_the_matrix() -> None:
    card, given_rows = toy_card(), chunk(9)
    batch, _ = NormalizeFn(card, ("bird",)).process(given_rows)
    assert batch.schema.equals(schemas.batches(("bird",), card.features))
    assert batch.columns[:3] == given_rows.columns[:3]
    matrix = np.stack(batch.columns[3:]).T
    columns = [column.to_numpy() for column in given_rows.columns[3:]]
    np.testing.assert_array_equal(matrix, normalize(columns, card.features))


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_the_coder_carries_batches_and_slices(rows: int, start: int, length: int) -> None:
    coder, batch = RecordBatchCoder(), chunk(rows)
    assert coder.decode(coder.encode(batch)).equals(batch)
    piece = batch.slice(min(start, rows), length)
    assert coder.decode(coder.encode(piece)).equals(piece)
    assert coder.estimate_size(piece) <= coder.estimate_size(batch) + 100


def test_a_slice_is_encoded_without_the_batch_it_was_cut_from() -> None:
    batch = chunk(100_000)
    assert len(RecordBatchCoder().encode(batch.slice(500, 10))) < 10_000


def test_every_chunk_travels_by_our_own_coder(tmp_path: Path, shipped_model: Path) -> None:
    """Beam does not read annotations that are text, and would pickle the chunks."""
    flags = ["--input", __file__, "--output", str(tmp_path), "--model", str(shipped_model)]
    prepared = job.prepare(job.parse_arguments("test", flags), flags)
    pipeline = beam.Pipeline(runner=prepared.submission.runner, options=prepared.submission.options)
    _ = pipeline | "Score" >> prepared.transform
    components = pipeline.to_runner_api().components
    steps = {
        collection.unique_name.split("Score/")[1].split("/")[0].split(".")[0]
        for collection in components.pcollections.values()
        if b"RecordBatchCoder" in components.coders[collection.coder_id].spec.payload
    }
    assert {"Read and validate", "Normalize", "Predict", "Reconcile"} <= steps
