"""Which run a report is about, what it reads, and what it does without."""

import shutil
from pathlib import Path

import pytest

from pipelines.errors import CardError, UsageError
from pipelines.report.data import gather
from tests.support import reports
from tests.support.reports import (
    file,
    manifest,
    measured,
    publish,
    read_page,
)


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
    assert "Readers still see the earlier run of the same name" in read_page(tmp_path, "a").words


def test_history_has_the_last_thirty_runs_up_to_this_one(tmp_path: Path) -> None:
    for night in range(40):
        publish(tmp_path, manifest(f"n{night}", night=night))
    publish(tmp_path, manifest("held", night=35, status="held"))

    def names(run_id: str | None) -> list[str]:
        return [each.run_id for each in gather(str(tmp_path), run_id).history]

    nights = [f"n{night}" for night in range(40)]
    assert names(None) == [*nights[11:36], "held", *nights[36:]]
    assert names("n5") == nights[:6]
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
        page = read_page(tmp_path, run_id)
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
    assert "out_of_range: 3 of 3" in read_page(tmp_path).text("h3")
    shutil.rmtree(tmp_path / "rejects")
    (tmp_path / "files/run_id=r/part-00000.parquet").write_bytes(b"torn")
    words = read_page(tmp_path).words
    assert "Examples not available: " in words
    assert "List not available: " in words
