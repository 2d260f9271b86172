"""The index over all runs: status, order, bounds, damaged records, and nothing as markup."""

import re
from pathlib import Path
from typing import Any

import pytest

from pipelines import report
from pipelines.errors import UsageError
from pipelines.report import __main__ as command
from pipelines.report import index
from pipelines.storage import objects
from tests.support import reports
from tests.support.pages import Page
from tests.support.reports import HOSTILE, fail, labelled, manifest, measured, publish
from tests.support.running import run_here
from tests.support.stores.memory import Memory

REVIEW = {"at": "2026-11-05T08:00:00+00:00", "by": "ann@station", "why": "off <b>"}


def make_runs(root: Path) -> None:
    publish(root, labelled(measured(manifest("n0", night=0)), wrong=0))
    estimate = {"accuracy": 0.981, "low": 0.97, "high": 0.99, "rows": 342}
    publish(root, manifest("n1", night=1, accuracy_estimate=estimate))
    publish(root, manifest("n2", night=2, status="held", held_reason="it <i>drifted"))
    for night, status in enumerate(("rejected", "retracted", "pruned"), 3):
        review = REVIEW | {"status": status}
        publish(root, manifest(f"n{night}", night=night, status=status, reviews=[review]))
    fail(root, "n6", night=6, exit_code=1, error="cannot write <x>")


def show(root: Path, **known: Any) -> Page:
    return Page(index.render(index.gather(str(root), **known)))


def test_every_run_is_there_newest_first_with_its_status(tmp_path: Path) -> None:
    make_runs(tmp_path)
    page = show(tmp_path)
    rows = [each.text for each in page.all("th") if each.attributes["scope"] == "row"]
    found = [re.match(r"(n\d)([a-z]+)2026-11-0\d 20:38$", each) for each in rows]
    assert [each.groups() for each in found if each] == [
        ("n6", "failed"), ("n5", "pruned"), ("n4", "retracted"), ("n3", "rejected"),
        ("n2", "held"), ("n1", "published"), ("n0", "published"),
    ]  # fmt: skip
    notes = [each.text for each in page.all("tr", "note")]
    assert notes == [
        "Exit code 1: cannot write <x>",
        "Pruned by ann@station on 2026-11-05 08:00:00 UTC: off <b>.",
        "Retracted by ann@station on 2026-11-05 08:00:00 UTC: off <b>.",
        "Rejected by ann@station on 2026-11-05 08:00:00 UTC: off <b>.",
        "Held: it <i>drifted.",
    ]
    assert "1 run waits for a decision n2" in page.words
    assert "7 runs: 1 failed, 1 held, 1 pruned, 2 published, 1 rejected, 1 retracted." in page.words
    numbers = [each.text for each in page.all("td", "number")][-8:]
    assert numbers == ["342", "0.0%", "–", "~98.1%", "342", "0.0%", "0.00", "100.0%"]


def test_only_pages_that_exist_are_linked(tmp_path: Path) -> None:
    make_runs(tmp_path)
    report.write(str(tmp_path), "n0")
    page = Page((tmp_path / "reports/index.html").read_text())
    assert [each.attributes["href"] for each in page.all("a")] == ["n0.html"]
    report.write(str(tmp_path), "n2")
    page = Page((tmp_path / "reports/index.html").read_text())
    assert [each.attributes["href"] for each in page.all("a")] == ["n2.html", "n2.html", "n0.html"]


def test_a_run_named_index_has_a_page_beside_the_index(tmp_path: Path) -> None:
    publish(tmp_path, manifest("index"))
    path = report.write(str(tmp_path), None)
    assert path == str(tmp_path / "reports/_index.html")
    assert "Run index" in Path(path).read_text()
    page = Page((tmp_path / "reports/index.html").read_text())
    assert [each.attributes["href"] for each in page.all("a")] == ["_index.html"]


def test_the_index_is_bounded(tmp_path: Path) -> None:
    for night in range(7):
        publish(tmp_path, manifest(f"n{night}", night=night))
    page = show(tmp_path, most=5)
    assert "7 runs: 7 published." in page.words
    assert "2 older runs not shown." in page.words
    assert "n2" in page.text("strong")
    assert "n1" not in page.text("strong")


def test_damaged_records_are_named_and_hide_nothing(tmp_path: Path) -> None:
    make_runs(tmp_path)
    (tmp_path / "runs/bad.json").write_text("{")
    page = show(tmp_path)
    assert f"{tmp_path}/runs/bad.json is not JSON; move it away" in page.words
    assert len(page.all("tr", "note")) == 5
    (tmp_path / "other/runs").mkdir(parents=True)
    (tmp_path / "other/runs/bad.json").write_text("{")
    assert "is not JSON" in show(tmp_path / "other").words


def test_a_root_without_runs_has_no_index(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no runs found"):
        index.gather(str(tmp_path))


@pytest.mark.parametrize("name", [*HOSTILE, "x" * 5000])
def test_hostile_texts_stay_texts(tmp_path: Path, name: str) -> None:
    review = REVIEW | {"status": "rejected", "by": name, "why": name}
    publish(tmp_path, manifest("r", status="rejected", reviews=[review], held_reason=name))
    fail(tmp_path, "f", error=name)
    text = index.render(index.gather(str(tmp_path)))
    page = Page(text)
    text.encode()
    assert {each.tag for each in page.elements}.isdisjoint(("script", "b", "i", "img"))
    assert len(page.all("style")) == 1
    assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e\u2066-\u2069\ufeff]", text)
    assert str(page.all("meta")[1].attributes["content"]).startswith("default-src 'none'; ")


def test_the_command_writes_the_index_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_runs(tmp_path)
    assert command.main(["--output", str(tmp_path), "--index"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'reports/index.html'}\n"
    assert [each.name for each in (tmp_path / "reports").iterdir()] == ["index.html"]
    for flag in ("--run_id", "--to", "--model"):
        assert command.main(["--output", str(tmp_path), "--index", flag, "n0"]) == 2
        assert f"{flag} is about one run" in capsys.readouterr().err


def test_the_job_keeps_the_index_up_to_date(tmp_path: Path) -> None:
    night = tmp_path / "night.csv"
    night.write_text("CulmenLength,CulmenDepth,FlipperLength,BodyMass\n" + "39,18,181,3750\n" * 9)
    flags = ("--input", night, "--report", "--max_drift", 0.2)
    root = tmp_path / "out"
    assert run_here(root, *flags, "--run_id", "a") == 4
    page = Page((root / "reports/index.html").read_text())
    assert "1 run waits for a decision a" in page.words
    held = (root / "_held/a/manifest.json").exists()
    assert held
    words = Page((root / "reports/a.html").read_text())
    commands = [each for each in words.text("pre") if "accept" in each]
    assert len(commands) == 1
    assert commands[0].endswith(f" accept a --output {root}")


def test_a_page_written_elsewhere_leaves_the_root_alone(tmp_path: Path) -> None:
    publish(tmp_path / "out", manifest("r"))
    report.write(str(tmp_path / "out"), None, to=str(tmp_path / "page.html"))
    assert not (tmp_path / "out/reports").exists()


def test_pages_and_index_work_on_an_object_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_runs(tmp_path)
    store = Memory()
    monkeypatch.setattr(objects, "of", lambda _: store)
    for file in tmp_path.rglob("*.json"):
        store.put(f"s3://penguins/out/{file.relative_to(tmp_path)}", file.read_bytes())
    reach = {"s3_endpoint_url": "http://localhost:9000"}
    path = report.write("s3://penguins/out", "n2", reach=reach)
    assert path == "s3://penguins/out/reports/n2.html"
    (accept, *_) = Page(store.content[path].decode()).text("pre")
    end = "--output s3://penguins/out --s3_endpoint_url http://localhost:9000"
    assert accept.endswith(f" accept n2 {end}")
    page = Page(store.content["s3://penguins/out/reports/index.html"].decode())
    assert len(page.all("th")) == 5 + 7
    assert {each.attributes["href"] for each in page.all("a")} == {"n2.html"}


def test_made_up_nights_have_an_index(tmp_path: Path) -> None:
    reports.make_nights(tmp_path, nights=6)
    assert "6 runs: 6 published." in show(tmp_path).words
