"""How well novelty and prediction sets show which rows to trust, and what they cost.

`python -m benchmarks.trust` prints the tables of `docs/trust.md`; with names, only those.
"""

import argparse
import dataclasses
import itertools
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import generate
from benchmarks.meter import Cost, measure
from penguin_model import bundle, cli, trust
from penguin_model.card import ModelCard, Trust, card_path, read_card
from penguin_model.features import normalize
from penguin_model.training import dataset, fitting
from penguin_model.training.penguins import LAB
from penguin_model.training.table import Rows
from penguin_model.training.trusting import add_trust
from penguin_model.winners import find_winners
from pipelines.datasets import schemas
from pipelines.datasets.shard_writer import ShardWriter
from pipelines.monitoring import histograms
from pipelines.monitoring.trust import count, write_sets
from pipelines.reading.settings import DEFAULT_SIZES
from pipelines.scoring import Network
from pipelines.scoring.transforms import PredictFn

MODEL = "models/penguin-classifier.keras"
DATA = "data/penguins.csv"
ROWS = DEFAULT_SIZES.batch_rows
BATCHES = 8
ROUNDS = 20
RUNS = 3
SPLITS = 200
NETWORKS = 3
BOX_ROWS = 20_000
COVERAGES = (0.8, 0.9, 0.95, 0.99)
LIMIT_SECONDS = 600.0

Array = np.ndarray[Any, np.dtype[Any]]
Predict = Callable[[Array], Array]


def cards() -> tuple[ModelCard, ModelCard]:
    """The shipped card with its numbers fitted to the birds, and without any."""
    card = read_card(MODEL)
    data = dataset.load(DATA)
    birds, held_out = data.rows, data.test
    classifier = bundle.load_with_card(MODEL, card)
    answers = classifier.predict(fitting.matrix(held_out, card.features))
    reference = card.reference and dataclasses.replace(card.reference, novelty=None)
    bare = dataclasses.replace(card, trust=None, reference=reference)
    return add_trust(bare, birds, held_out, answers), bare


def least_seconds(*works: Callable[[], Any]) -> list[float]:
    """The least CPU time of many rounds, in turn: whatever else a machine does only adds."""
    seconds = []
    for _ in range(ROUNDS):
        for work in works:
            start = time.process_time()
            work()
            seconds.append(time.process_time() - start)
    return [min(seconds[place :: len(works)]) for place in range(len(works))]


def nanoseconds(work: Callable[[], Any]) -> float:
    """The least CPU time a row of work on a batch."""
    return least_seconds(work)[0] / ROWS * 1e9


def bird_batch(card: ModelCard, rows: int, seed: int) -> pa.RecordBatch:
    """A batch for `PredictFn` of birds drawn at random from the data, each a little changed."""
    random = np.random.default_rng(seed)
    birds = dataset.load(DATA).rows
    raw = birds.raw[random.integers(0, len(birds), rows)]
    raw = raw + random.normal(size=raw.shape) * 0.1 * birds.raw.std(axis=0)
    matrix = normalize(list(raw.T), card.features)
    return pa.RecordBatch.from_arrays(
        [
            schemas.constant("/night/a.parquet", rows),
            pa.array(np.arange(rows)),
            *map(pa.array, matrix.T),
        ],
        schema=schemas.batches((), card.features),
    )


def predict(card: ModelCard, batch: pa.RecordBatch) -> pa.RecordBatch:
    """What the prediction step makes of a batch."""
    (found,) = (
        each
        for each in PredictFn(card, Network.of_model(MODEL), ()).process(batch)
        if isinstance(each, pa.RecordBatch)
    )
    return found


def print_costs() -> None:
    """Prints nanoseconds a row of each part."""
    pa.set_cpu_count(1)
    card, _ = cards()
    assert card.reference is not None
    assert card.reference.novelty is not None
    edges = card.reference.novelty.edges
    batch = bird_batch(card, ROWS, 0)
    matrix = np.stack(batch.columns[2:]).T
    classifier = bundle.load_with_card(MODEL, card)
    by_class = [np.ascontiguousarray(each) for each in classifier.predict(matrix).T]
    winners, best = find_winners(by_class)
    scorer = trust.TrustScorer(card)
    novelty = scorer.measure(matrix)
    sets = scorer.find_sets(winners, best, by_class)

    def make_columns() -> list[pa.Array]:
        return [
            pa.array(novelty),
            pa.array(scorer.is_far(novelty)),
            write_sets(sets, card.classes),
        ]

    with tempfile.TemporaryDirectory() as folder:
        writes = (write_all(each, [predict(each, batch)] * BATCHES, folder) for each in cards())
        full, plain = (each / BATCHES / ROWS * 1e9 for each in least_seconds(*writes))
    parts = {
        "distances": nanoseconds(lambda: scorer.measure(matrix)),
        "finding the sets": nanoseconds(lambda: scorer.find_sets(winners, best, by_class)),
        "counting": nanoseconds(lambda: count(scorer.is_far(novelty), sets)),
        "histogram of novelty": nanoseconds(lambda: histograms.count_values(novelty, edges)),
        "making the columns": nanoseconds(make_columns),
        "writing the columns": full - plain,
    }
    print(f"{ROWS:,} birds, {sets.ambiguous / ROWS:.1%} of them ambiguous\n")
    print("| part | ns a row |\n| --- | --- |")
    for name, each in (*parts.items(), ("together", sum(parts.values()))):
        print(f"| {name} | {each:.1f} |")
    print(f"| writing the other columns | {plain:.1f} |")


def write_all(card: ModelCard, batches: list[pa.RecordBatch], folder: str) -> Callable[[], object]:
    """Writes batches of predictions as the job does."""

    def work() -> object:
        writer = ShardWriter(
            folder, "predictions", schemas.predictions((), card), {},
            max_shard_bytes=DEFAULT_SIZES.shard_bytes,
            row_group_rows=DEFAULT_SIZES.row_group_rows,
        )  # fmt: skip
        for each in batches:
            writer.write(each)
        return writer.finish()

    return work


def print_lists() -> None:
    """Prints nanoseconds a row of writing the sets as JSON text and as lists of names."""
    pa.set_cpu_count(1)
    card, _ = cards()
    found = predict(card, bird_batch(card, ROWS, 0)).column(card.set_column)
    places = {name: index for index, name in enumerate(card.classes)}
    sets = [[places[name] for name in json.loads(text)] for text in found.dictionary.to_pylist()]
    codes = found.indices.to_numpy()
    ends = np.cumsum([0, *(len(sets[code]) for code in codes)]).astype(np.int32)
    flat = np.array([index for code in codes for index in sets[code]], np.int32)
    names = pa.DictionaryArray.from_arrays(flat, pa.array(card.classes))
    lists = pa.ListArray.from_arrays(ends, names)
    print("| the sets as | ns a row |\n| --- | --- |")
    for name, column in (("JSON text", found), ("lists of names", lists)):
        schema = pa.schema([pa.field("species_set", column.type, nullable=False)])
        table = pa.Table.from_arrays([column], schema=schema)

        def write(table: pa.Table = table) -> None:
            pq.write_table(
                table, pa.BufferOutputStream(), use_dictionary=True, write_statistics=False,
                store_schema=False, write_batch_size=1 << 16,
            )  # fmt: skip

        print(f"| {name} | {nanoseconds(write):.1f} |")


def print_runs() -> None:
    """Prints CPU seconds of whole runs with and without the columns, in turns."""
    sizes = (1_000_000, 9_000_000)
    costs: dict[tuple[str, int], list[Cost]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        models = {kind: folder / kind / "model.keras" for kind in ("with", "without")}
        for model, card in zip(models.values(), cards(), strict=True):
            model.parent.mkdir()
            shutil.copy(MODEL, model)
            Path(card_path(str(model))).write_text(card.to_json())
        for size in sizes:
            generate.write(folder / f"{size}.parquet", size)
        for _, kind, size in itertools.product(range(RUNS), models, sizes):
            command = [
                sys.executable, "-m", "pipelines.score", "--no-progress",
                f"--input={folder}/{size}.parquet", f"--model={models[kind]}",
                f"--output={folder}/out",
            ]  # fmt: skip
            cost = measure(command, folder / "log.txt", LIMIT_SECONDS)
            costs.setdefault((kind, size), []).append(cost)
            shutil.rmtree(folder / "out")
    best = {key: min(each.cpu for each in found) for key, found in costs.items()}
    print("| rows | CPU s without | CPU s with | more |\n| --- | --- | --- | --- |")
    for size in sizes:
        plain, full = best["without", size], best["with", size]
        print(f"| {size:,} | {plain:.2f} | {full:.2f} | {full / plain - 1:.1%} |")
    plain, full = (best[kind, sizes[1]] - best[kind, sizes[0]] for kind in ("without", "with"))
    print(f"| the difference | {plain:.2f} | {full:.2f} | {full / plain - 1:.1%} |")


def known_birds() -> tuple[ModelCard, Array, Array]:
    """The shipped card, and all complete birds: normalized, and their labels."""
    card = read_card(MODEL)
    birds = dataset.load(DATA).rows
    return card, birds.raw / [each.scale for each in card.features], birds.labels


def make_scorer(known: Trust, coverage: float = trust.DEFAULT_COVERAGE) -> trust.TrustScorer:
    """A scorer of the shipped card with other numbers."""
    return trust.TrustScorer(dataclasses.replace(read_card(MODEL), trust=known), coverage)


def share_far(known: Trust, matrix: Array) -> float:
    """The share of rows out of distribution."""
    scorer = make_scorer(known)
    return float(scorer.is_far(scorer.measure(matrix.astype(np.float32))).mean())


def print_novelty() -> None:
    """Prints the share flagged, by how the limit is found, over many splits of the birds."""
    card, matrix, labels = known_birds()
    ends = np.array([(each.minimum, each.maximum) for each in card.features]).T
    ends /= [each.scale for each in card.features]
    box = np.random.default_rng(0).uniform(ends[0], ends[1], (BOX_ROWS, len(card.features)))
    flipper = card.feature_names.index("FlipperLength")
    found: dict[str, list[tuple[float, ...]]] = {}
    for seed in range(SPLITS):
        random = np.random.default_rng(seed)
        order = random.permutation(len(labels))
        test, known = order[:103], order[103:]
        shuffled = matrix[test].copy()
        shuffled[:, flipper] = random.permutation(shuffled[:, flipper])
        for name, fitted in fit_limits(matrix[known], labels[known]):
            shares = (share_far(fitted, each) for each in (matrix[test], box, shuffled))
            found.setdefault(name, []).append((fitted.novelty_limit, *shares))
    print(
        "| limit | its value | held-out birds | uniform in the box | flipper lengths shuffled |\n"
        "| --- | --- | --- | --- | --- |"
    )
    for name, rows in found.items():
        mean, spread = np.mean(rows, axis=0), np.std(rows, axis=0)
        texts = [f"{m:.1%} ± {s:.1%}" for m, s in zip(mean[1:], spread[1:], strict=True)]
        print(f"| {name} | {mean[0]:.2f} ± {spread[0]:.2f} | {' | '.join(texts)} |")


def fit_limits(matrix: Array, labels: Array) -> Iterator[tuple[str, Trust]]:
    """Fits the same birds with each way to find the limit."""
    answers = np.full((len(labels), 3), 1 / 3, np.float32)

    def fit(rows: slice) -> Trust:
        return trust.fit(matrix[rows], labels[rows], held_out_labels=labels, probabilities=answers)

    crossed = fit(slice(None))
    yield "99.5 % quantile, cross-fitted (ours)", crossed
    largest = trust.held_out_distances(matrix, labels).max()
    yield "the largest, cross-fitted", dataclasses.replace(crossed, novelty_limit=float(largest))
    # As many as the recipe holds out.
    held_out = 3 * len(labels) // 10
    part = fit(slice(held_out, None))
    distances = make_scorer(part).measure(matrix[:held_out].astype(np.float32))
    limit = float(np.quantile(distances, trust.NOVELTY_QUANTILE))
    yield "99.5 % quantile of a held-out part", dataclasses.replace(part, novelty_limit=limit)


def fit_regression(matrix: Array, labels: Array, seed: int) -> Predict:
    """A logistic regression, which takes a thousandth of the network's time to fit."""
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(matrix, labels)
    return lambda rows: np.asarray(model.predict_proba(rows), np.float32)


def fit_network(matrix: Array, labels: Array, seed: int) -> Predict:
    """The network of the recipe."""
    features = read_card(MODEL).features
    raw = matrix * [each.scale for each in features]
    birds = Rows(raw=raw, labels=labels, numbers=np.arange(len(labels)))
    config = fitting.TrainConfig(seed=seed)
    fitted = fitting.train_on(config, LAB, birds, birds, features, say=lambda text: None)
    return lambda rows: fitted.predict(rows.astype(np.float32))


def print_coverage() -> None:
    """Prints how often sets have the true species, over many splits of the birds."""
    print(
        "| model | asked | covered | by the conformal set or the winner alone | "
        "classes in a set | sets of several |\n| --- | --- | --- | --- | --- | --- |"
    )
    for name, fit, splits in (
        ("logistic regression", fit_regression, SPLITS), ("network", fit_network, NETWORKS)
    ):  # fmt: skip
        rows = [each for seed in range(splits) for each in cover(fit, seed)]
        for coverage in COVERAGES:
            mine = np.array([each[1:] for each in rows if each[0] == coverage])
            mean, spread = mine.mean(axis=0), mine.std(axis=0)
            print(
                f"| {name}, {splits} splits | {coverage} | {mean[0]:.3f} ± {spread[0]:.3f} | "
                f"{mean[1]:.3f} ± {spread[1]:.3f} | {mean[2]:.3f} | {mean[3]:.1%} |",
                flush=True,
            )


def cover(
    fit: Callable[[Array, Array, int], Predict], seed: int
) -> Iterator[tuple[float, float, float, float, float]]:
    """Fits a model, takes the scores of 103 birds, and looks at the sets of 68 others.

    Yields:
      The coverage asked, the share of sets with the true class, the same of conformal sets that
      have the most probable class where they'd be empty, the mean size, the share of larger sets.
    """
    _, matrix, labels = known_birds()
    order = np.random.default_rng(seed).permutation(len(labels))
    test, held_out, known = order[:68], order[68:171], order[171:]
    predict = fit(matrix[known], labels[known], seed)
    fitted = trust.fit(
        matrix[known], labels[known],
        held_out_labels=labels[held_out], probabilities=predict(matrix[held_out]),
    )  # fmt: skip
    answers, truth = predict(matrix[test]), labels[test]
    by_class = [np.ascontiguousarray(each) for each in answers.T]
    winners, best = find_winners(by_class)
    for coverage in COVERAGES:
        found = make_scorer(fitted, coverage).find_sets(winners, best, by_class)
        sets = [found.sets[code] for code in found.codes]
        hits = [label in each for label, each in zip(truth, sets, strict=True)]
        least = trust.least_probability(fitted.scores, coverage)
        bare = (answers[np.arange(len(test)), truth] >= least) | (winners == truth)
        sizes = [len(each) for each in sets]
        larger = found.ambiguous / len(test)
        yield coverage, float(np.mean(hits)), float(bare.mean()), float(np.mean(sizes)), larger


TABLES: Mapping[str, Callable[[], None]] = {
    "costs": print_costs,
    "lists": print_lists,
    "runs": print_runs,
    "novelty": print_novelty,
    "coverage": print_coverage,
}


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trust", description=__doc__)
    parser.add_argument("tables", nargs="*", help=f"some of {', '.join(TABLES)}; all if none")
    chosen = parser.parse_args().tables or list(TABLES)
    if unknown := set(chosen) - set(TABLES):
        parser.error(f"unknown tables: {', '.join(sorted(unknown))}")
    cli.quiet_libraries(verbose=False)
    for name in chosen:
        print(f"\n{name}\n", flush=True)
        TABLES[name]()


if __name__ == "__main__":
    main()
