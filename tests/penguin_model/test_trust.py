"""How far predictions can be trusted: distances, limits and prediction sets."""

import dataclasses
import fractions
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_model import trust
from penguin_model.card import Feature, ModelCard, Trust
from penguin_model.errors import UsageError


def make_card(features: int, classes: int, known: Trust, limit: float = 10.0) -> ModelCard:
    return ModelCard(
        name="toy", model_file="", sha256="", trust=known,
        features=tuple(
            Feature(name=f"f{n}", unit="", scale=1.0, minimum=-limit, maximum=limit)
            for n in range(features)
        ),
        classes=tuple(f"c{n}" for n in range(classes)),
    )  # fmt: skip


def make_scorer(scores: list[float], coverage: float, classes: int = 3) -> trust.TrustScorer:
    known = Trust(
        means=((0.0,),) * classes, covariances=(((1.0,),),) * classes, novelty_limit=3.0,
        scores=tuple(sorted(scores)),
    )  # fmt: skip
    return trust.TrustScorer(make_card(1, classes, known), coverage)


def naive_distance(row: Any, known: Trust) -> float:
    """The textbook formula, in float64."""
    squares = []
    for mean, covariance in zip(known.means, known.covariances, strict=True):
        away = np.asarray(row, np.float64) - mean
        squares.append(away @ np.linalg.inv(np.array(covariance)) @ away)
    return math.sqrt(min(squares))


def naive_set(row: list[float], scores: list[float], coverage: float) -> tuple[int, ...]:
    """The definition, class by class, from the scores themselves."""
    order = sorted(range(len(row)), key=lambda index: (-row[index], index))
    place = math.ceil((len(scores) + 1) * fractions.Fraction(str(coverage)))
    found: list[int] = []
    for index in order:
        conforms = place > len(scores) or 1 - row[index] <= sorted(scores)[place - 1]
        if conforms or sum(row[other] for other in found) < coverage:
            found.append(index)
    return tuple(found)


@st.composite
def labelled(draw: Any) -> tuple[Any, Any]:
    """Rows of a few classes that may be few, equal, collinear, far apart, or of any scale."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    features, classes = draw(st.integers(1, 6)), draw(st.integers(2, 4))
    labels = np.concatenate(
        [np.arange(classes), random.integers(0, classes, draw(st.integers(0, 200)))]
    )
    spread = 10.0 ** random.integers(-3, 4, features)
    rows = random.normal(size=(len(labels), features)) * spread
    rows += random.normal(size=(classes, features))[labels] * draw(st.sampled_from([0, 1, 100]))
    if draw(st.booleans()):
        rows[:, -1] = rows[:, 0]
    if draw(st.booleans()):
        rows[:, 0] = draw(st.sampled_from([0.0, 2007.0, -1e6]))
    return rows, labels


def fit(rows: Any, labels: Any) -> Trust:
    classes = int(labels.max()) + 1
    return trust.fit(
        rows, labels, held_out_labels=labels,
        probabilities=np.full((len(labels), classes), 1 / classes, np.float32),
    )  # fmt: skip


@given(labelled())
@settings(max_examples=60)
def test_novelty_is_the_mahalanobis_distance_for_whatever_was_fitted(data: Any) -> None:
    rows, labels = data
    known = fit(rows, labels)
    # The card takes them: symmetric, positive definite, with a limit above 0.
    card = make_card(rows.shape[1], int(labels.max()) + 1, known, 2 * float(np.abs(rows).max()) + 1)
    assert (
        ModelCard.from_json(
            dataclasses.replace(card, model_file="a", sha256="0" * 64).to_json()
        ).trust
        == known
    )
    matrix = np.concatenate([rows, -rows, rows[::-1] * 1.5]).astype(np.float32)
    found = trust.TrustScorer(card).measure(matrix)
    expected = [naive_distance(row, known) for row in matrix]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-2)


def test_float32_is_used_where_it_is_enough() -> None:
    random = np.random.default_rng(0)
    rows, labels = random.normal(size=(100, 2)), np.arange(100) % 2
    known = fit(rows, labels)
    assert trust.TrustScorer(make_card(2, 2, known, 10.0))._kind is np.float32
    # A plausible row may be so far away that float32 can't hold the square.
    far = trust.TrustScorer(make_card(2, 2, known, 1e38))
    assert far._kind is np.float64
    found = far.measure(np.array([[3e37, -3e37], [0.0, 0.0]], np.float32))
    assert 1e37 < found[0] < np.inf
    assert found[1] < 1


def test_a_distance_beyond_float32_is_its_largest_number() -> None:
    tiny = ((1e-80,),)
    known = Trust(means=((0.0,), (1.0,)), covariances=(tiny, tiny), novelty_limit=3.0, scores=())
    scorer = trust.TrustScorer(make_card(1, 2, known, 1e38))
    (found,) = scorer.measure(np.array([[1e38]], np.float32))
    assert found == np.finfo(np.float32).max
    assert scorer.is_far(np.array([found]))


def test_no_rows() -> None:
    scorer = make_scorer([0.1], 0.5)
    assert scorer.measure(np.empty((0, 1), np.float32)).shape == (0,)
    nothing = np.empty(0, np.float32)
    found = scorer.find_sets(np.empty(0, np.int32), nothing, [nothing] * 3)
    assert (len(found.codes), found.ambiguous) == (0, 0)


@given(st.floats(1e-3, 1e300))
def test_the_limit_is_compared_as_if_in_float64(limit: float) -> None:
    known = Trust(
        means=((0.0,), (1.0,)), covariances=(((1.0,),),) * 2, novelty_limit=limit, scores=()
    )
    scorer = trust.TrustScorer(make_card(1, 2, known))
    near = np.float32(min(limit, 1e38))
    novelty = np.array([near, *(np.nextafter(near, np.float32(end)) for end in (0, 3e38))])
    assert scorer.is_far(novelty).tolist() == (novelty.astype(np.float64) > limit).tolist()


PROBABILITIES = st.integers(2, 5).flatmap(
    lambda classes: st.lists(
        st.lists(
            st.sampled_from([0.0, 0.0, 1e-9, 0.01, 0.5, 1.0]) | st.floats(0, 1, width=32),
            min_size=classes, max_size=classes,
        ).filter(lambda row: sum(row) > 1e-3),
        min_size=1, max_size=30,
    )
)  # fmt: skip
COVERAGES = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.99]) | st.floats(0.001, 0.999)


@given(PROBABILITIES, st.integers(0, 40), COVERAGES, st.randoms())
@settings(max_examples=150)
def test_sets_follow_their_definition(
    rows: list[list[float]], held_out: int, coverage: float, random: Any
) -> None:
    matrix = np.array(rows, np.float64)
    matrix = (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)
    classes = matrix.shape[1]
    # Held-out rows among the rows themselves, so that probabilities lie right at the threshold.
    chosen = [
        float(matrix[random.randrange(len(matrix)), random.randrange(classes)])
        for _ in range(held_out)
    ]
    scores = [1 - each for each in chosen]
    scorer = make_scorer(scores, coverage, classes)
    winners = matrix.argmax(axis=1).astype(np.int32)
    best = matrix.max(axis=1)
    found = scorer.find_sets(winners, best, [matrix[:, index].copy() for index in range(classes)])
    expected = [naive_set([float(p) for p in row], scores, coverage) for row in matrix]
    assert [found.sets[code] for code in found.codes] == expected
    assert found.ambiguous == sum(len(each) > 1 for each in expected)
    assert found.codes.dtype == np.int32
    assert list(found.sets[:classes]) == [(index,) for index in range(classes)]
    assert winners.tolist() == matrix.argmax(axis=1).tolist()
    assert all(each[0] == winner for each, winner in zip(expected, winners, strict=True))


def test_sets_that_no_row_has_are_not_listed() -> None:
    rows, classes = 300, 60
    matrix = np.random.default_rng(0).dirichlet(np.ones(classes), rows).astype(np.float32)
    winners, columns = matrix.argmax(axis=1).astype(np.int32), list(matrix.T.copy())
    found = make_scorer([0.0] * 18, 0.95, classes).find_sets(winners, matrix.max(axis=1), columns)
    # Nothing is ruled out: each row has another order of all classes.
    orders = (-matrix).argsort(axis=1, kind="stable")
    assert [found.sets[code] for code in found.codes] == [tuple(each) for each in orders.tolist()]
    assert len(found.sets) <= classes + rows


def find_one(scorer: trust.TrustScorer, *row: float) -> tuple[int, ...]:
    columns = [np.array([each], np.float32) for each in row]
    winner = int(np.argmax(row))
    found = scorer.find_sets(np.array([winner], np.int32), columns[winner], columns)
    return found.sets[found.codes[0]]


def test_sets_by_hand() -> None:
    # 19 scores: at 0.95 the 19th counts, exactly, and so a class with a probability of 0.25.
    scorer = make_scorer([0.0] * 18 + [0.75], 0.95)
    assert find_one(scorer, 0.75, 0.25, 0.0) == (0, 1)
    assert find_one(scorer, 0.25, 0.5, 0.25) == (1, 0, 2)
    assert find_one(scorer, 0.02, 0.01, 0.97) == (2,)
    # The first two don't sum to 0.95 yet.
    assert find_one(scorer, 0.74, 0.2, 0.06) == (0, 1, 2)
    # 18 scores are too few.
    assert find_one(make_scorer([0.0] * 18, 0.95), 1.0, 0.0, 0.0) == (0, 1, 2)
    # No class is as probable as nearly all held-out ones were, but a set is never empty.
    sure = make_scorer([0.0] * 100, 0.9)
    assert find_one(sure, 0.95, 0.05, 0.0) == (0,)
    assert find_one(sure, 0.51, 0.49, 0.0) == (0, 1)


@given(PROBABILITIES, st.lists(st.floats(0, 1, width=32), max_size=30), COVERAGES, COVERAGES)
def test_more_coverage_never_takes_a_class_out(
    rows: list[list[float]], scores: list[float], one: float, other: float
) -> None:
    low, high = sorted([one, other])
    for row in rows:
        shares = [each / sum(row) for each in row]
        small, large = (
            find_one(make_scorer(scores, coverage, len(row)), *shares) for coverage in (low, high)
        )
        assert large[: len(small)] == small


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95, 0.99])
def test_sets_cover_new_rows_as_often_as_promised(coverage: float) -> None:
    # Overconfident answers of four classes; 400 times 50 held-out rows and one new one.
    random = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        logits = random.normal(size=(51, 4))
        truth = (logits + random.gumbel(size=(51, 4))).argmax(axis=1)
        sharp = np.exp(4 * logits)
        answers = (sharp / sharp.sum(axis=1, keepdims=True)).astype(np.float32)
        scores = 1 - answers[np.arange(50), truth[:50]].astype(np.float64)
        hits += truth[50] in find_one(make_scorer(scores.tolist(), coverage, 4), *answers[50])
    assert hits / 400 > coverage - 0.03


@given(
    st.lists(st.floats(0, 1), max_size=60), st.integers(1, 30),
    st.sampled_from([0.05, 0.5, 0.8, 0.9, 0.95, 0.99]),
)  # fmt: skip
def test_fewer_scores_promise_no_less(found: list[float], most: int, coverage: float) -> None:
    scores = np.sort(np.array(found))
    kept = trust.thin(scores, most)
    assert len(kept) == min(len(scores), most)
    assert np.isin(kept, scores).all()
    least, of_all = (trust.least_probability(each.tolist(), coverage) for each in (kept, scores))
    assert least <= of_all
    if len(scores) <= most:
        np.testing.assert_array_equal(kept, scores)


def test_very_many_scores_are_thinned_without_a_loss() -> None:
    scores = np.linspace(0, 1, 1_000_001)
    kept = trust.thin(scores)
    assert len(kept) == trust.MOST_SCORES
    for coverage in (0.05, 0.5, 0.95, 0.999):
        least, of_all = (
            trust.least_probability(each.tolist(), coverage) for each in (kept, scores)
        )
        assert of_all - 2e-4 <= least <= of_all


def test_a_class_of_one_row_and_equal_rows() -> None:
    known = fit(np.array([[1.0, 2.0], [1.0, 2.0], [5.0, 2.0]]), np.array([0, 0, 1]))
    assert known.novelty_limit >= 1
    assert all(np.linalg.eigvalsh(np.array(each)).min() > 0 for each in known.covariances)


def test_what_cannot_be_fitted() -> None:
    rows, answers = np.array([[1.0], [2.0]]), np.full((1, 2), 0.5, np.float32)
    labels = np.array([0, 0])
    with pytest.raises(UsageError, match="each class needs a complete row"):
        trust.fit(rows, labels, held_out_labels=labels[:1], probabilities=answers)
    with pytest.raises(UsageError, match="no rows are held out"):
        trust.fit(rows, np.array([0, 1]), held_out_labels=labels[:0], probabilities=answers[:0])


def test_held_out_distances_leave_the_row_itself_out() -> None:
    random = np.random.default_rng(2)
    rows, labels = random.normal(size=(24, 3)), np.arange(24) % 2
    distances = trust.held_out_distances(rows, labels)
    card = make_card(3, 2, fit(rows, labels))
    own = trust.TrustScorer(card).measure(rows.astype(np.float32))
    assert distances.mean() > own.mean() * 1.05
    # A row that is like no other stays far, though it would draw a mean towards itself.
    rows[0] = 50
    assert trust.held_out_distances(rows, labels)[0] > 30


def test_a_card_without_trust_has_no_scorer() -> None:
    card = make_card(1, 2, fit(np.array([[1.0], [2.0], [3.0], [4.0]]), np.array([0, 0, 1, 1])))
    with pytest.raises(ValueError, match="no trust"):
        trust.TrustScorer(dataclasses.replace(card, trust=None))
