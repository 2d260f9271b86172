"""The report: what it reads, what it says, and that no text of others becomes markup."""

import datetime
import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines import formatting
from pipelines.datasets import schemas
from pipelines.errors import CardError, UsageError
from pipelines.report import __main__ as report
from pipelines.report import examples as excerpts
from pipelines.report import markup, verdict
from pipelines.report import page as report_page
from pipelines.report.data import Report, gather
from pipelines.report.markup import Markup, element
from pipelines.runs.manifest import from_json
from tests.support import reports, samples
from tests.support.pages import Page
from tests.support.reports import (
    FOLDER,
    HOSTILE,
    file,
    labelled,
    manifest,
    measured,
    publish,
    reject,
)
from tests.support.running import run_here

PROJECT = Path(__file__).parents[2]
SECTIONS = [
    "Drift", "Accuracy", "Predictions", "Features", "Rejects", "Files", "Recent runs",
    "Model", "Run",
]  # fmt: skip


def read(root: Path, run_id: str | None = None, **known: Any) -> Page:
    return Page(report_page.render(gather(str(root), run_id, **known)))


def answer(found: dict[str, Any]) -> verdict.Verdict:
    return verdict.judge(Report(manifest=from_json(found), card=reports.card()))


# Words and markup


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "0.0%"), (0.0004, "<0.1%"), (0.024, "2.4%"), (0.9996, ">99.9%"), (1, "100.0%")],
)
def test_a_share_looks_like_none_or_all_only_if_it_is(share: float, shown: str) -> None:
    assert formatting.percent(share) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"), (0.00902, "0.00902"), (38.56, "38.6"), (4050.0, "4,050"), (1e6, "1,000,000"),
        (-2.5, "−2.5"), (None, "–"), (float("inf"), "inf"), (9.996, "10"),
    ],
)  # fmt: skip
def test_numbers_keep_the_digits_that_matter(value: float | None, shown: str) -> None:
    assert formatting.number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(9.44, "9.4 s"), (74.2, "1 min 14 s"), (7384, "2 h 3 min")]
)
def test_durations_have_two_units(seconds: float, shown: str) -> None:
    start = "2026-11-01T20:00:00+00:00"
    end = datetime.datetime.fromisoformat(start) + datetime.timedelta(seconds=seconds)
    assert formatting.duration(start, end.isoformat()).replace(formatting.NO_BREAK, " ") == shown
    assert formatting.duration("None", start) == "–"


def test_long_texts_are_cut_and_say_how_long_they_are() -> None:
    assert formatting.cut("x" * 400) == "x" * 400
    assert formatting.cut("x" * 4_194_304) == "x" * 400 + "… (4,194,304 characters)"


@given(st.text())
def test_text_never_becomes_markup(text: str) -> None:
    page = Page(f"<body>{element('p', text, title=text)}</body>")
    assert [each.tag for each in page.elements] == ["body", "p"]
    # Where a parser reads text anew, as of a carriage return, the page shows the character's name.
    assert page.all("p")[0].text == page.all("p")[0].attributes["title"] == markup.visible(text)


@pytest.mark.parametrize("text", ["\u202e", "\u2066", "\ufeff", "\x00", "\x1b", "\r", "\udcff"])
def test_what_has_no_look_of_its_own_is_shown_by_its_number(text: str) -> None:
    assert markup.visible(f"a{text}b") == f"a‹U+{ord(text):04X}›b"


def test_markup_is_kept_and_none_is_nothing() -> None:
    assert element("p", Markup("<b>x</b>"), None, ["&", 1]) == "<p><b>x</b>&amp;1</p>"
    assert element("p", hidden=True, id=None, aria_label="a\"'<b") == (
        '<p hidden aria-label="a&quot;&#x27;&lt;b"></p>'
    )


# What is read


def test_examples_are_the_first_of_each_reason(tmp_path: Path) -> None:
    rows = [reject("a", n, "x.csv", f"raw {n}", "m") for n in range(50)]
    rows[41] = reject("rare", 41, "x.csv", None, "m")
    found = publish(tmp_path, manifest("r"), rejects=rows, row_group_rows=7)
    paths = excerpts.shards(str(tmp_path / "rejects/run_id=r"), from_json(found), "rejects")
    assert len(paths) == 2
    got = excerpts.examples(paths, {"a": 49, "rare": 1, "none": 0}, 5)
    places = {reason: [row["source_row"] for row in rows] for reason, rows in got.items()}
    assert places == {"a": [0, 1, 2, 3, 4], "rare": [41], "none": []}
    assert got["a"][4]["raw"] == "raw 4"


def test_no_more_rejects_are_read_than_it_takes(tmp_path: Path) -> None:
    rows = [reject("a", n, "x.csv", "raw", "m") for n in range(20)]
    found = publish(tmp_path, manifest("r"), rejects=rows)
    paths = excerpts.shards(str(tmp_path / "rejects/run_id=r"), from_json(found), "rejects")
    Path(paths[1]).unlink()
    assert len(excerpts.examples(paths, {"a": 20}, 5)["a"]) == 5


def test_large_rejects_are_read_few_at_a_time(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    raw = [random.bytes(1 << 11).hex() for _ in range(20_000)]
    rows = [reject("a", n, "x.csv", each, "m") for n, each in enumerate(raw)]
    rows[-1]["reason"] = "rare"
    path = tmp_path / "rejects.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schemas.REJECTS), path, use_dictionary=False)
    assert path.stat().st_size > 40 << 20
    code = (
        "import pyarrow as pa; from pipelines.report import examples as excerpts; "
        f"got = excerpts.examples([{str(path)!r}], {{'a': 19999, 'rare': 1}}, 5); "
        "print(len(got['a']), got['rare'][0]['source_row'], pa.default_memory_pool().max_memory())"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    examples, row, most = map(int, ran.stdout.split())
    assert (examples, row) == (5, 19_999)
    assert most < 30 << 20  # all of them are 80 MiB


def test_the_worst_files_come_first(tmp_path: Path) -> None:
    rows = [file(f"{n:03d}.csv", 100, n % 7) for n in range(200)]
    rows[150] = file("torn.csv", 0, 0)
    found = publish(tmp_path, manifest("r"), files=rows)
    paths = excerpts.shards(str(tmp_path / "files/run_id=r"), from_json(found), "files")
    worst = excerpts.worst_files(paths, 20)
    assert [row["source_file"] for row in worst] == [f"{n:03d}.csv" for n in range(6, 140, 7)]
    fine = excerpts.worst_files(paths, 200)
    assert next(row for row in fine if not row["rows_rejected"])["source_file"] == "torn.csv"
    assert excerpts.worst_files([], 20) == []


def test_the_latest_published_run_is_taken(tmp_path: Path) -> None:
    for night, run_id in enumerate(("z", "m", "a")):
        publish(tmp_path, manifest(run_id, night=night))
    publish(tmp_path, manifest("held", night=9, status="held"))
    assert gather(str(tmp_path)).manifest.run_id == "a"


def test_a_run_is_found_by_name_the_held_one_first(tmp_path: Path) -> None:
    first = publish(tmp_path, manifest("a", night=1))
    assert not gather(str(tmp_path), "a").is_held
    publish(tmp_path, manifest("a", night=2, status="held"))
    found = gather(str(tmp_path), "a")
    assert (found.is_held, found.replaced) == (True, first["end"])
    assert "readers still see the earlier run of the same name" in read(tmp_path, "a").words


def test_history_has_the_last_thirty_runs_up_to_this_one(tmp_path: Path) -> None:
    for night in range(40):
        publish(tmp_path, manifest(f"n{night}", night=night))
    publish(tmp_path, manifest("held", night=35, status="held"))

    def names(run_id: str | None) -> list[str]:
        return [each.run_id for each in gather(str(tmp_path), run_id).history]

    assert names(None) == [f"n{night}" for night in range(10, 40)]
    assert names("n5") == [f"n{night}" for night in range(6)]
    assert names("held") == [*(f"n{night}" for night in range(7, 36)), "held"]


@pytest.mark.parametrize("run_id", [None, "missing", "../up", ""])
def test_no_such_run_is_refused(tmp_path: Path, run_id: str | None) -> None:
    with pytest.raises(UsageError):
        gather(str(tmp_path), run_id)


@pytest.mark.parametrize("text", ["{", "[]", '{"run_id": "x"}', "\xff"])
def test_a_damaged_manifest_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/x.json").write_text(text, encoding="latin-1")
    for run_id in (None, "x"):
        with pytest.raises(UsageError, match=r"runs/x.json is not .*; move it away or delete it"):
            gather(str(tmp_path), run_id)


def test_without_its_card_a_run_is_drawn_alone(tmp_path: Path) -> None:
    for run_id, about in (
        ("gone", {"path": str(tmp_path / "x.keras"), "name": "m", "sha256": "0" * 64}),
        ("other", {"path": str(reports.MODEL), "name": "m", "sha256": "0" * 64}),
        ("none", {}),
    ):
        publish(tmp_path, measured(manifest(run_id)) | {"model": about})
        page = read(tmp_path, run_id)
        assert "Training data not shown: " in page.words
        assert "CulmenLength: this run" in page.text("strong")
        assert "training, 239 rows" not in page.words
    model = str(reports.MODEL)
    with pytest.raises(CardError, match="belongs to a different model"):
        gather(str(tmp_path), "gone", model)
    shutil.copy(model + ".card.json", tmp_path / "moved.keras.card.json")
    publish(tmp_path, measured(manifest("moved")) | {"model": {"sha256": reports.card().sha256}})
    assert gather(str(tmp_path), "moved", str(tmp_path / "moved.keras")).card is not None


def test_data_sets_that_are_gone_leave_a_note(tmp_path: Path) -> None:
    found = manifest("r", rejects_by_reason={"out_of_range": 3})
    publish(tmp_path, found, rejects=reports.made_up("out_of_range", 3), files=[file("a", 9, 3)])
    assert "out_of_range: 3 of 3" in read(tmp_path).text("h3")
    shutil.rmtree(tmp_path / "rejects")
    (tmp_path / "files/run_id=r/part-00000.parquet").write_bytes(b"torn")
    words = read(tmp_path).words
    assert "Examples not available: " in words
    assert "List not available: " in words


# What is said


@pytest.mark.parametrize(
    ("found", "level", "words"),
    [
        (measured(manifest("r")), "yes", "Yes, these predictions can be trusted."),
        (
            measured(manifest("r"), shift=2), "caution",
            "With caution: the data have drifted in Culmen",
        ),
        (manifest("r"), "caution", "With caution: drift wasn't measured."),
        (
            manifest("r", rows=0, species={}), "caution",
            "There are no predictions to trust: no rows were scored.",
        ),
        (
            manifest("r", status="held", rejects_by_reason={"missing_value": 400}), "no",
            "No: 53.9% of the rows were rejected, so nothing was published.",
        ),
        (
            measured(manifest("r", status="held"), shift=2, max_drift=0.2), "no",
            "No: the data have drifted in CulmenLength (PSI ",
        ),
        (labelled(measured(manifest("r")), wrong=2), "yes", "Yes, these"),
        (
            labelled(measured(manifest("r")), wrong=90), "caution",
            "With caution: accuracy is significantly lower than in training.",
        ),
    ],
)  # fmt: skip
def test_the_first_line_answers_whether_to_trust(
    found: dict[str, Any], level: str, words: str
) -> None:
    got = answer(found)
    assert got.level == level
    assert got.answer.replace(formatting.NO_BREAK, " ").startswith(words)


def test_reasons_say_what_was_checked_and_do_not_repeat_the_answer() -> None:
    fine = answer(labelled(measured(manifest("r")), wrong=2))
    assert len(fine.reasons) == 4
    assert fine.reasons[0] == "The run is published."
    assert fine.reasons[2] == "There is no drift beyond chance."
    assert not any("rift" in each for each in answer(measured(manifest("r"), shift=2)).reasons)


def test_the_interval_is_wilsons() -> None:
    # R: prop.test(c(0, 8, 10), c(10, 10, 10), correct=FALSE)
    assert verdict.interval(0, 10) == pytest.approx((0, 0.27753), abs=1e-4)
    assert verdict.interval(8, 10) == pytest.approx((0.49016, 0.94332), abs=1e-4)
    assert verdict.interval(10, 10) == pytest.approx((0.72247, 1), abs=1e-4)


# The page


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("nights")
    reports.make_nights(root)
    return root


@pytest.fixture(scope="module")
def page(nights: Path) -> Page:
    return read(nights)


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
    targets = [each.attributes["href"] for each in page.all("a")]
    assert targets == [f"#{name}" for name in ids if not str(name).endswith("-title")]
    assert {each.attributes.get("scope") for each in page.all("th")} == {"row", "col"}
    assert len(page.all("caption")) == len(page.all("table"))
    charts = page.all("svg")
    assert len(charts) == 2 + 1 + 2 + 4 + 6
    titles = [each for each in page.all("title") if each.around[-1] == "svg"]
    assert all(each.attributes["role"] == "img" for each in charts)
    assert len({each.text for each in titles}) == len(charts)


def test_values_stand_in_the_page_as_text(page: Page, nights: Path) -> None:
    (last,) = nights.glob("runs/*24-nightly.json")
    found = json.loads(last.read_text())
    shift = found["drift"]["training"]["CulmenLength"]
    assert shift["drifted"]
    assert (
        f"PSI {shift['psi']:.2f}, drifted (chance threshold {shift['threshold']:.2f})" in page.words
    )
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
    shifts |= {"previous": shifts["training"], "previous_run": HOSTILE[0], "drifted": [*HOSTILE]}
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


def test_older_manifests_have_a_page(tmp_path: Path) -> None:
    old = manifest("old")
    for key in ("versions", "runner", "input", "start", "unsettled", "max_reject_fraction"):
        del old[key]
    publish(tmp_path, old)
    page = read(tmp_path)
    assert page.text("h2") == SECTIONS
    for words in ("Drift wasn't measured", "manifest has no histograms", "No rows were rejected"):
        assert words in page.words
    assert len(page.all("svg")) == 1


def test_a_new_night_after_older_ones_leaves_gaps_in_history(tmp_path: Path) -> None:
    publish(tmp_path, manifest("old") | {"model": {"sha256": "1" * 64}})
    publish(tmp_path, measured(manifest("new", night=1)))
    page = read(tmp_path)
    assert "1 of them used a different model." in page.words
    assert "Drift score (PSI)" in page.text("strong")


def test_a_held_run_has_a_page(tmp_path: Path) -> None:
    found = manifest("h", rows=10, status="held", rejects_by_reason={"missing_value": 4})
    publish(tmp_path, found, rejects=reports.made_up("missing_value", 4), files=[file("a", 14, 4)])
    page = read(tmp_path, "h")
    assert page.all("p", "verdict no")
    assert "readers don't see any of it" in page.words
    assert "missing_value: 4 of 4" in page.text("h3")
    assert "b0,NA,18.7,181,3750" in page.text("pre")


def test_a_night_without_rows_has_a_page(tmp_path: Path) -> None:
    empty = manifest("e", rows=0, species=dict.fromkeys(reports.card().classes, 0))
    publish(tmp_path, measured(empty))
    page = read(tmp_path)
    assert page.text("h2") == SECTIONS
    assert "no predictions to trust" in page.words
    assert "No rows were read." in page.words


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
    assert ("Confusion" in read(tmp_path).words) == bool(rows)


# The command


def test_the_command_writes_beside_the_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    publish(tmp_path, manifest("r"))
    assert report.main(["--output", str(tmp_path)]) == 0
    path = tmp_path / "reports/r.html"
    assert capsys.readouterr().out == f"{path}\n"
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>\n<html lang=")
    assert [each.name for each in (tmp_path / "runs").iterdir()] == ["r.json"]
    other = tmp_path / "elsewhere/x.html"
    assert report.main(["--output", str(tmp_path), "--run_id", "r", "--to", str(other)]) == 0
    assert other.read_text() == path.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--run_id", "missing"], "no published or held run is named missing"),
        (["--run_id", "a/b"], "use 1 to 128 letters"),
        (["--model", "nowhere.keras"], "model card nowhere.keras.card.json doesn't exist"),
        (["--misspelt"], "unrecognized arguments: --misspelt"),
        (["--to", "/dev/null/x.html"], "cannot write /dev/null/x.html"),
    ],
)
def test_errors_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    publish(tmp_path, manifest("r"))
    code = report.main(["--output", str(tmp_path), *arguments])
    out, err = capsys.readouterr()
    assert (code, out) == (1 if "--to" in arguments else 2, "")
    assert err.startswith("penguin-report: error: ")
    assert words in err
    assert err.count("\n") == 1


def test_a_root_without_runs_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["--output", "/nowhere"]) == 2
    assert "/nowhere: no published runs found" in capsys.readouterr().err


def test_options_of_the_filesystems_are_taken(tmp_path: Path) -> None:
    publish(tmp_path, manifest("r"))
    flags = ["--output", str(tmp_path), "--s3_endpoint_url", "http://127.0.0.1:1"]
    assert report.main(flags) == 0


def test_help_is_fast() -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pipelines.report", "--help"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert ran.stdout.startswith("usage: penguin-report ")
    loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
    assert loaded.isdisjoint(("apache_beam", "pyarrow", "numpy", "pandas", "tensorflow"))


def test_a_real_run_has_a_report(tmp_path: Path, observations: Path) -> None:
    assert run_here(tmp_path, "--input", observations, "--run_id", "real") == 0
    page = read(tmp_path)
    assert page.text("h2") == SECTIONS
    assert "missing_value: 2 of 2" in page.text("h3")
    assert "0.58% of 344 rows were rejected" in page.words
    assert "All files, worst first, in " in page.words


@pytest.mark.parametrize(("fraction", "code", "said"), [("0.1", 0, "published"), ("0", 3, "held")])
def test_the_job_writes_its_own_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fraction: str, code: int, said: str
) -> None:
    flags = (*samples.FLAGS, "--report", "--max_reject_fraction", fraction)
    assert run_here(tmp_path, *flags) == code
    page = tmp_path / "reports" / "golden.html"
    assert re.search(rf"^report +{re.escape(str(page))}$", capsys.readouterr().out, re.M)
    assert said in page.read_text()


def test_a_report_that_cannot_be_written_leaves_the_run_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "reports").write_text("in the way")
    assert run_here(tmp_path, *samples.FLAGS, "--report") == 0
    assert "note: no report: cannot write" in capsys.readouterr().err
    assert (tmp_path / "runs" / "golden.json").exists()
