"""``penguin_model.describe`` as users run it."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from penguin_model import bundle, card_page, describe
from penguin_model.card import Feature, read_verified
from tests.support.toy import toy_bundle, toy_card

PROJECT = Path(__file__).parents[2]


def test_the_shipped_model() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "penguin_model.describe"],
        cwd=PROJECT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    sha256 = read_verified(str(PROJECT / "models/penguin-classifier.keras")).sha256
    for expected in (
        f"{sha256}, verified", "FlipperLength  value / 10        142 to 261 mm", "Chinstrap",
        "penguins.csv",
        "kernel 4 × 10, bias 10", "193 parameters in all", "tensorflow", "softmax",
    ):  # fmt: skip
        assert expected in ran.stdout
    assert max(map(len, ran.stdout.split("Layers")[1].splitlines())) < 100


def test_what_the_network_sees_of_a_number() -> None:
    mass = Feature(name="mass", unit="g", scale=800.0, offset=4200.5, minimum=0.0, maximum=9000.0)
    card = dataclasses.replace(toy_card(), features=(mass,), model_file="m.keras")
    lines = list(describe.card_lines(card))
    assert "  mass  (value - 4200.5) / 800  0 to 9000 g" in lines
    assert "(value - 4200.5) / 800" in card_page.render(card)


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> str:
    return toy_bundle(tmp_path_factory.mktemp("toy"))


def test_json_with_weights(toy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert describe.main(["--model", toy, "--json", "--weights"]) == 0
    answer = json.loads(capsys.readouterr().out)
    classifier = bundle.load(toy)
    assert answer["card"] == json.loads(classifier.card.to_json())
    first, last = answer["layers"]
    assert (first["activation"], last["activation"]) == ("tanh", "softmax")
    assert (first["output_shape"], last["output_shape"]) == ([None, 7], [None, 4])
    assert (first["parameters"], last["parameters"]) == (5 * 7 + 7, 7 * 4 + 4)
    kernel, bias = last["weights"]
    assert (kernel["name"], kernel["shape"], bias["shape"]) == ("kernel", [7, 4], [4])
    np.testing.assert_array_equal(
        np.float32(kernel["values"]), classifier.model.layers[-1].kernel.numpy()
    )


def test_values_are_shown_on_request_only(toy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert describe.main(["--model", toy]) == 0
    plain = capsys.readouterr().out
    assert describe.main(["--model", toy, "--weights"]) == 0
    full = capsys.readouterr().out
    assert full.startswith(plain.rstrip())
    kernel = bundle.load(toy).model.layers[0].kernel.numpy()
    shown = " ".join(f"{value:9.4f}" for value in kernel[0])
    assert shown in full
    assert shown not in plain
    assert describe.main(["--model", toy, "--json"]) == 0
    layers = json.loads(capsys.readouterr().out)["layers"]
    assert all("values" not in weight for layer in layers for weight in layer["weights"])


def test_a_missing_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert describe.main(["--model", "nowhere.keras"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("penguin-describe: error: model nowhere.keras: no such file")
    assert error.count("\n") == 1


def test_a_changed_model_is_refused(toy: str, capsys: pytest.CaptureFixture[str]) -> None:
    other = Path(toy).with_name("other.keras")
    other.write_bytes(Path(toy).read_bytes() + b" ")
    Path(f"{other}.card.json").write_bytes(Path(f"{toy}.card.json").read_bytes())
    assert describe.main(["--model", str(other)]) == 2
    assert "does not fit its card" in capsys.readouterr().err


def test_a_model_without_any_record_of_its_training(tmp_path: Path) -> None:
    card = bundle.load(toy_bundle(tmp_path)).card
    text = "\n".join(describe.card_lines(card))
    assert "Dogwood" in text
    assert "Metrics" not in text
