"""The gate: what it lets through, what it refuses, and that a refusal changes no file."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from penguin_model import train
from penguin_model.card import read_verified
from penguin_model.training import gate
from penguin_model.training.gate import Answers
from tests.support.running import PROJECT

CLASSES = ("a", "b", "c")
LABELS = np.repeat([0, 1, 2], [50, 35, 18])
SURE, UNSURE = 0.98, 0.6


def answers(predicted: np.ndarray, probability: float = SURE) -> Answers:
    """Answers that give the predicted class this probability."""
    rest = (1 - probability) / 2
    found = np.full((len(predicted), 3), rest, np.float32)
    found[np.arange(len(predicted)), predicted] = probability
    return Answers(found, LABELS)


def refused(network: Answers, baseline: Answers | None = None) -> list[str]:
    baseline = baseline or answers(LABELS)
    return gate.problems(network, baseline, network, CLASSES, name="baseline")


def mistaken(label: int, count: int) -> np.ndarray:
    """All right but so many rows of a class."""
    predicted = LABELS.copy()
    predicted[np.flatnonzero(label == LABELS)[:count]] = (label + 1) % 3
    return predicted


def test_a_perfect_network_passes_even_if_a_regression_is_surer() -> None:
    assert refused(answers(LABELS)) == []
    assert refused(answers(LABELS, 0.96), answers(LABELS, 0.9999)) == []


def test_a_few_mistakes_more_are_chance() -> None:
    for count in range(5):
        assert not any("rows are right" in each for each in refused(answers(mistaken(0, count))))
    (reason,) = (each for each in refused(answers(mistaken(0, 5))) if "rows are right" in each)
    assert reason == "98 of 103 held-out rows are right, baseline 103 (McNemar's p 0.031)"


def test_a_lost_class() -> None:
    reasons = refused(answers(mistaken(2, 18)))
    assert reasons[0] == (
        "c: 0 of 18 held-out rows are recognized, baseline 18 (McNemar's p 3.8e-06)"
    )
    # Even if the baseline does no better.
    assert refused(answers(mistaken(2, 18)), answers(mistaken(2, 18)))[0].startswith("c: 0 of 18")
    # A few rows less are noticed within the class before they are noticed in all.
    recognized = np.where(LABELS == 2, mistaken(2, 7), mistaken(0, 7))
    both = refused(answers(recognized), answers(mistaken(0, 14)))
    assert [each[:10] for each in both if "recognized" in each] == ["c: 11 of 1"]


def test_a_class_that_is_not_held_out() -> None:
    known = LABELS != 2
    network = Answers(answers(LABELS).probabilities[known], LABELS[known])
    trained = answers(mistaken(2, 18))
    (reason,) = gate.problems(network, network, trained, CLASSES, name="baseline")
    assert reason == "c: none of 18 training rows is recognized, and none is held out"
    assert gate.problems(network, network, answers(LABELS), CLASSES, name="baseline") == []


def test_a_network_that_is_right_but_never_sure() -> None:
    (reason,) = refused(answers(LABELS, UNSURE))
    assert reason == "log-loss 0.5108, baseline 0.0202 (p 0.0001 of no more than 0.05 worse)"


@given(
    network=st.lists(st.integers(0, 2), min_size=103, max_size=103).map(np.array),
    baseline=st.lists(st.integers(0, 2), min_size=103, max_size=103).map(np.array),
    probability=st.floats(0.4, 1),
)
def test_any_answers(network: np.ndarray, baseline: np.ndarray, probability: float) -> None:
    reasons = refused(answers(network, probability), answers(baseline, probability))
    right, theirs = network == LABELS, baseline == LABELS
    lost = [not right[label == LABELS].any() for label in range(3)]
    if right.sum() >= theirs.sum():
        assert not any("rows are right" in each for each in reasons)
    assert bool(reasons) >= any(lost)
    p = stats.binomtest(
        int((theirs & ~right).sum()), max(1, int((right != theirs).sum())), alternative="greater"
    ).pvalue
    assert gate.mcnemar(right, theirs) == pytest.approx(p)


def test_signs_by_hand() -> None:
    # Of eight equally likely signs, only the observed ones add up to 6.
    assert gate.sign_changes(np.array([1.0, 2.0, 3.0])) == pytest.approx(1 / 8, abs=0.01)
    assert gate.sign_changes(np.array([-1.0, 0.5])) == 1.0


def test_numbers_that_are_none() -> None:
    fine = np.ones((2, 2), np.float32)
    assert not gate.diverged([fine, fine])
    assert gate.diverged([fine, np.array([1.0, np.nan])])
    assert gate.diverged([np.array([np.inf])])


def snapshot(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in folder.iterdir()}


# The weights are still as good as random.
ONE_STEP = ["--epochs", "1", "--batch_size", "956"]
FLAGS = ["--data", str(PROJECT / "data/penguins.csv"), "--cross_validation", "0"]


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        ([], "Adelie: 0 of 50 held-out rows are recognized, logistic regression 50 (McNemar's p "),
        (["--learning_rate", "1e30"], "training diverged"),
        (["--learning_rate", "1e30", "--force"], "training diverged"),
    ],
)
def test_a_refusal_changes_no_file(
    flags: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "birds.keras"
    for suffix in ("keras", "keras.card.json", "loss.png", "confusion.png"):
        (tmp_path / f"birds.{suffix}").write_text("of before")
    before = snapshot(tmp_path)
    assert train.main([*FLAGS, *ONE_STEP, *flags, "--model", str(model)]) == 1
    assert snapshot(tmp_path) == before
    error = capsys.readouterr().err
    assert error.startswith(f"penguin-train: error: model {model}: ")
    assert complaint in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_seed_a_sound_model_is_installed_or_nothing_changes(
    seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "birds.keras"
    code = train.main([*FLAGS, "--epochs", "4", "--seed", str(seed), "--model", str(model)])
    assert code in (0, 1)
    if code:
        assert list(tmp_path.iterdir()) == []
    else:
        metrics = read_verified(str(model)).metrics
        assert min(metrics["recall"].values()) > 0
        assert metrics["accuracy"] > 0.95
    capsys.readouterr()


def test_force_is_written_into_the_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tmp_path / "birds.keras"
    assert train.main([*FLAGS, *ONE_STEP, "--force", "--model", str(model)]) == 0
    card = json.loads((tmp_path / "birds.keras.card.json").read_text())
    assert any("Adelie: 0 of 50 held-out rows" in each for each in card["training"]["forced"])
    assert f"installed by --force: {card['training']['forced'][0]}" in capsys.readouterr().out
    assert card["calibration"] is None
    assert "cross_validation" not in card["metrics"]
