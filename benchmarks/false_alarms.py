"""How often a night is said to have drifted when it has not, and when it has.

`python -m benchmarks.false_alarms` prints a Markdown table, in about a minute; the seeds are fixed.
Nights are birds drawn with replacement:

- "training birds": from the 239 birds of the shipped card's reference, compared with that;
- "redrawn": from all 342 birds, and so are the 239 of the reference and a previous night of the
  same size: what happens to a user, whose training data are a sample too;
- the shifts: training birds, changed or chosen.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from penguin_model import bundle, cli
from penguin_model.card import ModelCard
from penguin_model.features import normalize
from penguin_model.training import dataset
from penguin_model.training.evaluation import histogram
from pipelines.monitoring import divergence
from pipelines.monitoring.histograms import PROBABILITY, SPECIES

MODEL = "models/penguin-classifier.keras"
DATA = "data/penguins.csv"
SIZES = (10, 30, 100, 342, 1_000, 10_000, 1_000_000)
MAX_DRIFT = 0.2
# Rounds that already tell most nights from a drifted one.
FEW = 150

Counts = np.ndarray[Any, np.dtype[np.int64]]
Raw = np.ndarray[Any, np.dtype[np.float64]]
Night = dict[str, Counts]


class Birds:
    """Birds to draw nights from: which bin each falls into, of all that is compared."""

    def __init__(self, raw: Raw, model: bundle.Classifier) -> None:
        card = model.card
        assert card.reference is not None
        probabilities = model.predict(normalize(list(raw.T), card.features))
        self.count = len(raw)
        self.members = {
            **{
                name: _members(column, card.reference.features[name].edges)
                for name, column in zip(card.feature_names, raw.T, strict=True)
            },
            PROBABILITY: _members(probabilities.max(axis=1), card.reference.probability.edges),
            SPECIES: np.eye(len(card.classes), dtype=np.int64)[probabilities.argmax(axis=1)],
        }

    def draw(self, random: np.random.Generator, rows: int) -> Night:
        """A night's counts by what is compared."""
        times = random.multinomial(rows, np.full(self.count, 1 / self.count))
        return {name: times @ members for name, members in self.members.items()}


def _members(values: Any, edges: tuple[float, ...]) -> Counts:
    """Which bin each value falls into, ``[n, bins]`` of 0 and 1."""
    return np.array([histogram([value], edges).counts for value in values])


def reference_of(card: ModelCard) -> Night:
    """The card's own counts."""
    assert card.reference is not None
    return {
        **{name: np.array(each.counts) for name, each in card.reference.features.items()},
        PROBABILITY: np.array(card.reference.probability.counts),
        SPECIES: np.array([card.reference.classes[name] for name in card.classes]),
    }


def score(night: Night, *references: Night) -> float:
    """The score that `drift.measure` gives, in less time: most things need few rounds."""
    pairs = [(night[name], other[name]) for other in references for name in night]
    found = sorted(
        ((float(divergence.psi(*pair)), pair) for pair in pairs), key=lambda each: -each[0]
    )
    for index, pair in found:
        # The same deals as the first of the many: as soon as some lie higher, more change nothing.
        few = divergence.simulate_chance(*pair, FEW)
        if np.count_nonzero(few >= index) >= divergence.RANK:
            continue
        ours, theirs = (tuple(each.tolist()) for each in pair)
        if beyond := divergence.compare(ours, theirs, comparisons=len(pairs)).score:
            return beyond
    return 0.0


def rates(nights: int, rows: int, make: Callable[[np.random.Generator, int], float]) -> list[float]:
    """The parts of all nights with anything beyond chance, and over MAX_DRIFT besides."""
    scores = np.array([make(np.random.default_rng(seed), rows) for seed in range(nights)])
    return [float((scores > 0).mean()), float((scores > MAX_DRIFT).mean())]


def main() -> None:
    """Simulates and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--nights", type=int, default=1000, help="nights without drift, per size")
    parser.add_argument("--shifted", type=int, default=200, help="nights with, per size and shift")
    given = parser.parse_args()
    start = time.perf_counter()
    cli.quiet_libraries(verbose=False)
    model = bundle.load(MODEL)
    everybody = dataset.complete(dataset.read(DATA))
    training, _ = dataset.split(everybody)
    card_counts = reference_of(model.card)
    own, everyone = Birds(training.raw, model), Birds(everybody.raw, model)
    gentoo = training.raw[training.labels == dataset.CLASSES.index("Gentoo")]
    longer, lighter = np.array([2, 0, 0, 0]), np.array([1, 1, 1, 0.9])
    shifts = {
        "culmen length + 2 mm": Birds(training.raw + longer, model),
        "body mass − 10 %": Birds(training.raw * lighter, model),
        "all Gentoo": Birds(gentoo, model),
    }

    def night_of(birds: Birds) -> Callable[[np.random.Generator, int], float]:
        return lambda random, rows: score(birds.draw(random, rows), card_counts)

    def anew(random: np.random.Generator, rows: int) -> float:
        return score(*(everyone.draw(random, each) for each in (rows, len(training), rows)))

    heads = ["training birds", f"… over {MAX_DRIFT}", "redrawn", f"… over {MAX_DRIFT}", *shifts]
    print(f"| rows | {' | '.join(heads)} |\n| ---: |{' ---: |' * len(heads)}")
    for rows in SIZES:
        found = [*rates(given.nights, rows, night_of(own)), *rates(given.nights, rows, anew)]
        found += [rates(given.shifted, rows, night_of(birds))[1] for birds in shifts.values()]
        print(f"| {rows:,} | {' | '.join(f'{100 * each:.1f} %' for each in found)} |", flush=True)
    print(
        f"\n{given.nights:,} nights, {given.shifted:,} shifted; {time.perf_counter() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
