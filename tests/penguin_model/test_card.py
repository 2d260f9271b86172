"""The model card: a round trip, and every malformed card refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from penguin_model.card import ModelCard, card_path, read_card, read_verified, read_verified_model
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


HISTOGRAM = {"edges": [1.0], "counts": [1, 2]}
REFERENCE = {"features": {"Girth": HISTOGRAM}, "classes": {"Ash": 1}, "probability": HISTOGRAM}


def test_other_names_of_the_columns_and_the_classes(tmp_path: Path) -> None:
    fields = json.loads(toy_card().to_json())
    assert ModelCard.from_json(json.dumps(fields)).class_aliases == {}
    for old in ("label_aliases", "class_aliases"):  # a card from before there were aliases
        del fields[old]
    for feature in fields["features"]:
        del feature["aliases"]
    assert ModelCard.from_json(json.dumps(fields)) == toy_card()
    fields["features"][0]["aliases"] = ["girth_cm", "GIRTH"]
    fields |= {"label_aliases": ["wood"], "class_aliases": {"Ash": ["Fraxinus", "ash tree"]}}
    card = ModelCard.from_json(json.dumps(fields))
    assert card.features[0].aliases == ("girth_cm", "GIRTH")
    assert card.column_aliases["Tree"] == ("wood",)
    assert card.class_aliases["Ash"] == ("Fraxinus", "ash tree")
    assert ModelCard.from_json(card.to_json()) == card


MALFORMED = {
    "another format": change(format=2),
    "no format": lambda fields: fields.pop("format"),
    "an unknown field": change(colour="red"),
    "no name": lambda fields: fields.pop("name"),
    "no hash": lambda fields: fields.pop("sha256"),
    "no features": lambda fields: fields.pop("features"),
    "an empty list of features": change(features=[]),
    "features as text": change(features="abc"),
    "a feature twice": lambda fields: fields["features"].append(fields["features"][0]),
    "a feature without unit": lambda fields: fields["features"][0].pop("unit"),
    "a feature with an unknown field": change_feature(colour="red"),
    "a feature without a name": change_feature(name=""),
    "scale 0": change_feature(scale=0),
    "scale NaN": change_feature(scale=float("nan")),
    "scale infinite": change_feature(scale=float("inf")),
    "scale as text": change_feature(scale="10"),
    "an empty range": change_feature(minimum=7.0, maximum=7.0),
    "a range upside down": change_feature(minimum=9.0, maximum=7.0),
    "an open range": change_feature(maximum=float("inf")),
    "a range of NaN": change_feature(minimum=float("nan")),
    "no classes": lambda fields: fields.pop("classes"),
    "one class": change(classes=["Ash"]),
    "a class without a name": change(classes=["Ash", ""]),
    "classes that differ in case only": change(classes=["Ash", "ash"]),
    "classes as a number": change(classes=3),
    "aliases as text": change_feature(aliases="abc"),
    "aliases as numbers": change_feature(aliases=[1]),
    "an empty alias": change_feature(aliases=[" "]),
    "an alias that is another feature": change_feature(aliases=["leaflength "]),
    "an alias that is the label": change_feature(aliases=["TREE"]),
    "an alias of two features": lambda fields: [
        feature.update(aliases=["size"]) for feature in fields["features"][:2]
    ],
    "a label alias that is a feature": change(label_aliases=["girth"]),
    "label aliases as text": change(label_aliases="wood"),
    "class aliases as a list": change(class_aliases=["Ash"]),
    "an alias of an unknown class": change(class_aliases={"Elm": ["Ulmus"]}),
    "an alias of two classes": change(class_aliases={"Ash": ["tree"], "Birch": ["Tree"]}),
    "an alias that is another class": change(class_aliases={"Ash": ["BIRCH"]}),
    "a reference of the wrong kind": change(reference=[1]),
    "a reference without probability": change(reference={"features": {}, "classes": {}}),
    "a histogram with too few counts": change(
        reference=REFERENCE | {"probability": {"edges": [1.0], "counts": [1]}}
    ),
    "a histogram with falling edges": change(
        reference=REFERENCE | {"probability": {"edges": [2.0, 1.0], "counts": [1, 1, 1]}}
    ),
}


@pytest.mark.parametrize("breakage", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_cards_are_refused(breakage: Callable[[Fields], None], tmp_path: Path) -> None:
    fields = json.loads(toy_card().to_json()) | {"reference": REFERENCE}
    ModelCard.from_json(json.dumps(fields))
    breakage(fields)
    model = tmp_path / "model.keras"
    Path(card_path(str(model))).write_text(json.dumps(fields))
    with pytest.raises(CardError, match=r"model\.keras\.card\.json") as caught:
        read_card(str(model))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"3", b"\xff\xfe{}", b'{"a": 1}'])
def test_files_that_are_no_cards_are_refused(content: bytes, tmp_path: Path) -> None:
    model = tmp_path / "model.keras"
    Path(card_path(str(model))).write_bytes(content)
    with pytest.raises(CardError, match=r"model\.keras\.card\.json"):
        read_card(str(model))


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
    fields = json.loads(toy_card().to_json())
    Path(card_path(str(model))).write_text(json.dumps(fields | {"sha256": right}))
    card = read_verified(str(model))
    assert card.sha256 == right
    model.write_bytes(b"abd")
    with pytest.raises(ModelError, match="does not fit its card"):
        read_verified_model(card, str(model))
    with pytest.raises(ModelError, match="does not fit its card"):
        read_verified(str(model))
