"""What it costs to read a category's column, by how it is stored and spelled.

`python -m benchmarks.categories` prints CPU nanoseconds a row on one thread, the least of five
times, beside those of a number.
"""

import functools
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from penguin_model.card import Category, Feature
from penguin_model.validate import read_column

ROWS = 1 << 20
ISLANDS = ("Torgersen", "Biscoe", "Dream")
ISLAND = Category(name="island", categories=ISLANDS)
YEAR = Category(name="year", categories=("2007", "2008", "2009"), one_hot=False)
TOWN = Category(name="town", categories=tuple(f"town {n}" for n in range(10_000)), one_hot=False)
MASS = Feature(name="mass", unit="g", scale=1000, minimum=0, maximum=9000)


def columns() -> dict[str, tuple[pa.Array, Category | Feature]]:
    """A column of each kind, and the feature that it is read as."""
    random = np.random.default_rng(0)
    islands = pa.array(np.array(ISLANDS)[random.integers(0, 3, ROWS)])
    numbers = random.integers(0, 9000, ROWS)
    return {
        "a number, float64": (pa.array(numbers.astype(float)), MASS),
        "a number in text": (pa.array(numbers.astype(str)), MASS),
        "a dictionary of three texts": (islands.dictionary_encode(), ISLAND),
        "three texts": (islands, ISLAND),
        "three texts in capitals, with spaces": (
            pa.array(np.char.add(np.char.upper(islands.to_numpy(False).astype(str)), "  ")), ISLAND
        ),
        "integers": (pa.array(random.integers(2007, 2010, ROWS)), YEAR),
        "10,000 texts": (pa.array([f"town {n}" for n in random.integers(0, 10_000, ROWS)]), TOWN),
        "a million texts, none of them known": (pa.array([f"x{n}" for n in range(ROWS)]), ISLAND),
        "the same in a dictionary": (
            pa.array([f"x{n}" for n in range(ROWS)]).dictionary_encode(), ISLAND
        ),
    }  # fmt: skip


def least(run: Callable[[], object], times: int = 5) -> float:
    """The least CPU time of a call, in nanoseconds a row."""
    found = []
    for _ in range(times):
        start = time.thread_time_ns()
        run()
        found.append(time.thread_time_ns() - start)
    return min(found) / ROWS


def main() -> None:
    """Prints a table."""
    for name, (array, feature) in columns().items():
        print(f"{name:38} {least(functools.partial(read_column, array, feature)):7.1f} ns")


if __name__ == "__main__":
    main()
