"""`deploy/nightly/night.sh`: its flags, its alerts, and whole nights of the real job."""

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipelines.job.options import parse_arguments
from tests.support.nightly import FOLDER, HOSTILE, Night, write_program
from tests.support.running import PROJECT, listing

HEADER = "id,CulmenLength,CulmenDepth,FlipperLength,BodyMass\n"


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(root=tmp_path)


def test_the_flags_of_a_night_exist(night: Night) -> None:
    night.prepare(
        f"PENGUIN_INPUT=/in/{HOSTILE}", "PENGUIN_INPUT=-odd.csv", "PENGUIN_SETTLE_SECONDS=60",
        "PENGUIN_FLAG=--passthrough=a b",
    )  # fmt: skip
    night.stand_in(0)
    for command in ("score", "nightly"):
        ran = night.run(command)
        assert (ran.returncode, ran.stderr, night.told) == (0, "", [])
        values = parse_arguments("penguin-score", night.arguments)
        assert values.input == [f"/in/{HOSTILE}", "-odd.csv"]
        assert (values.output, values.passthrough) == (str(night.output), ["a b"])
        assert (values.new_only, values.settle_seconds, values.replace) == (True, 60, False)
        assert re.fullmatch(r"night-\d{8}T\d{6}Z", values.run_id)
    assert not list(night.root.rglob("pwned"))


def test_the_flags_of_a_back_fill_exist(night: Night) -> None:
    night.prepare("PENGUIN_INPUT=/in", "PENGUIN_FLAG=--passthrough=id")
    night.stand_in(0)
    assert night.run("again", "2026-11-21", f"/in/{HOSTILE}/*", "/in/b").returncode == 0
    values = parse_arguments("penguin-score", night.arguments)
    assert values.input == [f"/in/{HOSTILE}/*", "/in/b"]
    assert (values.run_id, values.replace, values.new_only) == ("day-2026-11-21", True, False)
    assert values.passthrough == ["id"]


def test_the_flags_of_the_shipped_settings_exist(night: Night) -> None:
    shipped = (FOLDER / "nightly.env").read_text()
    night.prepare(*re.findall(r"^#?(PENGUIN_(?:INPUT|FLAG|SETTLE_SECONDS)=.*)", shipped, re.M))
    night.stand_in(0)
    assert night.run("score").returncode == 0
    values = parse_arguments("penguin-score", night.arguments)
    assert values.input == ["/srv/penguins/observations"]
    assert (values.passthrough, values.max_reject_fraction) == (["observation_id"], 0.05)


def test_the_flags_of_the_page_exist(night: Night) -> None:
    page = (PROJECT / "docs/nightly.md").read_text()
    (shown,) = re.findall(r"^penguin-score (.*)$", page, re.M)
    values = parse_arguments("penguin-score", shown.split())
    assert (values.new_only, values.settle_seconds) == (True, 600)
    night.prepare("PENGUIN_INPUT=/in")
    night.stand_in(0)
    assert night.run("nightly").returncode == 0
    names = [argument.partition("=")[0] for argument in night.arguments]
    assert names == [argument.partition("=")[0] for argument in shown.split()]


@pytest.mark.parametrize(
    ("code", "begins"),
    [
        (1, "page: failed, nothing is published; running again may help"),
        (2, "page: bad arguments, model or card; running again does not help"),
        (3, "look: held for its input, nothing is published; what was found is in "),
        (4, "look: held for drift or accuracy, nothing is published; look at the model"),
        (75, "page: last night's run is still going"),
        (77, "page: ended with an unexpected exit code"),
        (127, "page: penguin-score does not start"),
        (130, "note: interrupted"),
        (137, "page: killed"),
        (143, "note: interrupted"),
    ],
)
def test_each_exit_code_is_kept_and_told_in_one_line(night: Night, code: int, begins: str) -> None:
    night.prepare("PENGUIN_INPUT=/in")
    night.stand_in(code)
    ran = night.run("nightly")
    assert ran.returncode == code
    (line,) = night.told
    assert line.startswith(f"1 {begins}")
    assert f", exit {code}, run night-" in line
    assert ran.stderr == line.removeprefix("1 ") + "\n"
    # A scheduler that tells by itself gets the code, and asks for the line when it wants it.
    assert (night.run("score").returncode, night.told) == (code, [line])
    assert night.run("alert", str(code), "run\nr1").returncode == 0
    assert night.told[1].startswith(f"1 {begins}")
    assert night.told[1].endswith(f", exit {code}, runr1]")


def test_an_alert_command_that_fails_is_said(night: Night) -> None:
    night.prepare("PENGUIN_INPUT=/in", "PENGUIN_ALERT=/nowhere/pager")
    night.stand_in(1)
    ran = night.run("nightly")
    assert ran.returncode == 1
    assert "night.sh: /nowhere/pager failed, so no alert was sent\n" in ran.stderr


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        (["PENGUIN_SETTLE=60"], "no such setting: PENGUIN_SETTLE=60"),
        (["PENGUIN_OUTPUT="], "PENGUIN_OUTPUT is missing its value"),
        (["PENGUIN_HOME=/nowhere"], "no folder PENGUIN_HOME=/nowhere"),
    ],
)
def test_bad_settings_are_told(night: Night, lines: list[str], complaint: str) -> None:
    night.prepare("PENGUIN_INPUT=/in", *lines)
    ran = night.run("nightly")
    assert ran.returncode == 2
    assert complaint in ran.stderr
    (line,) = night.told
    assert line.startswith("1 page: bad arguments")
    assert complaint in line


BEFORE = ["# Saved by an editor", "", "   ", "PENGUIN_INPUT=/in"]
AFTER = ["PENGUIN_SETTLE_SECONDS=0"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("PENGUIN_FLAG=--report\r", "Unix line ends"),
        ("\r", "Unix line ends"),
        ("# A comment\r", "Unix line ends"),
        ("\ufeffPENGUIN_FLAG=--report", "byte-order mark"),
        ("PENGUIN_INPUT=", "PENGUIN_INPUT is missing its value"),
        ("PENGUIN_ALERT=", "PENGUIN_ALERT is missing its value"),
        ("PENGUIN_FLAG= ", "remove the spaces"),
        ("PENGUIN_INPUT = /in", "remove the spaces"),
        (" PENGUIN_INPUT=/in", "remove the spaces"),
        ("PENGUIN_INPUT=/in\t", "remove the spaces"),
        ("PENGUIN_INPUT /in", "not a setting"),
        ("export PENGUIN_INPUT=/in", "no such setting: export"),
        ("PENGUIN_INPUTS=/in", "no such setting: PENGUIN_INPUTS=/in"),
        ("penguin_input=/in", "no such setting"),
        ("=/in", "no such setting"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_with_its_line(
    night: Night, line: str, complaint: str
) -> None:
    night.stand_in(0)
    night.prepare("PENGUIN_FLAG=--summary=json")
    pager = f"PENGUIN_ALERT={night.root / HOSTILE / 'page me'}"
    own = [f"PENGUIN_HOME={night.home}", f"PENGUIN_OUTPUT={night.output}"]
    # The program that gets the alert comes after the mistake.
    lines = [*BEFORE, line, *AFTER, *own, pager]
    night.settings.write_bytes("\n".join(lines).encode())
    for command in (["nightly"], ["score"], ["again", "2024-02-29", "/in"]):
        ran = night.run(*command)
        assert ran.returncode == 2
        first = ran.stderr.splitlines()[0]
        assert first.startswith(f"night.sh: {night.settings} line {len(BEFORE) + 1}: ")
        assert complaint in first
        assert len(ran.stderr.splitlines()) == 1 + (command == ["nightly"])
    (told,) = night.told
    assert complaint in told
    assert night.run("alert", "1").returncode == 0
    assert len(night.told) == 2
    assert not (night.root / "seen/arguments").exists()


def test_settings_saved_on_windows_are_refused_and_still_alert(night: Night) -> None:
    night.prepare("PENGUIN_INPUT=/in")
    night.settings.write_bytes(night.settings.read_bytes().replace(b"\n", b"\r\n"))
    ran = night.run("nightly")
    assert ran.returncode == 2
    assert "nightly.env line 1: ends as on Windows" in ran.stderr
    assert len(night.told) == 1


@pytest.mark.parametrize("day", ["2024-02-29", "2000-02-29", "2026-12-31", "2026-08-09"])
def test_a_day_of_the_calendar_is_scored_again(night: Night, day: str) -> None:
    night.prepare("PENGUIN_INPUT=/in")
    night.stand_in(0)
    assert night.run("again", day, "/in").returncode == 0
    assert f"--run_id=day-{day}" in night.arguments


@pytest.mark.parametrize(
    "day",
    [
        "", " ", "2026-13-45", "2026-00-10", "2026-02-29", "1900-02-29", "2026-04-31", "2026-11-00",
        "2026-1-1", "20261121", "../2026-11-21", "2026-11-21/..", "2026-11-21\n", "today", "-1",
    ],
)  # fmt: skip
def test_an_odd_day_is_refused(night: Night, day: str) -> None:
    night.prepare("PENGUIN_INPUT=/in")
    night.stand_in(0)
    ran = night.run("again", day, "/in")
    assert ran.returncode == 2
    assert "not a day, such as 2026-11-21" in ran.stderr
    assert night.run("again", "2026-11-21", "/in", "").returncode == 2
    assert not (night.root / "seen/arguments").exists()


@pytest.mark.parametrize("arguments", [[], ["nightly", "x"], ["again", "d"], ["alert"], ["-h"]])
def test_bad_arguments_start_nothing(night: Night, arguments: list[str]) -> None:
    night.prepare("PENGUIN_INPUT=/in")
    night.stand_in(0)
    ran = night.run(*arguments)
    assert ran.returncode == 2
    assert "usage: night.sh" in ran.stderr
    assert not (night.root / "seen/arguments").exists()


def test_a_signal_is_passed_on_and_waited_for(night: Night) -> None:
    night.prepare("PENGUIN_INPUT=/in")
    ready, ended = night.root / "ready", night.root / "ended"
    stops = f"trap 'sleep 0.3; : >{ended}; exit 143' TERM; : >{ready}; while :; do sleep 0.1; done"
    write_program(night.home / ".venv/bin/penguin-score", f"#!/bin/sh\n{stops}\n")
    command = ["sh", str(FOLDER / "night.sh"), "nightly"]
    with subprocess.Popen(command, env=night.environment, stderr=subprocess.PIPE) as running:
        deadline = time.monotonic() + 30
        while not ready.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        running.send_signal(signal.SIGTERM)
        assert running.wait(30) == 143
    assert ended.exists()
    assert night.told[0].startswith("1 note: interrupted")


@pytest.mark.slow
def test_nights_of_the_real_job(night: Night) -> None:
    """One publishes, then nothing new, a dirty one, one without a model, one that drifted."""
    incoming = night.root / HOSTILE / "in"
    shutil.copytree(PROJECT / "data/observations", incoming)
    settings = [f"PENGUIN_INPUT={incoming.parent.parent}/*/in/*", "PENGUIN_SETTLE_SECONDS=0"]
    night.prepare(*settings)
    (night.home / ".venv").symlink_to(sys.prefix)
    (night.home / "models").symlink_to(PROJECT / "models")

    first = night.run("nightly")
    assert (first.returncode, first.stderr) == (0, "")
    assert re.search(r"^scored +342 ", first.stdout, re.M)
    second = night.run("nightly")
    assert (second.returncode, second.stderr, night.told) == (0, "", [])
    assert re.search(r"^scored +0$", second.stdout, re.M)
    assert re.search(r"^skipped +9 files", second.stdout, re.M)

    (incoming / f"{HOSTILE}.csv").write_text(HEADER + "x,,,,\n" * 9)
    third = night.run("nightly")
    assert third.returncode == 3
    (line,) = night.told
    (held,) = (night.output / "_held").iterdir()
    assert line.startswith(
        f"1 look: held for its input, nothing is published; what was found is in {held} ["
    )
    assert listing(held / "rejects") == ["part-00000.parquet"]
    assert len(list((night.output / "runs").iterdir())) == 2

    night.prepare(*settings, "PENGUIN_FLAG=--model=models/none.keras")
    fourth = night.run("nightly")
    assert fourth.returncode == 2
    assert "none.keras" in fourth.stderr.splitlines()[0]
    assert night.told[1].startswith("1 page: bad arguments, model or card")

    # One island's birds are no cross-section of the training data.
    island = f"PENGUIN_INPUT={PROJECT / 'data/observations/biscoe-2008.parquet'}"
    night.prepare(island, "PENGUIN_FLAG=--max_drift=0.2", "PENGUIN_SETTLE_SECONDS=0")
    assert night.run("nightly").returncode == 4
    assert night.told[2].startswith(
        "1 look: held for drift or accuracy, nothing is published; look at the model"
    )
    assert not list(night.root.rglob("pwned"))
