"""The estimated accuracy in the whole job, from a card with a calibration."""

import dataclasses
import shutil
from pathlib import Path

import pytest

from penguin_model.card import Calibration, card_path, read_card
from tests.support import samples
from tests.support.running import PROJECT, manifest, run_here

PENGUINS = PROJECT / "data/penguins.csv"


def calibrated(folder: Path, accuracy: float) -> Path:
    """The shipped model, with a card that says how often it is right."""
    model = folder / Path(samples.MODEL).name
    shutil.copy(samples.MODEL, model)
    calibration = Calibration(probability=(0, 0.9, 1), accuracy=(0, accuracy, accuracy), rows=1000)
    card = dataclasses.replace(read_card(str(samples.MODEL)), calibration=calibration)
    Path(card_path(str(model))).write_text(card.to_json())
    return model


def test_the_estimate_judges_a_night_without_labels(
    tmp_path: Path, observations: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    flags = ("--input", observations, "--model", calibrated(tmp_path, 0.8), "--min_accuracy")
    assert run_here(out, *flags, 0.5, "--run_id=good") == 0
    found = manifest(out, "good")["accuracy_estimate"]
    assert found["low"] < found["accuracy"] < found["high"]
    assert found["accuracy"] == pytest.approx(0.8, abs=0.02)
    assert found["rows"] == manifest(out, "good")["totals"]["rows_scored"]
    assert "\nestimated    accuracy " in capsys.readouterr().out
    assert run_here(out, *flags, 0.95, "--run_id=bad") == 4
    assert "the estimated accuracy of 342 rows is " in capsys.readouterr().err


def test_labels_are_believed_before_the_estimate(tmp_path: Path) -> None:
    flags = ("--input", PENGUINS, "--model", calibrated(tmp_path, 0.5), "--min_accuracy", 0.95)
    assert run_here(tmp_path / "out", *flags, "--run_id=labelled") == 0


def test_a_card_without_a_calibration_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = calibrated(tmp_path, 0.9)
    card = dataclasses.replace(read_card(str(model)), calibration=None)
    Path(card_path(str(model))).write_text(card.to_json())
    flags = ("--input", PENGUINS, "--model", model, "--min_accuracy=0.9")
    assert run_here(tmp_path / "out", *flags) == 2
    assert "has no calibration" in capsys.readouterr().err
