"""The model card: a round trip, and every malformed card refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from penguin_model.card import (
    MOST_CARD_BYTES,
    ModelCard,
    card_path,
    read_card,
    read_verified,
    read_verified_file,
)
from penguin_model.errors import CardError, ModelError
from tests.support.strategies import cards
from tests.support.toy import toy_card

Fields = dict[str, Any]


@given(cards())
def test_round_trip(card: ModelCard) -> None:
    assert ModelCard.from_json(card.to_json()) == card


def test_columns_follow_the_classes() -> None:
    card = toy_card()
    assert card.feature_names[:2] == ("Girth", "LeafLength")
    assert card.probability_columns[0] == "probability_ash"
    assert len(card.probability_columns) == len(card.classes) == 4


def change(**changes: Any) -> Callable[[Fields], None]:
    return lambda fields: fields.update(changes)


def change_feature(**changes: Any) -> Callable[[Fields], None]:
    return lambda fields: fields["features"][0].update(changes)


SHIPPED = Path(__file__).parents[2] / "models/penguin-classifier.keras.card.json"


def change_reference(name: str, **changes: Any) -> Callable[[Fields], None]:
    def breakage(fields: Fields) -> None:
        reference = fields["reference"]
        found = reference[name] if name == "probability" else reference["features"][name]
        found.update(changes)

    return breakage


def change_list(path: str, place: int, value: Any) -> Callable[[Fields], None]:
    def breakage(fields: Fields) -> None:
        found: Any = fields
        for name in path.split("."):
            found = found[name]
        found[place] = value

    return breakage


def remove(path: str) -> Callable[[Fields], None]:
    def breakage(fields: Fields) -> None:
        *parents, last = path.split(".")
        found: Any = fields
        for name in parents:
            found = found[int(name)] if isinstance(found, list) else found[name]
        del found[last]

    return breakage


def put(path: str, value: Any) -> Callable[[Fields], None]:
    def breakage(fields: Fields) -> None:
        *parents, last = path.split(".")
        found: Any = fields
        for name in parents:
            found = found[name]
        found[last] = value

    return breakage


def as_category(texts: list[str], **known: Any) -> Callable[[Fields], None]:
    def breakage(fields: Fields) -> None:
        fields["features"][0] = {"name": "CulmenLength", "categories": texts, **known}

    return breakage


NAN, INF = float("nan"), float("inf")
MASS = "reference.features.BodyMass"

# What is wrong, and the field that the message names.
MALFORMED: list[tuple[Callable[[Fields], None], str]] = [
    (change(format=2), "format"),
    (change(format="1"), "format"),
    (change(format=True), "format"),
    (change(format=1.0), "format"),
    (remove("format"), "is not a model card"),
    (change(colour="red"), "colour"),
    (change(**{"two\nlines": 1}), r"['two\nlines']"),
    (remove("name"), "name"),
    (change(name=5), "name"),
    (change(name=None), "name"),
    (change(name=""), "name"),
    (change(name=" \t"), "name"),
    (change(name="two\nlines"), "name"),
    (change(name="half \ud800"), "name"),
    (remove("model_file"), "model_file"),
    (change(model_file="folder/model.keras"), "model_file"),
    (change(model_file=r"folder\model.keras"), "model_file"),
    (change(model_file=".."), "model_file"),
    (change(model_file=""), "model_file"),
    (remove("sha256"), "sha256"),
    (change(sha256=""), "sha256"),
    (change(sha256="g" * 64), "sha256"),
    (change(sha256="0" * 63), "sha256"),
    (change(sha256="0" * 64 + "\n"), "sha256"),
    (change(sha256=int("1" * 64)), "sha256"),
    (remove("features"), "features"),
    (change(features=[]), "features"),
    (change(features="abc"), "features"),
    (change(features={"CulmenLength": 1}), "features"),
    (change_list("features", 1, "CulmenDepth"), "features[1]"),
    (change_list("features", 1, None), "features[1]"),
    (lambda fields: fields["features"].append(fields["features"][0]), "features[4]"),
    (lambda fields: fields["features"][2].update(name=" CULMENlength"), "features[2]"),
    (remove("features.0.unit"), "features[0].unit"),
    (change_feature(colour="red"), "features[0].colour"),
    (change_feature(name=5), "features[0].name"),
    (change_feature(name=["CulmenLength"]), "features[0].name"),
    (change_feature(name=""), "features[0].name"),
    (change_feature(name="\u00a0 "), "features[0].name"),
    (change_feature(name="Culmen\x00Length"), "features[0].name"),
    (change_feature(name="Culmen\u2028Length"), "features[0].name"),
    (change_feature(unit=None), "features[0].unit"),
    (change_feature(unit="m\x1b[31mm"), "features[0].unit"),
    (change_feature(scale=0), "features[0].scale"),
    (change_feature(scale=NAN), "features[0].scale"),
    (change_feature(scale=INF), "features[0].scale"),
    (change_feature(scale="10"), "features[0].scale"),
    (change_feature(scale=True), "features[0].scale"),
    (change_feature(scale=None), "features[0].scale"),
    (change_feature(scale=10**400), "features[0].scale"),
    (change_feature(scale=1e-300), "features[0].scale"),
    (change_feature(minimum=7.0, maximum=7.0), "features[0].maximum"),
    (change_feature(minimum=9.0, maximum=7.0), "features[0].maximum"),
    (change_feature(minimum=-1e308, maximum=1e308), "features[0].maximum"),
    (change_feature(maximum=INF), "features[0].maximum"),
    (change_feature(minimum=NAN), "features[0].minimum"),
    (change_feature(minimum=[18]), "features[0].minimum"),
    (remove("classes"), "classes"),
    (change(classes=["Adelie"]), "classes"),
    (change(classes=3), "classes"),
    (change(classes={"Adelie": 0, "Gentoo": 1}), "classes"),
    (change_list("classes", 1, ""), "classes[1]"),
    (change_list("classes", 1, 5), "classes[1]"),
    (change_list("classes", 1, "Gen\rtoo"), "classes[1]"),
    (change_list("classes", 2, "ADELIE"), "classes[2]"),
    (change_list("classes", 2, " Adelie\u200b"), "classes[2]"),
    (change_list("classes", 2, "Emperor"), "reference.classes.Emperor"),
    (change(label=["Species"]), "label"),
    (change(label=None), "label"),
    (change(label=0), "label"),
    (change(label=""), "label"),
    (change_feature(aliases="abc"), "features[0].aliases"),
    (change_feature(aliases=[1]), "features[0].aliases[0]"),
    (change_feature(aliases=["a", " "]), "features[0].aliases[1]"),
    (change_feature(aliases=["culmendepth "]), "features[0].aliases[0]"),
    (change_feature(aliases=["SPECIES"]), "features[0].aliases[0]"),
    (lambda fields: fields["features"][1].update(aliases=["Bill_LEN"]), "features[1].aliases[0]"),
    (change(label_aliases=["body_mass_g"]), "label_aliases[0]"),
    (change(label_aliases="species_name"), "label_aliases"),
    (change(class_aliases=["Adelie"]), "class_aliases"),
    (change(class_aliases={"Emperor": []}), "class_aliases.Emperor"),
    (change(class_aliases={"Gentoo": "papua"}), "class_aliases.Gentoo"),
    (change(class_aliases={"Gentoo": ["x", "ADELIE"]}), "class_aliases.Gentoo[1]"),
    (change(class_aliases={"Adelie": ["bird"], "Gentoo": ["Bird"]}), "class_aliases.Gentoo[0]"),
    (change(training=[]), "training"),
    (change(training=None), "training"),
    (change(training={"loss": NAN}), "training.loss"),
    (change(data="penguins.csv"), "data"),
    (put("data.train_rows", "many"), "data.train_rows"),
    (put("data.citation", 3), "data.citation"),
    (change(versions=["3.11"]), "versions"),
    (change(metrics=7), "metrics"),
    (put("metrics.accuracy", "high"), "metrics.accuracy"),
    (put("metrics.accuracy", 1.01), "metrics.accuracy"),
    (put("metrics.accuracy", {"test": 1.0}), "metrics.accuracy"),
    (put("metrics.log_loss", -1), "metrics.log_loss"),
    (put("metrics.test_rows", 1.5), "metrics.test_rows"),
    (put("metrics.test_rows", -1), "metrics.test_rows"),
    (put("metrics.test_rows", True), "metrics.test_rows"),
    (put("metrics.recall", [1.0, 1.0, 1.0]), "metrics.recall"),
    (put("metrics.recall.Gentoo", "1.0"), "metrics.recall.Gentoo"),
    (put("metrics.recall.Gentoo", 100), "metrics.recall.Gentoo"),
    (put("metrics.confusion", {"Adelie": 3}), "metrics.confusion"),
    (change_list("metrics.confusion", 1, [0, "35", 0]), "metrics.confusion[1][1]"),
    (change(prediction_column="probability"), "prediction_column"),
    (change(prediction_column=" "), "prediction_column"),
    (change(prediction_column="culmenlength"), "features[0].name"),
    (as_category(["a", "b"]), "reference.features.CulmenLength.edges"),
    (as_category(["a"]), "features[0].categories"),
    (as_category(["a", "a "]), "features[0].categories[1]"),
    (as_category(["a", "\n"]), "features[0].categories[1]"),
    (as_category(["a", "b"], out_of_vocabulary=2), "features[0].out_of_vocabulary"),
    (as_category(["a", "b"], one_hot=1), "features[0].one_hot"),
    (change(reference=[1]), "reference"),
    (change(reference=False), "reference"),
    (remove("reference.probability"), "reference.probability"),
    (put("reference.colour", 1), "reference.colour"),
    (remove(MASS), MASS),
    (put("reference.features.Wingspan", {"edges": [], "counts": [1]}), "reference.features.Wing"),
    (remove("reference.classes.Gentoo"), "reference.classes.Gentoo"),
    (put("reference.classes.Emperor", 1), "reference.classes.Emperor"),
    (put("reference.classes.Gentoo", -1), "reference.classes.Gentoo"),
    (put("reference.classes.Gentoo", 1.0), "reference.classes.Gentoo"),
    (put("reference.classes", [100, 88, 51]), "reference.classes"),
    (remove(f"{MASS}.edges"), f"{MASS}.edges"),
    (put(f"{MASS}.edges", "abc"), f"{MASS}.edges"),
    (change_list(f"{MASS}.edges", 3, "3780"), f"{MASS}.edges[3]"),
    (change_list(f"{MASS}.edges", 3, NAN), f"{MASS}.edges[3]"),
    (change_list(f"{MASS}.edges", 8, INF), f"{MASS}.edges[8]"),
    (change_list(f"{MASS}.edges", 3, None), f"{MASS}.edges[3]"),
    (change_list(f"{MASS}.edges", 3, 1.0), f"{MASS}.edges[3]"),
    (change_list(f"{MASS}.edges", 1, 3295.0), f"{MASS}.edges[1]"),
    (change_list(f"{MASS}.counts", 2, -1), f"{MASS}.counts[2]"),
    (change_list(f"{MASS}.counts", 2, 1.5), f"{MASS}.counts[2]"),
    (change_list(f"{MASS}.counts", 2, "24"), f"{MASS}.counts[2]"),
    (change_list(f"{MASS}.counts", 2, True), f"{MASS}.counts[2]"),
    (change_list(f"{MASS}.counts", 2, 2**53 + 1), f"{MASS}.counts[2]"),
    (change_list(f"{MASS}.counts", 2, 10**100), f"{MASS}.counts[2]"),
    (change_reference("BodyMass", counts=[1]), f"{MASS}.counts"),
    (change_reference("probability", edges=[0.5, 1.5], counts=[0, 0, 0]),
     "reference.probability.edges[1]"),
]  # fmt: skip


@pytest.mark.parametrize(("breakage", "field"), MALFORMED)
def test_malformed_cards_are_refused(
    breakage: Callable[[Fields], None], field: str, tmp_path: Path
) -> None:
    fields = json.loads(SHIPPED.read_text())
    breakage(fields)
    line = refusal(tmp_path, json.dumps(fields).encode())
    assert line.startswith(field)
    assert line.removeprefix(field)[:1] in ":ds"  # the field's whole name, or "is not a card"


def refusal(folder: Path, content: bytes) -> str:
    """The message about a card, without the card's path."""
    model = folder / "model.keras"
    Path(card_path(str(model))).write_bytes(content)
    with pytest.raises(CardError) as caught:
        read_card(str(model))
    start = f"model card {model}.card.json: "
    line = str(caught.value)
    assert line.startswith(start)
    assert "\n" not in line
    assert len(line) < 300 + len(start)
    return line.removeprefix(start)


TEXT = SHIPPED.read_text()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"[]", "is not a model card"),
        (b"null", "is not a model card"),
        (b"3", "is not a model card"),
        (b'"format"', "is not a model card"),
        (b'{"a": 1}', "is not a model card"),
        (b"\xff\xfe{}", "is not UTF-8 text"),
        (TEXT.encode("utf-16"), "is not UTF-8 text"),
        (TEXT.replace("mm", "\xb5m").encode("latin-1"), "is not UTF-8 text"),
        (TEXT.encode("utf-8-sig"), "begins with a byte-order mark"),
        (TEXT[: len(TEXT) // 2].encode(), "is not JSON"),
        (TEXT.encode() + b"x", "is not JSON"),
        (b"[" * 100_000, "is nested too deeply"),
        (b"[" * 100 + b"]" * 100, "is nested too deeply"),
        (b'{"a":' * 60 + b"1" + b"}" * 60, "is nested too deeply"),
        (TEXT.replace('"scale": 1.0', '"scale": 1e999').encode(), "features[0].scale"),
        (TEXT.replace('"scale": 1.0', '"scale": 1, "scale": 2').encode(), "features[0].scale"),
        (TEXT.replace('"format": 1', '"format": 1, "format": 1').encode(), "format"),
        (TEXT.replace("50,", "1" * 5000 + ",", 1).encode(), "training.epochs"),
        (TEXT.replace("50,", "NaN,", 1).encode(), "training.epochs"),
        (TEXT.encode() + b" " * MOST_CARD_BYTES, "is larger than 10,000,000 bytes"),
    ],
    ids=range(22),
)  # fmt: skip
def test_files_that_are_no_cards_are_refused(content: bytes, fault: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, content).startswith(fault)


def test_a_card_must_be_a_file(tmp_path: Path) -> None:
    os.mkfifo(card_path(str(tmp_path / "pipe.keras")))
    os.mkdir(card_path(str(tmp_path / "folder.keras")))
    for name in ("pipe.keras", "folder.keras"):
        with pytest.raises(CardError, match="is not a file"):
            read_card(str(tmp_path / name))


def test_a_card_from_before_there_were_aliases() -> None:
    fields = json.loads(TEXT)
    del fields["label_aliases"], fields["class_aliases"]
    for feature in fields["features"]:
        del feature["aliases"]
    card = ModelCard.from_json(json.dumps(fields))
    assert (card.features[0].aliases, card.label_aliases, card.class_aliases) == ((), (), {})
    assert ModelCard.from_json(TEXT).class_aliases["Gentoo"][0] == "Gentoo penguin"


def test_whole_numbers_may_stand_for_others() -> None:
    fields = json.loads(TEXT)
    fields["features"][0] |= {"scale": 1, "minimum": 18, "maximum": 74}
    fields["training"]["seed"] = 2**64
    fields["metrics"] = {"accuracy": 1, "recall": {"Gentoo": None}, "mine": [{"a": None}]}
    del fields["reference"], fields["label"]
    card = ModelCard.from_json(json.dumps(fields))
    assert card.features == ModelCard.from_json(TEXT).features
    assert isinstance(card.features[0].scale, float)
    assert (card.label, card.reference) == ("Species", None)


def test_a_missing_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CardError, match="No such file"):
        read_card(str(tmp_path / "model.keras"))


def test_fingerprint(tmp_path: Path) -> None:
    model = tmp_path / "model.keras"
    with pytest.raises(ModelError, match="no such file"):
        read_verified(str(model))
    model.write_bytes(b"abc")
    # The SHA-256 of "abc" (FIPS 180-2, appendix B.1).
    right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    fields = json.loads(toy_card().to_json()) | {"model_file": "model.keras", "sha256": right}
    Path(card_path(str(model))).write_text(json.dumps(fields))
    card = read_verified(str(model))
    assert card.sha256 == right
    model.write_bytes(b"abd")
    with pytest.raises(ModelError, match="does not fit its card"):
        read_verified_file(str(model), card.sha256, str(model))
    with pytest.raises(ModelError, match="does not fit its card"):
        read_verified(str(model))
