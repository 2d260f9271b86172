"""The whole page: sections, accessibility, values as text, and nothing from outside as markup."""

import dataclasses
import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest

from penguin_model.pages import markup
from pipelines.report import page as report_page
from pipelines.report.data import Report, gather
from pipelines.runs.manifest import from_json as manifest_of
from tests.support import reports
from tests.support.pages import Page
from tests.support.reports import (
    FOLDER,
    HOSTILE,
    SECTIONS,
    file,
    manifest,
    measured,
    publish,
    read_page,
    reject,
)


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nights")
    reports.make_nights(root)
    return root


@pytest.fixture(scope="module")
def page(nights: Path) -> Page:
    return read_page(nights)


def test_the_page_has_all_sections_in_order(page: Page) -> None:
    assert page.text("h2") == SECTIONS
    levels = [int(each.tag[1]) for each in page.elements if re.fullmatch("h[1-6]", each.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert page.words.startswith("Run 2026-11-24-nightly penguin-classifier · published 2026-11-24")


def test_the_page_needs_nothing_else(page: Page) -> None:
    assert {each.tag for each in page.elements}.isdisjoint(
        ("script", "link", "img", "iframe", "object", "embed", "form", "base", "image", "use")
    )
    for each in page.elements:
        assert {"src", "srcset", "style", "xlink:href"}.isdisjoint(each.attributes)
        assert not any(name.startswith("on") for name in each.attributes)
        assert each.attributes.get("href", "#").startswith("#")  # type: ignore[union-attr]
    (style,) = page.text("style")
    assert "url(" not in style
    assert "@import" not in style
    policy = [each.attributes.get("content") for each in page.all("meta")][1]
    assert policy is not None
    assert re.fullmatch(
        r"default-src 'none'; style-src 'sha256-[\w+/=]{44}'; base-uri 'none'; form-action 'none'",
        policy,
    )


def test_the_page_is_accessible(page: Page) -> None:
    assert page.all("html")[0].attributes == {"lang": "en"}
    ids = [each.attributes["id"] for each in page.elements if "id" in each.attributes]
    assert len(ids) == len(set(ids))
    sections = [f"#{name}" for name in ids if not str(name).endswith("-title")]
    assert [each.attributes["href"] for each in page.all("a") if "nav" in each.around] == sections
    assert {each.attributes["href"] for each in page.all("a")} == {*sections}
    assert {each.attributes.get("scope") for each in page.all("th")} == {"row", "col"}
    assert len(page.all("caption")) == len(page.all("table"))
    charts = page.all("svg")
    assert len(charts) == 2 + 1 + 2 + 4 + 7
    titles = [each for each in page.all("title") if each.around[-1] == "svg"]
    assert all(each.attributes["role"] == "img" for each in charts)
    assert len({each.text for each in titles}) == len(charts)


def test_values_stand_in_the_page_as_text(page: Page, nights: Path) -> None:
    (last,) = nights.glob("runs/*24-nightly.json")
    found = json.loads(last.read_text())
    shift = found["drift"]["training"]["CulmenLength"]
    assert shift["drifted"]
    assert f"PSI {shift['psi']:.2f}, drifted (threshold {shift['threshold']:.2f})" in page.words
    confusion = next(each for each in page.all("table") if "Confusion" in each.text).text
    for row in found["labels"]["confusion"]:
        assert all(str(n) in confusion for n in row)
    for name in found["histograms"]["features"]:
        assert any(text.startswith(f"{name} (") for text in page.text("strong"))
    for reason, n in found["rejects_by_reason"].items():
        assert f"{reason}: {min(n, 5)} of {n}" in page.text("h3")
    assert "The files with the most rejects, worst first, in " + FOLDER in page.words
    assert "The last 24 runs by end time" in page.words


def test_hostile_texts_stay_texts(tmp_path: Path) -> None:
    reasons = dict.fromkeys(HOSTILE[:-1], 1)
    rejects = [
        reject(name, 0, f"/data/{name}", f"{name},1,2", f"column {name}") for name in HOSTILE[:-1]
    ]
    classes = {"Adelie": 1, HOSTILE[0]: 2, HOSTILE[1]: 3}
    found = manifest(
        "r", rows=6, species=classes, runner=HOSTILE[0], input=list(HOSTILE),
        versions=dict.fromkeys(HOSTILE, HOSTILE[1]), rejects_by_reason=reasons,
        model={"path": HOSTILE[0], "name": HOSTILE[1], "sha256": HOSTILE[4]},
    )  # fmt: skip
    shifts = measured(manifest("r"))["drift"]
    shifts["training"] = dict.fromkeys(HOSTILE, shifts["training"]["CulmenLength"])
    shifts |= {"baseline": shifts["training"], "baseline_runs": [HOSTILE[0]]}
    shifts["drifted"] = [*HOSTILE]
    files = [file(f"/data/{name}", 9, 1) for name in HOSTILE[:-1]]
    publish(tmp_path, found | {"drift": shifts}, rejects=rejects, files=files)
    text = report_page.render(gather(str(tmp_path)))
    page = Page(text)
    text.encode()
    assert page.all("script") == []
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069\ufeff]", text)
    for name in HOSTILE[:-1]:
        shown = markup.visible(name)
        assert f"{shown},1,2" in page.text("pre")
        assert shown in page.text("th")
        assert f"{shown}: 1 of 1" in page.text("h3")
    assert "<script>alert(1)</script>.csv" in page.words


def test_the_page_says_which_rows_the_card_was_measured_on() -> None:
    found = manifest_of(reports.labelled(measured(manifest("night")), wrong=9))
    card = reports.card()
    seen = dataclasses.replace(card, metrics={**card.metrics, "held_out": False})
    for known, rows in ((card, "held-out rows"), (seen, "rows perhaps seen before")):
        text = report_page.render(Report(manifest=found, card=known))
        for what in ("in the model card, on", "accuracy on", "log-loss on"):
            assert f"{what} {rows}<" in text


def test_many_classes_have_a_short_chart_and_all_their_numbers() -> None:
    species = {f"tree {n}": 10 * n for n in range(50)}
    found = manifest_of(measured(manifest("night")) | {"species": species})
    text = report_page.render(Report(manifest=found))
    assert ">39 others<" in text
    # Once in the chart, and in the table of numbers.
    assert [text.count(f">tree {n}<") for n in (0, 49)] == [1, 2]


def test_older_manifests_have_a_page(tmp_path: Path) -> None:
    old = manifest("old")
    for key in ("versions", "runner", "input", "start", "unsettled", "max_reject_fraction"):
        del old[key]
    publish(tmp_path, old)
    page = read_page(tmp_path)
    assert page.text("h2") == SECTIONS
    for words in ("drift wasn't measured", "manifest has no histograms", "No rows were rejected"):
        assert words in page.words
    assert len(page.all("svg")) == 1


def test_the_page_says_what_was_not_read(tmp_path: Path) -> None:
    found = manifest("n") | {"unmatched": ["/none/<*>.csv"]}
    found["totals"] |= {"files_ignored": 3, "not_files": 2}
    publish(tmp_path, found)
    page = read_page(tmp_path)
    for words in ("No file matches /none/<*>.csv .", "3 ignored (", "2 not read because they are"):
        assert words in page.words


def test_a_new_night_after_older_ones_leaves_gaps_in_history(tmp_path: Path) -> None:
    publish(tmp_path, manifest("old") | {"model": {"sha256": "1" * 64}})
    publish(tmp_path, measured(manifest("new", night=1)))
    page = read_page(tmp_path)
    assert "1 of them used a different model." in page.words
    assert "Drift score" in page.text("strong")


def test_a_held_run_has_a_page(tmp_path: Path) -> None:
    found = manifest("h", rows=10, status="held", rejects_by_reason={"missing_value": 4})
    publish(tmp_path, found, rejects=reports.made_up("missing_value", 4), files=[file("a", 14, 4)])
    page = read_page(tmp_path, "h")
    assert page.all("div", "verdict held")
    assert "Readers don't see any of it" in page.words
    assert "missing_value: 4 of 4" in page.text("h3")
    assert "b0,NA,18.7,181,3750" in page.text("pre")


def test_a_night_without_rows_has_a_page(tmp_path: Path) -> None:
    empty = manifest("e", rows=0, species=dict.fromkeys(reports.card().classes, 0))
    publish(tmp_path, measured(empty))
    page = read_page(tmp_path)
    assert page.text("h2") == SECTIONS
    assert "Look before you use it: no rows were scored." in page.words


@pytest.mark.parametrize("rows", [0, 1])
def test_labels_that_say_little_have_a_page(tmp_path: Path, rows: int) -> None:
    found = measured(manifest("r", rows=rows + 20))
    quotients: dict[str, Any] = dict.fromkeys(reports.card().classes)
    if rows:
        quotients["Adelie"] = 1.0
    bins = [{"from": 0.9, "to": 1.0, "rows": rows, "probability": 0.95, "accuracy": 1.0}]
    found["labels"] = {
        "rows": rows, "unlabelled": 20, "unknown": 20, "accuracy": 1.0 if rows else None,
        "log_loss": 0.05 if rows else None, "recall": quotients, "precision": quotients,
        "confusion": [[rows, 0, 0], [0, 0, 0], [0, 0, 0]],
        "calibration": {"error": 0.05 if rows else None, "bins": bins},
    }  # fmt: skip
    publish(tmp_path, found)
    assert ("Confusion" in read_page(tmp_path).words) == bool(rows)
