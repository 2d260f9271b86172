"""The command `penguin-register`: any network that Keras saved gets a card that scoring can use."""

import hashlib
import json
import re
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pytest

from penguin_model import bundle, card_page, describe, model_checks, predict, register
from penguin_model.card import Category, Feature, ModelCard, read_card
from penguin_model.errors import ModelError
from penguin_model.training import logits, registration
from tests.penguin_model.test_model_kinds import BAD, GOOD, SINGLE, sequence
from tests.support.labelled import write_blobs, write_csv, write_trees
from tests.support.running import PLAIN, manifest, published, run_here

L = keras.layers
Fd = pytest.CaptureFixture[str]


def save(model: keras.Model, path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You are saving (a model that has not|your model as an)")
        model.save(path)
    return path


def blobs(*, logits: bool = False, order: Sequence[int] = (0, 1, 2)) -> keras.Model:
    """Knows the three classes of `write_blobs`."""
    weights = np.array([[-4.0, 4.0, -4.0], [-4.0, -4.0, 4.0]])[:, order]
    last = L.Dense(3, None if logits else "softmax")
    model = keras.Sequential([keras.Input((2,)), last])
    last.set_weights([weights, np.array([12.0, 0.0, 0.0])[list(order)]])
    return model


def run(*arguments: object) -> int:
    return register.main(list(map(str, arguments)))


def registered(*arguments: object) -> ModelCard:
    assert run(*arguments) == 0
    return read_card(str(arguments[0]))


def refused(capfd: Fd, folder: Path, *arguments: object) -> str:
    """Runs, and checks that there is one line on standard error and nothing new in the folder."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    capfd.readouterr()
    assert run(*arguments) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    return err.removeprefix("penguin-register: error: ").rstrip("\n")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save(blobs(), tmp_path / "blobs.keras")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_blobs(tmp_path / "blobs.csv")


@pytest.mark.parametrize("kind", [*GOOD, *SINGLE])
def test_a_network_of_any_kind_is_registered_and_scored_as_keras_scores_it(
    kind: str, tmp_path: Path
) -> None:
    network = {**GOOD, **SINGLE}[kind]()
    path = save(network, tmp_path / "model.keras")
    content = path.read_bytes()
    classes = ("Ash", "Birch", "Cedar")[: max(2, network.outputs[0].shape[1])]
    table = write_trees(tmp_path / "trees.csv", classes)
    card = registered(path, "--data", table, "--label", "Tree")
    assert path.read_bytes() == content
    assert hashlib.sha256(content).hexdigest() == card.sha256

    output = tmp_path / "out"
    assert run_here(output, "--input", table, "--model", path, *PLAIN) == 0
    found = published(output, "predictions")
    assert "tree" in found.column_names
    matrix = np.loadtxt(table, delimiter=",", skiprows=1, usecols=range(4), dtype=np.float32)
    given = {"birds": matrix} if kind == "one input in a dict" else matrix
    theirs = network.predict(given, verbose=0)
    theirs = theirs["species"] if isinstance(theirs, dict) else theirs
    theirs = theirs[0] if isinstance(theirs, list) else theirs
    if theirs.shape[1] == 1:
        theirs = np.concatenate([1 - theirs, theirs], axis=1)
    for name, column in zip(card.probability_columns, theirs.T, strict=True):
        np.testing.assert_allclose(found[name].to_numpy(), column, atol=1e-6)


def test_a_network_of_many_classes_scores_a_night(tmp_path: Path, capfd: Fd) -> None:
    classes = tuple(f"Tree {n}" for n in range(60))
    keras.utils.set_random_seed(1)
    network = keras.Sequential([keras.Input((4,)), L.Dense(60, "softmax")])
    path = save(network, tmp_path / "model.keras")
    # So few rows can't rule out a class.
    table = write_trees(tmp_path / "trees.csv", classes, rows=60)
    named = ("--classes", ",".join(classes))
    card = registered(path, "--data", table, "--label", "Tree", *named)
    assert max(map(len, capfd.readouterr().out.splitlines())) < 700
    output = tmp_path / "out"
    sure = ("--coverage", 0.999)
    assert run_here(output, "--input", table, "--model", path, *sure, *PLAIN) == 0
    assert max(map(len, capfd.readouterr().out.splitlines())) < 300
    for row in published(output, "predictions").to_pylist():
        by_class = [row[name] for name in card.probability_columns]
        order = sorted(range(60), key=lambda place: -by_class[place])
        assert json.loads(row["tree_set"]) == [classes[place] for place in order]


@pytest.mark.parametrize("kind", BAD)
def test_networks_that_cannot_be_scored_are_not_registered(
    kind: str, tmp_path: Path, capfd: Fd
) -> None:
    path = save(BAD[kind][0](), tmp_path / "model.keras")
    table = write_trees(tmp_path / "trees.csv", ("Ash", "Birch", "Cedar"))
    line = refused(capfd, tmp_path, path, "--data", table, "--label", "Tree")
    assert line.startswith(f"model {path} ")
    assert "penguin-" not in line.removeprefix(f"model {path}")  # no temporary folder either


def test_the_card_is_complete(model: Path, data: Path, capfd: Fd) -> None:
    held_out = write_blobs(data.with_name("other.csv"), rows=33, seed=5)
    card = registered(
        model, "--data", data, "--label", "kind", "--held_out", held_out, "--units", "x=mm,y=g",
        "--name", "Blobs", "--intended_use", "Tests.", "--license", "MIT", "--limit", "Not a bird.",
        "--limit", "Nor a tree.",
    )  # fmt: skip
    for name in (*ModelCard.__dataclass_fields__,):
        if name not in ("label_aliases", "class_aliases", "onnx"):
            assert getattr(card, name), name
    assert [(each.name, each.unit) for each in card.features] == [("x", "mm"), ("y", "g")]
    assert (card.classes, card.label, card.prediction_column) == (("a", "b", "c"), "kind", "kind")
    assert (card.name, card.model_file, card.limits) == (
        "Blobs", "blobs.keras", ("Not a bird.", "Nor a tree."),
    )  # fmt: skip
    assert card.data["sha256"] == hashlib.sha256(data.read_bytes()).hexdigest()
    assert card.data["held_out"]["sha256"] == hashlib.sha256(held_out.read_bytes()).hexdigest()
    assert (card.data["rows"], card.data["held_out"]["rows"]) == (90, 33)
    assert (card.metrics["accuracy"], card.metrics["test_rows"]) == (1.0, 33)
    assert card.metrics["confusion"] == [[11, 0, 0], [0, 11, 0], [0, 0, 11]]
    assert card.reference is not None
    assert sum(card.reference.features["x"].counts) == 90
    assert card.reference.classes == {"a": 11, "b": 11, "c": 11}
    assert card.reference.novelty is not None
    assert card.trust is not None
    assert len(card.trust.scores) == 33
    assert card.calibration is not None
    assert card.calibration.rows == 33
    # The other commands read it.
    assert describe.main(["--model", str(model)]) == 0
    assert predict.main(["--model", str(model), "--x", "0.1", "--y", "3.9"]) == 0
    assert capfd.readouterr().out.splitlines()[-6].strip() == "c"
    assert "33 rows were held out" in card_page.render(card)


def test_without_held_out_rows_the_card_says_so(model: Path, data: Path, capfd: Fd) -> None:
    card = registered(model, "--data", data, "--label", "kind", "--limit", "Not a bird.")
    assert card.limits == ("Not a bird.", registration.SEEN)
    assert "looks better than it is; give rows" in capfd.readouterr().out
    page = card_page.render(card)
    assert "held out" not in page
    assert "may have been trained on" in page


def test_the_same_inputs_give_the_same_card(model: Path, data: Path, capfd: Fd) -> None:
    flags = (model, "--data", data, "--label", "kind")
    registered(*flags)
    path = Path(f"{model}.card.json")
    content = path.read_bytes()
    line = refused(capfd, data.parent, *flags)
    assert line == f"{path} exists; --replace replaces it"
    registered(*flags, "--replace")
    assert path.read_bytes() == content


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_logits_get_a_network_of_their_own(
    suffix: str, tmp_path: Path, data: Path, capfd: Fd
) -> None:
    path = save(blobs(logits=True), tmp_path / f"scores{suffix}")
    content = path.read_bytes()
    flags = (path, "--data", data, "--label", "kind")
    line = refused(capfd, tmp_path, *flags)
    assert line.startswith(f"model {path} doesn't answer with probabilities: ")
    assert line.endswith("or register it with --logits")
    assert run(*flags, "--logits") == 0
    made = tmp_path / "scores.probabilities.keras"
    assert f"Written\n  {made}\n  {made}.onnx\n  {made}.card.json\n" in capfd.readouterr().out
    assert path.read_bytes() == content
    assert not Path(f"{path}.card.json").exists()
    matrix = np.array([[0, 0], [4, 1], [1, 3], [2, 2]], np.float32)
    found = bundle.load(str(made)).predict(matrix)
    np.testing.assert_allclose(found, blobs().predict(matrix, verbose=0), atol=1e-6)
    # Nothing is overwritten unasked, and the same bytes are written again.
    first = (made.read_bytes(), Path(f"{made}.card.json").read_bytes())
    assert "exists; --replace" in refused(capfd, tmp_path, *flags, "--logits")
    assert run(*flags, "--logits", "--replace") == 0
    assert (made.read_bytes(), Path(f"{made}.card.json").read_bytes()) == first


def single(start: Any) -> Any:
    return L.Dense(1, dtype="float16")(start)


LOGITS = {
    "half precision": lambda: sequence(L.Dense(3, dtype="float16")),
    "double precision": lambda: sequence(L.Dense(3, dtype="float64")),
    "a nested network": lambda: sequence(L.Dense(4, "relu"), sequence(L.Dense(3))),
    "dropout at the end": lambda: sequence(L.Dense(3), L.Dropout(0.5)),
    "a layer of the same name": lambda: sequence(L.Dense(3, name="probabilities")),
    "logarithms of probabilities": lambda: sequence(L.Dense(3, "log_softmax")),
    "one logit": lambda: sequence(L.Dense(1)),
    "one logit in half precision": lambda: keras.Model(start := keras.Input((4,)), [single(start)]),
    "a dict": lambda: keras.Model(
        {"trees": (start := keras.Input((4,), name="trees"))}, {"kind": L.Dense(3)(start)}
    ),
}


@pytest.mark.parametrize("kind", LOGITS)
def test_logits_of_every_kind(kind: str, tmp_path: Path) -> None:
    network = LOGITS[kind]()
    path = save(network, tmp_path / "scores.keras")
    classes = ("Ash", "Birch", "Cedar")[: max(2, network.outputs[0].shape[1])]
    table = write_trees(tmp_path / "trees.csv", classes)
    assert run(path, "--data", table, "--label", "Tree", "--logits") == 0
    found = bundle.load(str(tmp_path / "scores.probabilities.keras"))
    matrix = np.random.default_rng(3).normal(0, 2, (20, 4)).astype(np.float32)
    theirs = network.predict({"trees": matrix} if kind == "a dict" else matrix, verbose=0)
    theirs = theirs["kind"] if isinstance(theirs, dict) else theirs
    theirs = theirs[0] if isinstance(theirs, list) else theirs
    theirs = theirs.astype(np.float64)
    if theirs.shape[1] == 1:
        theirs = np.concatenate([np.zeros_like(theirs), theirs], axis=1)
    powers = np.exp(theirs - theirs.max(axis=1, keepdims=True))
    expected = powers / powers.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.predict(matrix), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: sequence(L.Dense(3, "softmax")),
            "has the activation softmax; register it without",
        ),
        (lambda: sequence(L.Dense(3), L.Softmax()), "answers with probabilities already, not with"),
        (lambda: sequence(L.Dense(3, "relu")), "activation relu; end the network with a layer "),
        (lambda: sequence(L.Dense(3, "sigmoid")), "sigmoid; end the network with a layer "),
        (lambda: sequence(L.Dense(1, "softmax")), "softmax; end the network with a layer "),
        (lambda: sequence(L.Dense(1, "sigmoid")), "activation sigmoid; register it without "),
        (SINGLE["sigmoid in a graph"], "answers with probabilities already, not with logits"),
        (
            lambda: sequence(
                L.Reshape((4, 1)),
                L.LSTM(3, stateful=True),
                L.Dense(3),
                shape=None,
                batch_shape=(32, 4),
            ),
            "fails on plausible observations: ",
        ),
    ],
)
def test_what_is_not_logits_gets_no_second_softmax(
    make: Any, message: str, tmp_path: Path, capfd: Fd
) -> None:
    model = make()
    path = save(model, tmp_path / "model.keras")
    classes = ("Ash", "Birch", "Cedar")[: max(2, model.outputs[0].shape[1])]
    table = write_trees(tmp_path / "trees.csv", classes)
    line = refused(capfd, tmp_path, path, "--data", table, "--label", "Tree", "--logits")
    assert line.startswith(f"model {path} ")
    assert message in line


def test_onnx_runtime_does_not_write_to_standard_error(tmp_path: Path, capfd: Fd) -> None:
    """It would log the error that it raises: this file can take 8 rows only."""
    start = keras.Input(batch_shape=(8, 4))
    network = keras.Model(start, L.Dense(3, "softmax")(keras.ops.reshape(start, (8, 4))))
    path = save(network, tmp_path / "model.keras")
    table = write_trees(tmp_path / "trees.csv", ("Ash", "Birch", "Cedar"))
    run(path, "--data", table, "--label", "Tree")
    out, err = capfd.readouterr()
    assert "No ONNX file" in out
    assert err == ""


ACTIVATIONS = (None, "relu", "tanh", "sigmoid", "softmax", "softplus", "log_softmax", "sparsemax")


@pytest.mark.parametrize("units", [1, 2, 3])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_following_the_advice_on_logits_works(activation: str | None, units: int) -> None:
    """With a flag and without, a network isn't sent back and forth."""
    network = sequence(L.Dense(units, activation))
    advice = []
    for refuse in (model_checks.check_last_layer, logits.append):
        try:
            refuse(network)
        except ModelError as error:
            advice.append(str(error))
        else:
            advice.append("")
    without, with_flag = advice
    assert ("register it with --logits" in without) == (not with_flag)
    assert ("register it without --logits" in with_flag) == (not without)


def test_the_order_of_the_classes(tmp_path: Path, data: Path, capfd: Fd) -> None:
    """A network with another order is given away by its accuracy, and the right one is named."""
    path = save(blobs(order=(2, 0, 1)), tmp_path / "model.keras")
    flags = (path, "--data", data, "--label", "kind", "--replace")
    card = registered(*flags)
    assert card.metrics["accuracy"] == 0
    out = capfd.readouterr().out
    assert "Classes: sorted, which must be the network's order" in out
    assert "Note: always answering the commonest class would be right for 33.33 %" in out
    assert "Note: with --classes c,a,b, 100.00 % would be right" in out
    card = registered(*flags, "--classes", "c,a,b")
    assert (card.classes, card.metrics["accuracy"]) == (("c", "a", "b"), 1.0)
    out = capfd.readouterr().out
    assert "Classes: in the order given" in out
    assert "--classes" not in out
    assert "commonest" not in out


def test_the_order_that_is_named_can_be_pasted(tmp_path: Path, data: Path, capfd: Fd) -> None:
    table = tmp_path / "quoted.csv"
    table.write_text(data.read_text().replace(",a\n", ',"it\'s ""a"", first"\n'))
    path = save(blobs(order=(2, 0, 1)), tmp_path / "model.keras")
    flags = (path, "--data", table, "--label", "kind", "--replace")
    registered(*flags)
    found = re.search(
        r"Note: with (--classes .*), 100\.00 % would be right", capfd.readouterr().out
    )
    assert found
    card = registered(*flags, *shlex.split(found[1]))
    assert (card.classes, card.metrics["accuracy"]) == (("c", 'it\'s "a", first', "b"), 1.0)


def test_codes_of_classes(tmp_path: Path, model: Path, data: Path) -> None:
    table = data.read_text()
    for code, name in enumerate("abc"):
        table = table.replace(f",{name}\n", f",{code}\n").replace(f",{name}\r\n", f",{code}\r\n")
    coded = tmp_path / "coded.csv"
    coded.write_text(table)
    flags = (model, "--data", coded, "--label", "kind", "--replace")
    assert registered(*flags).classes == ("0", "1", "2")
    card = registered(*flags, "--classes", "Alder,Birch,Cedar")
    assert (card.classes, card.metrics["accuracy"]) == (("Alder", "Birch", "Cedar"), 1.0)


def test_what_the_network_gets(tmp_path: Path, data: Path) -> None:
    """(value - offset) / scale, within ranges; columns in another order than the table's."""
    lines = [line.split(",") for line in data.read_text().splitlines()]
    rows = [(kind, float(y) * 10, float(x) * 2 + 7, "note") for x, y, kind in lines[1:]]
    table = write_csv(tmp_path / "raw.csv", ["kind", "y 10", "x=2", "remark"], rows)
    path = save(blobs(), tmp_path / "model.keras")
    card = registered(
        path, "--data", table, "--label", "KIND", "--features", "x=2,y 10",
        "--scales", "x=2=2,y 10=10", "--offsets", "x=2=7", "--ranges", "y 10=-30:80.5",
    )  # fmt: skip
    first, second = card.features
    assert isinstance(first, Feature)
    assert (first.name, first.scale, first.offset) == ("x=2", 2.0, 7.0)
    assert (second.name, second.minimum, second.maximum) == ("y 10", -30.0, 80.5)
    assert card.metrics["accuracy"] == 1


ISLANDS = ("Biscoe", "Dream", "Torgersen")


def species_of(island: str, sex: str, length: float) -> str:
    return (
        "Gentoo"
        if length > 208
        else "Adelie"
        if island != "Dream" or sex == "male"
        else "Chinstrap"
    )


def write_birds(path: Path) -> Path:
    numbers = np.random.default_rng(4)
    rows = []
    for place in range(90):
        island, sex = ISLANDS[place % 3], ("female", "male")[place // 3 % 2]
        length = int(numbers.integers(180, 235))
        rows.append((island, sex, length, species_of(island, sex, length)))
    return write_csv(path, ["island", "sex", "flipper", "species"], rows)


def birds(*, one_hot_island: bool, order: Sequence[str] = ISLANDS) -> keras.Model:
    """Knows `species_of`, from the island (one-hot or its code), the sex's code and the length."""
    start = keras.Input((5 if one_hot_island else 3,))
    dream = float(order.index("Dream"))
    island = start[:, :-2]
    is_dream = (
        island[:, int(dream) : int(dream) + 1]
        if one_hot_island
        else keras.ops.cast(keras.ops.equal(island, dream), "float32")
    )
    male, long = start[:, -2:-1], keras.ops.cast(start[:, -1:] > 208, "float32")
    chinstrap = is_dream * (1 - male) * (1 - long)
    scores = keras.ops.concatenate([1 - long - chinstrap, chinstrap, long], axis=1)
    return keras.Model(start, L.Activation("softmax")(scores * 20))


@pytest.mark.parametrize("one_hot", [True, False])
@pytest.mark.parametrize("order", [ISLANDS, ("Dream", "Torgersen", "Biscoe")])
def test_categories(one_hot: bool, order: Sequence[str], tmp_path: Path, capfd: Fd) -> None:
    path = save(birds(one_hot_island=one_hot, order=order), tmp_path / "model.keras")
    table = write_birds(tmp_path / "birds.csv")
    given = [] if order == ISLANDS else ["--vocabulary", f"island={','.join(order)}"]
    # By the width alone, either of the two may be one-hot only where widths differ.
    card = registered(
        path, "--data", table, "--label", "species", "--features", "island,sex,flipper", *given
    )
    island, sex, flipper = card.features
    assert isinstance(island, Category)
    assert isinstance(sex, Category)
    assert (island.categories, island.one_hot) == (tuple(order), one_hot)
    assert (sex.categories, sex.one_hot) == (("female", "male"), False)
    assert (flipper.name, card.width) == ("flipper", 5 if one_hot else 3)
    assert card.metrics["accuracy"] == 1
    assert card.prediction_column == "species"
    capfd.readouterr()

    night = write_csv(
        tmp_path / "night.csv", ["sex", "flipper", "island"],
        [("Male", 190, "dream"), ("female", 190, "Dream"), ("female", 220, "Biscoe"),
         ("male", 200, "Elsewhere")],
    )  # fmt: skip
    output = tmp_path / "out"
    flags = ("--max_reject_fraction", "0.5", *PLAIN)
    assert run_here(output, "--input", night, "--model", path, *flags) == 0
    found = published(output, "predictions")["species"].to_pylist()
    assert found == ["Adelie", "Chinstrap", "Gentoo"]
    (reject,) = published(output, "rejects").to_pylist()
    assert (reject["reason"], reject["column"]) == ("unknown_category", "island")


def test_a_code_for_other_texts(tmp_path: Path) -> None:
    path = save(birds(one_hot_island=False), tmp_path / "model.keras")
    table = write_birds(tmp_path / "birds.csv")
    flags = (path, "--data", table, "--label", "species", "--features", "island,sex,flipper")
    card = registered(*flags, "--out_of_vocabulary", "island=2")
    assert [getattr(each, "out_of_vocabulary", None) for each in card.features] == [2, None, None]
    card = registered(*flags, "--out_of_vocabulary", "island=Dream", "--replace")
    assert getattr(card.features[0], "out_of_vocabulary", None) == 1


FEATURES = ("--features", "island,sex,flipper")
REFUSED = {
    "too few features": (
        ["--features", "island,flipper", "--encoding", "one_hot"],
        "takes 5 numbers for each row, but the features make 4: island, flipper; name ",
    ),
    "the wrong encoding": ([*FEATURES, "--encoding", "integer"], "the features make 3: island, "),
    "another word": ([*FEATURES, "--encoding", "island=hot"], "must be one_hot or integer"),
    "an encoding of a number": (
        [*FEATURES, "--encoding", "flipper=one_hot"], "flipper isn't among the features; they are",
    ),
    "an unknown feature": (["--features", "iland,sex"], "has no column iland; did you mean island"),
    "a feature twice": (["--features", "island,sex,island"], "column island is a feature twice"),
    "the label as a feature": (["--features", "island,species"], "species is the label"),
    "a unit of a category": ([*FEATURES, "--units", "sex=mm"], "sex"),
    "a range of a category": ([*FEATURES, "--ranges", "sex=0:1"], "--ranges: sex is a category"),
    "a scale of nothing": ([*FEATURES, "--scales", "flipper=0"], "scale: 0.0 must be finite and"),
    "a range of nothing": ([*FEATURES, "--ranges", "flipper=900:910"], "no row has a label and a "),
    "an unknown text": (
        [*FEATURES, "--vocabulary", "island=Biscoe,Dream"],
        "island is 'Torgersen' in data row 2, which isn't one of Biscoe, Dream; ",
    ),
    "a code of a number": (
        [*FEATURES, "--out_of_vocabulary", "flipper=0"], "flipper is a number, not a category",
    ),
    "a code beyond": (
        [*FEATURES, "--out_of_vocabulary", "island=3"], "out_of_vocabulary: 3 must be a place",
    ),
    "a text as a code": (
        [*FEATURES, "--out_of_vocabulary", "island=no"], "must be a code from 0 to 2, or one of ",
    ),
    "too many classes": (
        [*FEATURES, "--classes", "Adelie,Chinstrap,Gentoo,King"],
        "gives 3 answers, so it has 3 classes, but species has 4: Adelie, Chinstrap, Gentoo, King",
    ),
    "an unknown class": (
        [*FEATURES, "--classes", "Adelie,Chinstrap,King"], "species is Gentoo in data row ",
    ),
    "a class twice": ([*FEATURES, "--classes", "Adelie,Gentoo,adelie"], "have a name twice"),
    "a column that is taken": (
        [*FEATURES, "--prediction_column", "Probability"],
        "prediction_column: 'Probability' is the name of another column of the predictions",
    ),
    "a column that a feature has": (
        [*FEATURES, "--prediction_column", "ISLAND"], "--prediction_column",
    ),
    "the same rows": ([*FEATURES, "--held_out", "{table}"], "has the same content as --data"),
    "no held-out file": ([*FEATURES, "--held_out", "none.csv"], "data none.csv: No such file"),
    "a blank": ([*FEATURES, "--limit", "a\vb"], "has the control character '\\x0b'"),
    "an encoding of no category": (
        ["--features", "flipper", "--encoding", "island=integer"],
        "--encoding: none of the features is a category",
    ),
    "two vocabularies in one": (
        [*FEATURES, "--vocabulary", "island=Biscoe,Dream,Torgersen,sex=female,male"],
        "--vocabulary island: give sex=female with another --vocabulary",
    ),
}  # fmt: skip


def test_advice_is_only_given_where_it_helps(tmp_path: Path, capfd: Fd) -> None:
    path = save(birds(one_hot_island=True), tmp_path / "model.keras")
    table = write_birds(tmp_path / "birds.csv")
    flags = (path, "--data", table, "--label", "species", *FEATURES)
    for flag, helps in (("--limit", False), ("--name", False), ("--prediction_column", True)):
        line = refused(capfd, tmp_path, *flags, flag, "a\nb")
        assert ("--prediction_column" in line) == helps
        assert not line.startswith("model ")


def test_a_long_vocabulary_is_not_printed_in_full() -> None:
    category = Category(name="place", categories=tuple(f"p{n}" for n in range(300)))
    card = ModelCard(
        name="a", model_file="", sha256="", features=(category,), classes=("a", "b")
    )  # fmt: skip
    lines = list(register.feature_lines(card))
    assert max(map(len, lines)) < 120
    assert "p10, p11 and 288 more" in lines[1]


def test_many_names_are_not_all_listed(model: Path, tmp_path: Path, capfd: Fd) -> None:
    rows = [(n % 7, n % 11, f"class {n:03}") for n in range(200)]
    table = write_csv(tmp_path / "many.csv", ["x", "y", "kind"], rows)
    flags = ("--data", table, "--label", "kind")
    line = refused(capfd, tmp_path, model, *flags)
    assert "but kind has 200: class 000, class 001, " in line
    assert "class 011 and 188 more; name those of the network" in line
    many = save(sequence(L.Dense(200, "softmax"), shape=(2,)), tmp_path / "many.keras")
    registered(many, *flags)
    lines = capfd.readouterr().out.splitlines()
    assert any(each.endswith("class 011 and 188 more") for each in lines)
    assert any(
        re.match(" +true class +rows +right +recall +most often taken", each) for each in lines
    )
    wide = [each for each in lines if len(each) > 200 and not each.startswith(("Note", "  Plaus"))]
    assert not wide


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_named(case: str, tmp_path: Path, capfd: Fd) -> None:
    flags, message = REFUSED[case]
    path = save(birds(one_hot_island=True), tmp_path / "model.keras")
    table = write_birds(tmp_path / "birds.csv")
    given = [flag.replace("{table}", str(table)) for flag in flags]
    line = refused(capfd, tmp_path, path, "--data", table, "--label", "species", *given)
    assert message in line


def test_the_default_features_are_the_numbers(tmp_path: Path, capfd: Fd) -> None:
    path = save(birds(one_hot_island=True), tmp_path / "model.keras")
    table = write_birds(tmp_path / "birds.csv")
    line = refused(capfd, tmp_path, path, "--data", table, "--label", "species")
    assert "takes 5 numbers for each row, but the features make 1: flipper; name " in line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,y,kind\n", "has no rows"),
        ("", "is not a CSV table"),
        ("x,y,kind\n1,2\n", "is not a CSV table"),
        ("x,y\n1,2\n3,4\n", "has no column kind; its columns are x, y"),
        ("x,y,kind\n1,2,a\n3,4,a\n", "label kind has a single class, a"),
        ("x,y,kind\n1,,a\n,4,b\n3,,c\n,6,a\n", "no row has a label and a plausible value"),
        ("x,y,kind\n1,5,a\n3,4,b\n7,,c\n", "no complete row has the kind c; each class needs one"),
        ("x,y,kind\n1,2,a\n3,4,b\n", "gives 3 answers, so it has 3 classes, but kind has 2: a, b"),
        ("x,y,kind\n1,z,a\n3,4,b\n5,6,c\n7,8,c\n", "y is 'z' in data row 0, which is not a number"),
    ],
)
def test_tables_that_cannot_be_used_are_named(
    content: str, message: str, model: Path, tmp_path: Path, capfd: Fd
) -> None:
    table = tmp_path / "table.csv"
    table.write_text(content)
    line = refused(capfd, tmp_path, model, "--data", table, "--label", "kind")
    assert message in line
    assert str(table) in line or str(model) in line


def test_a_range_makes_up_for_a_column_that_does_not_vary(
    model: Path, tmp_path: Path, capfd: Fd
) -> None:
    table = tmp_path / "table.csv"
    table.write_text("x,y,kind\n0,1,a\n4,1,b\n1,1,c\n")
    flags = (model, "--data", table, "--label", "kind", "--features", "x,y")
    assert "so they show no range" in refused(capfd, tmp_path, *flags)
    card = registered(*flags, "--ranges", "y=-3:7")
    assert (card.features[1].minimum, card.features[1].maximum) == (-3, 7)
    assert card.trust is not None


def test_a_row_of_each_class_is_enough(model: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("x,y,kind\n0,0.5,a\n4,0,b\n0,4,c\n")
    assert registered(model, "--data", table, "--label", "kind").trust is not None


def test_a_table_of_parquet(model: Path, data: Path, tmp_path: Path) -> None:
    import pyarrow.csv
    import pyarrow.parquet

    table = pyarrow.csv.read_csv(data)
    table = table.set_column(2, "kind", table["kind"].dictionary_encode())
    table = table.set_column(0, "x", table["x"].cast(pa.float32()))
    pyarrow.parquet.write_table(table, tmp_path / "blobs.parquet")
    card = registered(model, "--data", tmp_path / "blobs.parquet", "--label", "kind")
    assert card.metrics["accuracy"] == 1


def test_a_wide_network_is_registered_without_trust(tmp_path: Path, capfd: Fd) -> None:
    """Covariances of so many features would make a card that nothing reads."""
    width = 400
    path = save(sequence(L.Dense(3, "softmax"), shape=(width,)), tmp_path / "model.keras")
    values = np.random.default_rng(0).normal(0, 1, (12, width)).round(2)
    rows = [(*each, "abc"[place % 3]) for place, each in enumerate(values.tolist())]
    table = write_csv(tmp_path / "wide.csv", [*(f"f{n}" for n in range(width)), "kind"], rows)
    card = registered(path, "--data", table, "--label", "kind")
    assert card.trust is None
    assert "Note: the card has no novelty and no prediction sets" in capfd.readouterr().out


def test_a_card_that_cannot_be_written(model: Path, data: Path, capfd: Fd) -> None:
    card = Path(f"{model}.card.json")
    card.mkdir()
    assert run(model, "--data", data, "--label", "kind", "--replace") == 1
    assert capfd.readouterr().err == f"penguin-register: error: {card}: is a folder\n"
    assert sorted(path.name for path in model.parent.iterdir()) == [
        "blobs.csv", "blobs.keras", "blobs.keras.card.json",
    ]  # fmt: skip


def test_the_job_publishes_the_prediction_column(model: Path, data: Path, tmp_path: Path) -> None:
    registered(model, "--data", data, "--label", "kind", "--prediction_column", "shape")
    assert run_here(tmp_path / "out", "--input", data, "--model", model, *PLAIN) == 0
    found = published(tmp_path / "out", "predictions")
    assert found["shape"].to_pylist() == [f"{'abc'[n % 3]}" for n in range(90)]
    assert manifest(tmp_path / "out")["totals"]["rows_scored"] == 90
    assert json.loads(Path(f"{model}.card.json").read_text())["prediction_column"] == "shape"


def test_penguins_have_their_own_column() -> None:
    for label, classes, column in (
        ("Bird", ("Adelie", "Gentoo", "Chinstrap"), "species"),
        ("Bird", ("gentoo", "adelie"), "species"),
        ("Kind of animal", ("gentoo", "cat"), "kind_of_animal"),
        ("Probability", ("low", "high"), "predicted_probability"),
    ):
        assert registration.default_column(label, ("x", "y"), classes) == column


def test_the_better_order_is_the_best() -> None:
    names = ("a", "b", "c")
    assert registration.better_order(np.diag([1, 2, 3]), names) is None
    found = registration.better_order(np.array([[0, 5, 1], [1, 0, 5], [5, 0, 1]]), names)
    assert found == (("c", "a", "b"), 15 / 18)
