"""Labels from columns of any type, and accuracy, checked against scikit-learn."""

import datetime
import decimal
import json
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from penguin_model import measures
from penguin_model.labels import MISSING, UNKNOWN, to_codes
from pipelines.counts.figures import Counts, add_up
from pipelines.monitoring import labels

CLASSES = ("Adelie", "Gentoo", "Chinstrap")
D = decimal.Decimal
NO_UTF8 = pa.array([b"a\xff", b"gentoo", None], pa.binary()).view(pa.string())

COLUMNS: list[tuple[pa.Array, list[int]]] = [
    (pa.array(["Adelie", "gentoo", "CHINSTRAP", " Adelie\t"]), [0, 1, 2, 0]),
    (pa.array(["0", "2", "1.0", "3", "-1", "0.5"]), [0, 2, 1, UNKNOWN, UNKNOWN, UNKNOWN]),
    (pa.array(["1.00", "+2", "1e0", "2.", "1.5", "inf"]), [1, 2, 1, 2, UNKNOWN, UNKNOWN]),
    (pa.array(["", " ", "NA", "NaN", "NAN", None]), [MISSING] * 6),
    (pa.array(["Macaroni", "Adelie Gentoo"]), [UNKNOWN] * 2),
    (pa.array(["x", "Adelie", "Gentoo", None]).slice(1), [0, 1, MISSING]),
    (pa.array(["Gentoo", None], pa.large_string()), [1, MISSING]),
    (pa.array(["Gentoo", None], pa.string_view()), [1, MISSING]),
    (pa.array(["Gentoo", None, "x"]).dictionary_encode(), [1, MISSING, UNKNOWN]),
    (pa.array([2, None, 0]).dictionary_encode(), [2, MISSING, 0]),
    (NO_UTF8, [UNKNOWN, 1, MISSING]),
    (pa.array([b"Gentoo", b"a\xff", b" 2", None]), [1, UNKNOWN, 2, MISSING]),
    (pa.array([b"Gentoo", None], pa.large_binary()).dictionary_encode(), [1, MISSING]),
    (pa.array([0, 2, 3, -1, None]), [0, 2, UNKNOWN, UNKNOWN, MISSING]),
    (pa.array([1, None], pa.uint8()), [1, MISSING]),
    (pa.array([b"2", None], pa.binary(1)), [2, MISSING]),
    (pa.array([b"2", None], pa.binary_view()), [2, MISSING]),
    (pa.array([1.0, 0.5, math.nan, None, math.inf]), [1, UNKNOWN, MISSING, MISSING, UNKNOWN]),
    (pa.array([D("1.0"), None]), [1, MISSING]),
    (pa.array([True, None]), [UNKNOWN, MISSING]),
    (pa.array([[1], None]), [UNKNOWN, MISSING]),
    (pa.array([datetime.date(2008, 1, 1), None]), [UNKNOWN, MISSING]),
    (pa.nulls(2), [MISSING] * 2),
    (pa.array([], pa.string()), []),
    (pa.array([], pa.float64()), []),
]


@pytest.mark.parametrize(("column", "codes"), COLUMNS, ids=[str(each.type) for each, _ in COLUMNS])
def test_labels_of_any_type(column: pa.Array, codes: list[int]) -> None:
    found = to_codes(column, CLASSES)
    assert found.dtype == np.int32
    assert found.tolist() == codes


def test_a_class_named_by_a_number_goes_by_its_name() -> None:
    for numbers in (
        pa.array([1, 0, 2, 3, None]),
        pa.array(["1.0", "0", "2.00", "3", "NA"]),
        pa.array([b" 1", b"0", b"2", b"3", None]),
    ):
        assert to_codes(numbers, ("2", "1")).tolist() == [1, UNKNOWN, 0, UNKNOWN, MISSING]
        # Nor is 0 the index of a class, if others are counted from 1.
        aliases = {"a": ("1",), "b": ("2",)}
        assert to_codes(numbers, ("a", "b"), aliases).tolist() == [0, UNKNOWN, 1, UNKNOWN, MISSING]


def test_more_spellings_than_a_narrow_dictionary_counts() -> None:
    names = [f"class {n}" for n in range(127)]
    indices = pa.array([126, None, 0], pa.int8())
    column = pa.DictionaryArray.from_arrays(indices, pa.array(names))
    assert to_codes(column, names).tolist() == [126, MISSING, 0]


Answers = tuple[Any, Any]


def answers(rows: int, classes: int, seed: int) -> Answers:
    """Seeded probabilities, and labels that they often hit."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet([0.3] * classes, rows).astype(np.float32)
    guessed = probabilities.argmax(axis=1)
    truth = np.where(random.random(rows) < 0.7, guessed, random.integers(0, classes, rows))
    return truth.astype(np.int32), probabilities


def winners(probabilities: Any) -> Any:
    return probabilities.argmax(axis=1).astype(np.int32)


def figures(*chunks: Answers) -> dict[tuple[str, str], int | Counts]:
    """The sums over chunks as the pipeline adds them up."""
    counted = [labels.count_hits(codes, winners(p), p.max(axis=1), p) for codes, p in chunks]
    names = {name for each in counted for name in each}
    return {
        (labels.GROUP, name): add_up(each[name] for each in counted if name in each)
        for name in names
    }


def report(*chunks: Answers, classes: tuple[str, ...] = CLASSES) -> dict[str, Any]:
    found = labels.summarize(figures(*chunks), classes, sum(len(codes) for codes, _ in chunks))
    assert found is not None
    assert json.loads(json.dumps(found)) == found
    return found


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("rows", [1, 50, 3000])
def test_scikit_learn_agrees(rows: int, classes: int) -> None:
    from sklearn import metrics

    truth, probabilities = answers(rows, classes, seed=rows)
    guessed, known = winners(probabilities), list(range(classes))
    names = tuple(f"c{n}" for n in known)
    found = report((truth[: rows // 3], probabilities[: rows // 3]),
                   (truth[rows // 3 :], probabilities[rows // 3 :]), classes=names)  # fmt: skip
    assert found["rows"] == rows
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(truth, guessed), abs=1e-6)
    matrix = metrics.confusion_matrix(truth, guessed, labels=known)
    assert found["confusion"] == matrix.tolist()
    clipped = np.clip(probabilities.astype(np.float64), 1e-7, 1)
    clipped /= clipped.sum(axis=1, keepdims=True)
    loss = metrics.log_loss(truth, clipped, labels=known)
    assert found["log_loss"] == pytest.approx(loss, abs=2e-6)
    for name, score in (("recall", metrics.recall_score), ("precision", metrics.precision_score)):
        expected = score(truth, guessed, labels=known, average=None, zero_division=np.nan)
        got = [math.nan if each is None else each for each in found[name].values()]
        np.testing.assert_allclose(got, expected, atol=1e-6)


def test_the_calibration_curve_of_scikit_learn() -> None:
    from sklearn.calibration import calibration_curve

    truth, probabilities = answers(5000, 3, seed=1)
    best = probabilities.max(axis=1).astype(np.float64)
    hits = winners(probabilities) == truth
    calibration = report((truth, probabilities))["calibration"]
    filled = [each for each in calibration["bins"] if each["rows"]]
    curve = calibration_curve(hits, best, n_bins=measures.BINS)
    np.testing.assert_allclose([each["accuracy"] for each in filled], curve[0], atol=1e-6)
    np.testing.assert_allclose([each["probability"] for each in filled], curve[1], atol=1e-6)
    weights = [each["rows"] / len(truth) for each in filled]
    error = sum(weights * np.abs(curve[0] - curve[1]))
    assert calibration["error"] == pytest.approx(error, abs=2e-6)
    assert (calibration["bins"][0]["probability"], calibration["bins"][0]["rows"]) == (None, 0)


CODES = st.integers(0, 40).flatmap(
    lambda rows: st.tuples(
        hnp.arrays(np.int32, rows, elements=st.integers(UNKNOWN, 2)),
        hnp.arrays(np.float32, (rows, 3), elements=st.floats(0, 1, width=32)),
    )
)


@given(st.lists(CODES, min_size=1, max_size=4), st.randoms())
def test_the_order_of_chunks_makes_no_difference(chunks: list[Answers], random: Any) -> None:
    before = figures(*chunks)
    random.shuffle(chunks)
    assert figures(*chunks) == before


@given(CODES)
def test_every_row_is_counted_once(chunk: Answers) -> None:
    codes, _ = chunk
    found = labels.summarize(figures(chunk), CLASSES, len(codes))
    if (codes == MISSING).all():
        assert found is None
        return
    assert found is not None
    assert found["rows"] + found["unlabelled"] == len(codes)
    assert found["rows"] == sum(each["rows"] for each in found["calibration"]["bins"])
    assert found["unknown"] == np.count_nonzero(codes == UNKNOWN) <= found["unlabelled"]


def test_a_sure_mistake_costs_what_keras_says() -> None:
    found = report((np.array([1], np.int32), np.array([[1, 0, 0]], np.float32)))
    assert found["log_loss"] == pytest.approx(-math.log(1e-7), abs=1e-6)
    assert found["accuracy"] == 0
    assert found["recall"] == {"Adelie": None, "Gentoo": 0, "Chinstrap": None}
    assert found["precision"] == {"Adelie": 0, "Gentoo": None, "Chinstrap": None}


def test_labels_of_no_known_class_alone() -> None:
    codes = np.array([UNKNOWN, MISSING], np.int32)
    found = report((codes, np.full((2, 3), 1 / 3, np.float32)))
    assert (found["rows"], found["unlabelled"], found["unknown"]) == (0, 2, 1)
    assert (found["accuracy"], found["log_loss"], found["calibration"]["error"]) == (None,) * 3


def test_without_labels_there_is_no_report() -> None:
    chunk = (np.full(3, MISSING, np.int32), np.full((3, 3), 1 / 3, np.float32))
    codes, probabilities = chunk
    assert (
        labels.count_hits(codes, winners(probabilities), probabilities[:, 0], probabilities) == {}
    )
    assert labels.summarize({("species", "Adelie"): 3}, CLASSES, 3) is None


@pytest.mark.parametrize(
    ("probability", "place"), [(0.0, 0), (0.3, 3), (0.9, 8), (0.95, 9), (1.0, 9)]
)
def test_bins_of_the_calibration(probability: float, place: int) -> None:
    # As float32, 0.9 is less than 0.9, and 0.3 more than 0.3.
    row = np.array([[0, np.float32(probability), 0]], np.float32)
    one = np.array([1], np.int32)
    counted = labels.count_hits(one, one, row[:, 1], row)
    assert counted["bin_rows"][place] == counted["bin_hits"][place] == 1
    assert counted["bin_probability"][place] == round(float(np.float32(probability)) * 1e9)
