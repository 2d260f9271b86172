"""How often a night is said to have drifted when it has not, how often when it has, and how fast.

`python -m benchmarks.false_alarms` prints Markdown tables in some minutes; the seeds are fixed. The
birds of a simulated night are drawn with replacement from the 342 real ones, and so is all that it
is compared with: 239 birds for the reference of features and novelty, 103 held-out ones for that of
species and probability, and the nights before. So references are samples too, as a user's are.

Nights are *equal* (each bird is as likely every night) or *vary*: the shares of the species are
drawn each night from a Dirichlet distribution, around those of the real birds. A concentration of
40 gives a third a standard deviation of 7 percentage points, 200 one of 3.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from penguin_model import bundle, cli, trust
from penguin_model.card import PREDICTION_COLUMN, Histogram, ModelCard, Reference
from penguin_model.features import normalize
from penguin_model.training import dataset, trusting
from penguin_model.training.evaluation import histogram
from pipelines.monitoring import divergence, drift, nights
from pipelines.monitoring.divergence import FALSE_ALARMS, Bins
from pipelines.monitoring.histograms import NOVELTY, PROBABILITY

MODEL = "models/penguin-classifier.keras"
DATA = "data/penguins.csv"
SIZES = (100, 1_000, 10_000, 100_000, 1_000_000)
# The parameters of the Dirichlet distribution add up to it; None for equal nights.
CONCENTRATIONS = (None, 200, 40)
BASELINES = (0, 3, 7)
HELD_OUT = (PROBABILITY, PREDICTION_COLUMN)
TRAINING_BIRDS, HELD_OUT_BIRDS = 239, 103
MAX_DRIFT = 0.2
# Rounds that already tell most nights from a drifted one.
FEW = 150
SHIFTED, SHIFTS = "CulmenLength", (0.25, 0.5)

Raw = np.ndarray[Any, np.dtype[np.float64]]
Night = dict[str, Bins]
Random = np.random.Generator


class Birds:
    """Birds to draw nights from: which bin each falls into, of all that is compared."""

    def __init__(self, raw: Raw, labels: Any, model: bundle.Classifier, card: ModelCard) -> None:
        assert card.reference is not None
        assert card.reference.novelty is not None
        matrix = normalize(list(raw.T), card.features)
        probabilities, distances = model.predict(matrix), trust.TrustScorer(card).measure(matrix)
        self.species = np.eye(len(card.classes))[labels]
        self.members = {
            **{
                name: _members(column, card.reference.features[name].edges)
                for name, column in zip(card.feature_names, raw.T, strict=True)
            },
            PROBABILITY: _members(probabilities.max(axis=1), card.reference.probability.edges),
            NOVELTY: _members(distances, card.reference.novelty.edges),
            PREDICTION_COLUMN: np.eye(len(card.classes), dtype=np.int64)[
                probabilities.argmax(axis=1)
            ],
        }

    def draw(self, random: Random, rows: int, concentration: float | None = None) -> Night:
        """A night's counts by what is compared."""
        counts = self.species.sum(axis=0)
        shares = counts / counts.sum()
        if concentration is not None:
            shares = random.dirichlet(concentration * shares)
        times = random.multinomial(rows, self.species @ (shares / counts))
        return {name: times @ members for name, members in self.members.items()}

    def draw_reference(self, random: Random) -> Night:
        """What a card would have as its reference."""
        trained, held_out = (self.draw(random, n) for n in (TRAINING_BIRDS, HELD_OUT_BIRDS))
        return trained | {name: held_out[name] for name in HELD_OUT}


def _members(values: Any, edges: tuple[float, ...]) -> Bins:
    """Which bin each value falls into, ``[n, bins]`` of 0 and 1."""
    return np.array([histogram([value], edges).counts for value in values])


def score(night: Night, training: Night, before: Sequence[Night]) -> float:
    """The score that `drift.measure` gives, in less time: most things need few rounds."""
    by_name = {name: [each[name] for each in before] for name in night}
    pairs = [(name, training[name]) for name in night]
    pairs += [(name, nights.pool(found)) for name, found in by_name.items() if found]
    level = FALSE_ALARMS / len(pairs)
    found = [(float(divergence.psi(night[name], other)), name, other) for name, other in pairs]
    allowed: dict[str, float] = {}
    for index, name, other in sorted(found, key=lambda each: -each[0]):
        # The same deals as the first of the many: as soon as some lie higher, more change nothing.
        few = divergence.simulate_chance(night[name], other, FEW)
        if np.count_nonzero(few >= index) >= divergence.RANK:
            continue
        if name not in allowed:
            allowed[name] = nights.allow(by_name[name], level) or 0.0
        if np.count_nonzero(few + allowed[name] >= index) >= divergence.RANK:
            continue
        every = divergence.simulate_chance(night[name], other, divergence.rounds_for(level))
        if index > divergence.find_limit(every, level) + allowed[name]:
            return index
    return 0.0


def rates(count: int, make: Callable[[Random], float], limits: Sequence[float]) -> list[float]:
    """The shares of simulated nights whose score exceeds each of the limits."""
    scores = np.array([make(np.random.default_rng(seed)) for seed in range(count)])
    return [float((scores > limit).mean()) for limit in limits]


def print_table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints Markdown; numbers are shares."""
    print(f"\n| {' | '.join(heads)} |\n|{' ---: |' * len(heads)}")
    for row in rows:
        cells = [f"{100 * each:.1f} %" if isinstance(each, float) else str(each) for each in row]
        print(f"| {' | '.join(cells)} |", flush=True)


def false_alarms(birds: Birds, count: int) -> None:
    """Prints how often a night like all others is beyond its thresholds, or held."""

    def night_of(rows: int, before: int, concentration: float | None) -> Callable[[Random], float]:
        def make(random: Random) -> float:
            training = birds.draw_reference(random)
            drawn = [birds.draw(random, rows, concentration) for _ in range(before + 1)]
            return score(drawn[0], training, drawn[1:])

        return make

    print("\nFalse alarms: beyond the threshold / over --max_drift, by nights in the baseline")
    heads = ["rows", "nights"]
    for before in BASELINES:
        heads += [f"{before} before", f"… over {MAX_DRIFT}"]
    table = []
    for concentration in CONCENTRATIONS:
        for rows in SIZES:
            kind = f"vary ({concentration})" if concentration else "equal"
            cells: list[object] = [f"{rows:,}", kind]
            for before in BASELINES:
                cells += rates(count, night_of(rows, before, concentration), (0, MAX_DRIFT))
            table.append(cells)
    print_table(heads, table)


def sequences(birds: Birds, count: int, length: int = 60, rows: int = 100_000) -> None:
    """Prints what happens in many nights in a row, if nobody looks at those that are held."""
    table = []
    for concentration in CONCENTRATIONS:
        early = beyond = held = 0
        for seed in range(count):
            random = np.random.default_rng(seed)
            training = birds.draw_reference(random)
            usual: list[Night] = []
            for place in range(length):
                night = birds.draw(random, rows, concentration)
                found = score(night, training, usual[-7:])
                early += found > 0 and place < BASELINES[-1]
                beyond, held = beyond + (found > 0), held + (found > MAX_DRIFT)
                if found <= MAX_DRIFT:
                    usual.append(night)
        kind = f"vary ({concentration})" if concentration else "equal"
        first, later = count * BASELINES[-1], count * (length - BASELINES[-1])
        table.append([kind, early / first, (beyond - early) / later, held / count / length])
    print(f"\n{length} nights of {rows:,} rows in a row, --max_drift {MAX_DRIFT}")
    heads = ["nights", f"first {BASELINES[-1]}: beyond", "later: beyond", "all: held"]
    print_table(heads, table)


def power(birds: Birds, shifted: dict[float, Birds], count: int) -> None:
    """Prints how often a shift of one feature is seen, after 7 nights."""

    def night_of(
        moved: Birds, rows: int, concentration: float | None, *, lasting: bool
    ) -> Callable[[Random], float]:
        def make(random: Random) -> float:
            training = birds.draw_reference(random)
            usual = moved if lasting else birds
            before = [usual.draw(random, rows, concentration) for _ in range(7)]
            return score(moved.draw(random, rows, concentration), training, before)

        return make

    table = []
    for rows in SIZES:
        cells: list[object] = [f"{rows:,}"]
        for moved in shifted.values():
            for concentration, lasting in ((None, False), (200, False), (40, False), (None, True)):
                make = night_of(moved, rows, concentration, lasting=lasting)
                cells += rates(count, make, (0,))
        table.append(cells)
    kinds = ("equal", "vary (200)", "vary (40)", "for 8 nights")
    usual = 1000 * birds.members[SHIFTED].sum(axis=0)
    sizes = [
        float(divergence.psi(1000 * moved.members[SHIFTED].sum(axis=0), usual))
        for moved in shifted.values()
    ]
    print(
        f"\nPower: {SHIFTED} shifted, beyond the threshold; PSI of all birds:", *map(_short, sizes)
    )
    print_table(["rows", *(f"{shift} sd, {kind}" for shift in shifted for kind in kinds)], table)


def _short(index: float) -> str:
    return f"{index:.2f}"


def seconds(features: int = 100, rows: int = 100_000) -> float:
    """The processor's time to compare a night of many features with training and 7 nights."""
    random = np.random.default_rng(0)

    def draw(size: int) -> Reference:
        def histogram_of(bins: int) -> Histogram:
            counts = random.multinomial(size, np.full(bins, 1 / bins))
            return Histogram(edges=tuple(range(bins - 1)), counts=tuple(counts.tolist()))

        return Reference(
            features={f"f{place}": histogram_of(10) for place in range(features)},
            classes=dict(zip("abc", random.multinomial(size, [1 / 3] * 3).tolist(), strict=True)),
            probability=histogram_of(8),
            novelty=histogram_of(10),
        )

    night, training = draw(rows), draw(TRAINING_BIRDS)
    baseline = {f"n{place}": draw(rows) for place in range(7)}
    start = time.process_time()
    drift.measure(night, training, baseline=baseline)
    return time.process_time() - start


def main() -> None:
    """Simulates and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--nights", type=int, default=1000, help="nights without drift, per cell")
    parser.add_argument("--shifted", type=int, default=100, help="nights with, per cell")
    parser.add_argument("--sequences", type=int, default=4, help="sequences of 60 nights")
    given = parser.parse_args()
    start, busy = time.perf_counter(), time.process_time()
    cli.quiet_libraries(verbose=False)
    model = bundle.load(MODEL)
    data = dataset.load(DATA)
    everybody, held_out = data.rows, data.test
    raw, labels = everybody.raw, everybody.labels
    answers = model.predict(normalize(list(held_out.raw.T), model.card.features))
    card = trusting.add_trust(model.card, everybody, held_out, answers)
    place = card.feature_names.index(SHIFTED)
    birds, shifted = Birds(raw, labels, model, card), {}
    for shift in SHIFTS:
        moved = raw.copy()
        moved[:, place] += shift * raw[:, place].std()
        shifted[shift] = Birds(moved, labels, model, card)
    print(f"100 features, training and 7 nights: {seconds():.2f} s of one core")
    false_alarms(birds, given.nights)
    sequences(birds, given.sequences)
    power(birds, shifted, given.shifted)
    print(
        f"\n{given.nights:,} nights, {given.shifted:,} shifted; "
        f"{time.process_time() - busy:.0f} s of a core, {time.perf_counter() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
