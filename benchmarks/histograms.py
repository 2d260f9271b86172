"""What it costs to count values into a histogram's bins, by the way it is done.

`python -m benchmarks.histograms` prints nanoseconds a row for the shipped card's bins; all ways are
checked to give the same counts.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.generate import batch
from penguin_model.card import read_card
from pipelines.monitoring import histograms
from pipelines.reading.settings import DEFAULT_SIZES

MODEL = "models/penguin-classifier.keras"
ROWS = DEFAULT_SIZES.batch_rows
ROUNDS = 30

Values = np.ndarray[Any, np.dtype[np.floating[Any]]]
Way = Callable[[Values, tuple[float, ...]], Any]


def bins(above: list[int]) -> list[int]:
    """Counts of bins, from how many values lie at or above each edge."""
    return [more - less for more, less in zip(above, [*above[1:], 0], strict=True)]


def search(values: Values, edges: tuple[float, ...]) -> Any:
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)


def digitize(values: Values, edges: tuple[float, ...]) -> Any:
    return np.bincount(np.digitize(values, edges), minlength=len(edges) + 1)


def histogram(values: Values, edges: tuple[float, ...]) -> Any:
    return np.histogram(values, [-np.inf, *edges, np.inf])[0]


def sort(values: Values, edges: tuple[float, ...]) -> Any:
    return np.diff([0, *np.searchsorted(np.sort(values), edges), len(values)])


def add_comparisons(values: Values, edges: tuple[float, ...]) -> Any:
    places = np.zeros(len(values), np.uint8)
    for edge in edges:
        places += values >= edge
    return np.bincount(places, minlength=len(edges) + 1)


def compare_arrow(values: Values, edges: tuple[float, ...]) -> Any:
    array = pa.array(values)
    return bins(
        [len(values), *(pc.sum(pc.greater_equal(array, edge)).as_py() or 0 for edge in edges)]
    )


def compare_blocks(values: Values, edges: tuple[float, ...]) -> Any:
    buffer = np.empty(1 << 14, np.bool_)
    above = [len(values), *(0 for _ in edges)]
    for start in range(0, len(values), len(buffer)):
        block = values[start : start + len(buffer)]
        for index, edge in enumerate(edges, start=1):
            found = np.greater_equal(block, edge, out=buffer[: len(block)])
            above[index] += int(np.count_nonzero(found))
    return bins(above)


def compare_buffer(values: Values, edges: tuple[float, ...]) -> Any:
    buffer = np.empty(len(values), np.bool_)
    above = [int(np.count_nonzero(np.greater_equal(values, edge, out=buffer))) for edge in edges]
    return bins([len(values), *above])


WAYS: dict[str, Way] = {
    "np.histogram": histogram,
    "sort, then search the edges": sort,
    "np.digitize, np.bincount": digitize,
    "np.searchsorted, np.bincount": search,
    "compare with pyarrow": compare_arrow,
    "compare, add, np.bincount": add_comparisons,
    "compare in blocks of 16,384": compare_blocks,
    "compare into one buffer": compare_buffer,
    "compare (ours)": histograms.count_values,
}


def nanoseconds(work: Callable[[], Any]) -> float:
    """The least time a row of many rounds: whatever else a machine does only adds."""
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds) / ROWS * 1e9


def main() -> None:
    """Measures and prints."""
    card = read_card(MODEL)
    assert card.reference is not None
    made = batch(0, ROWS)
    columns = [made.column(name).to_numpy() for name in card.feature_names]
    edges = card.reference.features["BodyMass"].edges
    masses = columns[card.feature_names.index("BodyMass")]
    expected = list(search(masses, edges))
    print(f"{ROWS:,} rows of BodyMass, {len(edges)} edges")
    for name, way in WAYS.items():
        assert list(way(masses, edges)) == expected
        print(f"  {name:30} {nanoseconds(partial(way, masses, edges)):6.2f} ns a row")
    reference = card.reference
    everything = nanoseconds(lambda: histograms.count_features(columns, card.features, reference))
    best = np.random.default_rng(0).uniform(0.3, 1, ROWS).astype(np.float32)
    probability = nanoseconds(lambda: histograms.count_values(best, reference.probability.edges))
    print(f"all {len(columns)} features {everything:.2f} ns a row, probability {probability:.2f}")


if __name__ == "__main__":
    main()
