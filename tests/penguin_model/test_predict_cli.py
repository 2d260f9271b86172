"""``penguin_model.predict`` as users run it."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penguin_model import predict
from penguin_model.card import Feature
from penguin_model.errors import UsageError
from tests.support.toy import toy_bundle
from tests.support.trusted import copy_model, trusted_card, untrusted_card

PROJECT = Path(__file__).parents[2]
GENTOO = {
    "--culmen_length": "50.4", "--culmen_depth": "15.3", "--flipper_length": "200",
    "--body_mass": "5000",
}  # fmt: skip
HEAVY = {"tensorflow", "keras", "sklearn", "matplotlib", "pandas"}


def flags(**changes: str) -> list[str]:
    changed = GENTOO | {f"--{name}": value for name, value in changes.items()}
    return [f"{flag}={value}" for flag, value in changed.items()]


def run(*arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *python, "-m", "penguin_model.predict", *arguments],
        cwd=PROJECT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> str:
    return toy_bundle(tmp_path_factory.mktemp("toy"))


def test_the_example_in_the_help_works(
    toy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(Path(toy).parent, tmp_path / "my models")
    for given in ([], ["--model", str(folder / Path(toy).name)]):
        assert predict.main([*given, "--help"]) == 0
        _, _, examples = capsys.readouterr().out.partition("examples:\n")
        program, *arguments = shlex.split(examples.splitlines()[0])
        assert program == predict.PROGRAM
        assert predict.main(arguments) == 0
        capsys.readouterr()


def test_a_gentoo() -> None:
    ran = run(*flags())
    assert (ran.returncode, ran.stderr) == (0, "")
    species, *lines = ran.stdout.splitlines()[:4]
    assert species == "Gentoo"
    assert [line.split()[0] for line in lines] == ["Adelie", "Gentoo", "Chinstrap"]
    assert len({len(line) for line in lines}) == 1
    percentages = [float(line.split()[1]) for line in lines]
    assert percentages[1] > 90
    assert sum(percentages) == pytest.approx(100, abs=0.01)


def test_json(shipped_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main([*flags(), "--json", "--model", str(shipped_model)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["species"] == "Gentoo"
    assert answer["probability"] == answer["probabilities"]["Gentoo"] > 0.9
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert answer["observation"]["BodyMass"] == 5000
    assert len(answer["model_sha256"]) == 64


# A Gentoo with the flippers of an Adelie is further off than 99.5 % of the birds.
@pytest.mark.parametrize(("flipper", "far"), [("220", False), ("200", True)])
def test_it_says_how_far_to_trust(
    flipper: str, far: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = copy_model(tmp_path, trusted_card())
    given = [*flags(flipper_length=flipper), "--model", str(model)]
    assert predict.main([*given, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["novelty"] > answer["novelty_limit"]) == answer["out_of_distribution"] == far
    assert answer["species_set"][0] == answer["species"]
    assert answer["coverage"] == 0.95
    assert predict.main(given) == 0
    *_, novelty, names = capsys.readouterr().out.splitlines()
    assert novelty.startswith(f"novelty      {answer['novelty']:.2f}  (")
    assert ("OUT OF DISTRIBUTION" in novelty) == far
    assert names == f"species set  {', '.join(answer['species_set'])}  (coverage 0.95)"


def test_a_card_without_trust_says_nothing_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = copy_model(tmp_path, untrusted_card())
    assert predict.main([*flags(), "--model", str(model)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
    assert predict.main([*flags(), "--model", str(model), "--json"]) == 0
    assert "novelty" not in json.loads(capsys.readouterr().out)


def test_another_model_has_other_flags(toy: str, capsys: pytest.CaptureFixture[str]) -> None:
    values = ["--girth=100", "--leaf_length=40", "--mean_frost", "-7.5", "--moisture=0.5"]
    assert predict.main(["--model", toy, *values, "--ring_width=2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer["probabilities"]) == {"Ash", "Birch", "Cedar", "Dogwood"}
    assert answer["observation"]["MeanFrost"] == -7.5


@pytest.mark.parametrize("value", ["3.75", "nan", "inf", "-inf", "8100.5", "-5000", "heavy", ""])
def test_implausible_values(
    value: str, shipped_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict.main([*flags(body_mass=value), "--model", str(shipped_model)]) == 2
    given = f"--body_mass {value}:"
    assert capsys.readouterr().err == (
        f"penguin-predict: error: {given} BodyMass must be a number from 900 to 8100 g\n"
    )


def test_a_missing_flag(shipped_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main([*flags()[:-1], "--model", str(shipped_model)]) == 2
    error = capsys.readouterr().err
    assert "required: --body_mass" in error
    assert error.count("\n") == 1


def test_a_missing_model() -> None:
    ran = run("--model", "nowhere.keras", *flags())
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("penguin-predict: error: model nowhere.keras: no such file")
    assert ran.stderr.count("\n") == 1


def test_a_model_that_is_not_its_cards(toy: str, capsys: pytest.CaptureFixture[str]) -> None:
    other = Path(toy).with_name("other.keras")
    other.write_bytes(Path(toy).read_bytes() + b" ")
    Path(f"{other}.card.json").write_bytes(Path(f"{toy}.card.json").read_bytes())
    assert predict.main(["--model", str(other)]) == 2
    assert "does not fit its card" in capsys.readouterr().err


def test_help_shows_the_models_features_without_heavy_imports(toy: str) -> None:
    ran = run("--model", toy, "--help", python=("-X", "importtime"))
    assert ran.returncode == 0
    for expected in ("--leaf_length MM", "10 to 90 mm", "-40 to 10 °C", "0 to 1 %", "--ring_width"):
        assert expected in ran.stdout
    assert "culmen" not in ran.stdout
    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert "penguin_model.card" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_help_without_a_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert predict.main(["--help", "--model", "nowhere.keras"]) == 0
    assert "no model card" in capsys.readouterr().out


def feature(name: str) -> Feature:
    return Feature(name=name, unit="mm", scale=1, minimum=0, maximum=9)


def test_flag_names() -> None:
    names = ["CulmenLength", "leaf width", "Model", "leaf_width", "°", "sepal.length(cm)"]
    assert predict.flag_names([feature(name) for name in names]) == (
        "culmen_length", "leaf_width", "feature_model", "feature_leaf_width", "value",
        "sepal_length_cm",
    )  # fmt: skip


def test_values_are_read_as_the_batch_job_reads_them() -> None:
    assert predict.parse_value("x", " 3.5 ", feature("x")) == (3.5, 3.5)
    with pytest.raises(UsageError):
        # Python would take this for 10.
        predict.parse_value("x", "1_0", feature("x"))
