"""What comes from files and names harms neither a terminal nor a place outside of the output."""

import io
import json
import os
import re
import shutil
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_model import cli, command_line, describe, predict, terminal
from penguin_model.card import card_path, read_card
from pipelines import report
from pipelines.errors import PenguinError
from pipelines.report import __main__ as command
from tests.support import samples
from tests.support.running import PLAIN, run_here

# C0, C1, DEL, separators, marks of direction, joiners and the byte-order mark.
HOSTILE = "".join(
    map(chr, [*range(0x20), *range(0x7F, 0xA0), *range(0x2028, 0x202F), *range(0x2066, 0x206A)])
)
HOSTILE += "\u200b\u200e\u200f\u061c\ufeff\udcff\U000e0041"
EVIL = "\x1b]0;owned\x07\u202e\u2028\x9b31m\rname"


def obeyed(text: str) -> set[str]:
    """Characters in an output that a terminal or a reader of lines would obey."""
    return {
        each
        for each in text
        if each not in "\n\t" and unicodedata.category(each) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    }


@given(st.text(st.characters(codec=None)) | st.text(HOSTILE))
def test_a_printable_text_is_one_harmless_line(text: str) -> None:
    shown = terminal.printable(text)
    assert not obeyed(shown)
    assert not {"\n", "\t"} & {*shown}
    assert len(shown.splitlines()) <= 1
    assert shown.isascii() or shown.encode()


@given(st.text(st.characters(categories=("L", "N", "P", "S", "M", "Zs"))))
def test_what_can_be_seen_stays(text: str) -> None:
    assert terminal.printable(text) == text
    assert terminal.printable_lines(f"{text}\n\t") == f"{text}\n\t"


def test_each_hostile_character_is_named() -> None:
    assert terminal.printable("é企鹅 \x1b\x9b\u202e\n\x7f\udcff\U000e0041") == (
        r"é企鹅 \x1b\x9b\u202e\n\x7f\udcff\U000e0041"
    )


def fail(kind: type[Exception]) -> Callable[[], int]:
    def body() -> int:
        raise kind(f"{EVIL}\nsecond")

    return body


@pytest.mark.parametrize("kind", [PenguinError, ValueError])
@pytest.mark.parametrize("verbose", [False, True])
def test_an_error_is_one_harmless_line(
    capsys: pytest.CaptureFixture[str], kind: type[Exception], verbose: bool
) -> None:
    assert cli.run("test", fail(kind), verbose=verbose) == 1
    err = capsys.readouterr().err
    assert not obeyed(err)
    assert err.splitlines()[-1].startswith("test: error: ")
    if not verbose:
        assert len(err.splitlines()) == 1


def test_whoever_prints_prints_harmlessly(capsys: pytest.CaptureFixture[str]) -> None:
    def body() -> int:
        print(EVIL, "é", sep="\n")
        print(EVIL, file=sys.stderr)
        sys.stdout.writelines([EVIL])
        return 0

    before = sys.stdout, sys.stderr
    assert cli.run("test", body) == 0
    assert (sys.stdout, sys.stderr) == before
    out, err = capsys.readouterr()
    assert not obeyed(out + err)
    assert "é" in out


def test_an_encoding_without_a_character_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, "ascii"))

    def body() -> int:
        print("企鹅 \udcff", flush=True)
        return 0

    assert cli.run("test", body) == 0
    assert raw.getvalue() == rb"\u4f01\u9e45 \udcff" + os.linesep.encode()


def test_bad_arguments_are_named_harmlessly(capsys: pytest.CaptureFixture[str]) -> None:
    parser = command_line.ArgumentParser(prog="test")
    with pytest.raises(SystemExit):
        parser.parse_args([EVIL])
    err = capsys.readouterr().err
    assert not obeyed(err)
    assert len(err.splitlines()) == 1


def evil_csv(folder: Path) -> Path:
    """A night whose names are all hostile, one row of it bad."""
    file = folder / f"{EVIL}\nnight.csv"
    file.write_text(
        f'CulmenLength,CulmenDepth,FlipperLength,BodyMass,"{EVIL}\n"\n'
        f'39,18,181,3750,"{EVIL}"\n"{EVIL}",18,181,3750,x\n'
    )
    return file


@pytest.mark.parametrize(
    "flags",
    [
        ("--max_reject_fraction=1", "--report"),
        ("--max_reject_fraction=0",),
        ("--model", f"{EVIL}\n"),
        ("--run_id", f"{EVIL}\n"),
        ("--passthrough", f"{EVIL}\n"),
        ("--input", f"{EVIL}\n"),
        (f"--{EVIL}",),
        ("--runner", EVIL),
        ("--summary=json",),
    ],
    ids=lambda flags: terminal.printable(flags[0])[:22],
)
def test_no_name_reaches_the_terminal_raw(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], flags: tuple[str, ...]
) -> None:
    file = evil_csv(tmp_path)
    output = tmp_path / f"{EVIL}\nout"
    given = () if "--input" in flags else ("--input", str(file))
    run_here(output, *given, *(PLAIN if "--run_id" not in flags else ()), *flags)
    out, err = capfd.readouterr()
    assert not obeyed(out + err)
    assert all(line.startswith("penguin-score: ") for line in err.splitlines()), err
    if "--summary=json" in flags:
        json.loads(out)


def evil_card(folder: Path, evil: str) -> Path:
    """A foreign model whose card has hostile names."""
    model = folder / f"{EVIL}\nmodel.keras"
    model.write_bytes(samples.MODEL.read_bytes())
    fields = json.loads(Path(card_path(str(samples.MODEL))).read_text())
    fields |= {
        "name": evil,
        "label": evil,
        "model_file": evil,
        "reference": None,
        "class_aliases": {},
    }
    fields["classes"] = [f"{evil}{number}" for number in range(3)]
    for number, feature in enumerate(fields["features"]):
        feature |= {"name": f"{evil}{number}", "unit": evil}
    for key in ("training", "data", "metrics", "versions"):
        fields[key] = {EVIL: EVIL, "recall": {EVIL: 1.0}}
    Path(card_path(str(model))).write_text(json.dumps(fields))
    return model


def test_a_foreign_card_reaches_the_terminal_escaped(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Names may have characters that hide or change the direction, but none that break a line."""
    evil = "".join(each for each in EVIL if unicodedata.category(each) in ("Cf", "Nd", "Ll"))
    model = evil_card(tmp_path, evil)
    flags = predict.flag_names(read_card(str(model)).features)
    observation = [
        f"--{flag}={value}" for flag, value in zip(flags, (39, 18, 181, 3750), strict=True)
    ]
    assert describe.main(["--model", str(model), "--weights"]) == 0
    assert predict.main(["--model", str(model), *observation]) == 0
    assert predict.main(["--model", str(model), "--help"]) == 0
    predict.main(["--model", str(model)])
    out, err = capfd.readouterr()
    assert not obeyed(out + err)

    for door in (describe, predict):
        assert door.main(["--model", str(evil_card(tmp_path, f"{EVIL}\nforged"))]) == 2
    out, err = capfd.readouterr()
    assert not obeyed(out + err)
    assert err.count("control character") == 2
    assert not [line for line in err.splitlines() if line.startswith("forged")]


# --- The report


def damage(output: Path, run_id: Any, **others: Any) -> Path:
    """Changes what the manifest of run `test` says."""
    path = output / "runs" / "test.json"
    fields = json.loads(path.read_text())
    path.write_text(json.dumps({**fields, "run_id": run_id, **others}))
    return path


@pytest.fixture(scope="module")
def published_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("once")
    assert run_here(root, *samples.FLAGS[:2], *PLAIN) == 0
    return root


@pytest.fixture
def output(tmp_path: Path, published_once: Path) -> Path:
    """An output root with one published run, and room around it."""
    root = tmp_path / "a" / "b" / "output"
    shutil.copytree(published_once, root)
    return root


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("flags", [(), ("--run_id", "test")], ids=["newest", "named"])
@pytest.mark.parametrize(
    "run_id",
    ["../../x", "/tmp/x", "..", "", ".", "x/../../../y", "x\0y", "x\n", "\u202ex", None, 3, ["x"]],
    ids=repr,
)
def test_a_manifests_run_id_is_never_a_path(
    tmp_path: Path,
    output: Path,
    capfd: pytest.CaptureFixture[str],
    run_id: Any,
    flags: tuple[str, ...],
) -> None:
    damage(output, run_id)
    before = everything(tmp_path)
    capfd.readouterr()
    assert command.main(["--output", str(output), *flags]) == 2
    out, err = capfd.readouterr()
    assert everything(tmp_path) == before
    assert out == ""
    assert "run_id: expected " in err
    assert not obeyed(err)


@pytest.mark.parametrize("run_id", ["../../x", "/tmp/x", "x\n"])
def test_a_run_ids_flag_is_never_a_path(tmp_path: Path, output: Path, run_id: str) -> None:
    before = everything(tmp_path)
    assert command.main(["--output", str(output), "--run_id", run_id]) == 2
    assert everything(tmp_path) == before


@pytest.mark.parametrize("name", ["test.html", "test.html.unfinished"])
def test_a_link_among_the_reports_is_not_followed(tmp_path: Path, output: Path, name: str) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (output / "reports").mkdir()
    (output / "reports" / name).symlink_to(precious)
    assert command.main(["--output", str(output)]) == 0
    assert precious.read_text() == "mine"
    assert (output / "reports/test.html").read_text().startswith("<!DOCTYPE html>")
    assert not (output / "reports/test.html").is_symlink()


def test_a_pipe_in_place_of_a_card_does_not_hang_the_report(tmp_path: Path, output: Path) -> None:
    os.mkfifo(tmp_path / "m.keras.card.json")
    damage(output, "test", model={"path": str(tmp_path / "m.keras"), "sha256": "0"})
    line = [sys.executable, "-m", "pipelines.report", "--output", str(output)]
    ran = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


def test_hostile_names_cannot_be_seen_to_act_on_the_page(tmp_path: Path) -> None:
    output = tmp_path / "out"
    file = evil_csv(tmp_path)
    assert run_here(output, "--input", file, *PLAIN, "--max_reject_fraction=1") == 0
    page = Path(report.write(str(output), "test")).read_text()
    assert not obeyed(page)
    assert "U+202E" in page
    assert re.search(r"Content-Security-Policy[^>]*default-src", page)
    assert "<script" not in page
