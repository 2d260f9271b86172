"""Counts of the rows that deserve a second look, and the column of prediction sets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from penguin_model.trust import Sets
from pipelines.counts.figures import Figures, figures

GROUP = "trust"
OUT_OF_DISTRIBUTION, AMBIGUOUS = "out_of_distribution", "ambiguous"


def count(is_far: npt.NDArray[np.bool_], sets: Sets) -> Figures:
    """Counts a chunk's rows out of distribution, and those with more than one possible class."""
    found = {OUT_OF_DISTRIBUTION: int(np.count_nonzero(is_far)), AMBIGUOUS: sets.ambiguous}
    return figures(GROUP, found)


def summarize(found: Figures, rows: int, coverage: float) -> dict[str, Any]:
    """The fields of the manifest's `Trust`.

    Args:
      found: the run's sums, by group and name.
      rows: rows scored.
      coverage: of the prediction sets.
    """
    counts = {name: found.get((GROUP, name), 0) for name in (OUT_OF_DISTRIBUTION, AMBIGUOUS)}
    return {"rows": rows, **counts, "coverage": coverage}


def write_sets(found: Sets, classes: Sequence[str]) -> pa.DictionaryArray:
    """The prediction sets as JSON arrays of names, the most probable first.

    Text rather than lists: Parquet takes four times as long to write the levels of a list
    (`benchmarks/trust.py`), and JSON keeps any names apart.
    """
    texts = [json.dumps([classes[n] for n in each], ensure_ascii=False) for each in found.sets]
    # Looking for codes beyond the dictionary would take as long as all that's done here.
    return pa.DictionaryArray.from_arrays(found.codes, pa.array(texts, pa.string()), safe=False)
