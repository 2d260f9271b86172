"""The card as a page: everything a reader looks for, nothing unescaped, and any card has a page."""

import dataclasses
import html
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model import card_page, describe
from penguin_model.card import ModelCard, card_path, read_card
from tests.support.pages import Page
from tests.support.running import PROJECT
from tests.support.toy import toy_card

SHIPPED = PROJECT / "models/penguin-classifier.keras"
HOSTILE = "<script>alert('&\"\u202e')</script>"
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-2, 2) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def shipped() -> ModelCard:
    return read_card(str(SHIPPED))


def test_what_readers_look_for(shipped: ModelCard) -> None:
    text = card_page.render(shipped)
    for expected in (
        shipped.intended_use, *shipped.limits, "Gorman KB", "CC0-1.0", "Apache-2.0", shipped.sha256,
        "142 to 261", "96.4% to 100.0%", "logistic regression", "Cross-validated: 2 × 5",
        "expected calibration error", "Confusion matrix", "tensorflow", "penguin-score --model",
    ):  # fmt: skip
        assert html.escape(expected) in text, expected
    page = Page(text)
    assert not page.all("script")
    for each in page.all("link") + page.all("img"):
        assert not each, "nothing comes from elsewhere"


def test_a_bare_card_has_a_page_without_empty_sections() -> None:
    text = card_page.render(toy_card())
    assert "MeanFrost" in text
    for absent in ("Accuracy", "Training data", "Intended use"):
        assert absent not in text


def test_text_of_a_card_is_never_markup(shipped: ModelCard) -> None:
    hostile = dataclasses.replace(
        shipped,
        name=HOSTILE, license=HOSTILE, intended_use=HOSTILE, limits=(HOSTILE,), label=HOSTILE,
        data={HOSTILE: HOSTILE, "citation": HOSTILE}, training={"forced": [HOSTILE]},
        versions={HOSTILE: [HOSTILE]}, model_file=HOSTILE,
        metrics={**shipped.metrics, "baseline": {"name": HOSTILE}},
    )  # fmt: skip
    text = card_page.render(hostile)
    assert "<script" not in text
    assert "\u202e" not in text
    assert text.count("&lt;script&gt;") > 8


def test_force_is_the_first_that_one_reads(shipped: ModelCard) -> None:
    forced = dataclasses.replace(shipped, training={"forced": ["Gentoo: 0 of 35"]})
    text = card_page.render(forced)
    assert text.index("Gentoo: 0 of 35") < text.index("Intended use")
    assert "installed in spite of the gate" not in card_page.render(shipped)


@given(
    metrics=st.dictionaries(
        st.sampled_from(
            ["baseline", "cross_validation", "baseline_cross_validation", "calibration"]
        ),
        JSON,
    ),
    training=st.dictionaries(st.sampled_from(["forced", "epochs"]), JSON),
    versions=st.dictionaries(st.text(max_size=3), JSON, max_size=2),
)
def test_any_records_have_a_page(
    metrics: dict[str, Any], training: dict[str, Any], versions: dict[str, Any]
) -> None:
    shipped = read_card(str(SHIPPED))
    card = dataclasses.replace(
        shipped, metrics={**shipped.metrics, **metrics}, training=training, versions=versions
    )
    card_page.render(card)


def test_charts_stay_in_their_frames_and_name_their_axes(shipped: ModelCard) -> None:
    text = card_page.render(shipped)
    charts = [ET.fromstring(f"<svg{piece.partition('</svg>')[0]}</svg>")
              for piece in text.split("<svg")[1:]]  # fmt: skip
    assert len(charts) == 5
    for chart in charts:
        words = " ".join("".join(each.itertext()) for each in chart)
        assert "height: " in words


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "card.html"
    assert describe.main(["--model", str(SHIPPED), "--html", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert target.read_text(encoding="utf-8") == card_page.render(read_card(str(SHIPPED)))
    absent = tmp_path / "none/card.html"
    assert describe.main(["--model", str(SHIPPED), "--html", str(absent)]) == 1
    error = capsys.readouterr().err
    assert "none/card.html" in error
    assert error.count("\n") == 1


def test_a_card_of_another_model_has_no_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "m.keras"
    model.write_bytes(b"another")
    Path(card_path(str(model))).write_bytes(Path(card_path(str(SHIPPED))).read_bytes())
    assert describe.main(["--model", str(model), "--html", str(tmp_path / "card.html")]) == 2
    assert "does not fit its card" in capsys.readouterr().err
    assert not (tmp_path / "card.html").exists()
