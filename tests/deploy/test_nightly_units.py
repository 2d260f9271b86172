"""The systemd units, the cron line, the rotation of its log: as the tools themselves read them."""

import configparser
import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.nightly import FOLDER, HOSTILE, INSTALLED, Night
from tests.support.running import PROJECT

UNITS = sorted(FOLDER.glob("penguin-*.*"))
SHELLCHECK = shutil.which("shellcheck") or shutil.which(
    "shellcheck", path=Path(sys.executable).parent
)


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"no {tool}")


def read_unit(name: str) -> configparser.ConfigParser:
    unit = configparser.ConfigParser(delimiters=("=",), interpolation=None, strict=True)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string((FOLDER / name).read_text())
    return unit


def check(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.mark.skipif(SHELLCHECK is None, reason="no shellcheck")
def test_shellcheck_has_nothing_to_say() -> None:
    ran = check(SHELLCHECK, "--shell=sh", FOLDER / "night.sh")
    assert (ran.returncode, ran.stdout) == (0, "")


def test_the_wrapper_can_be_run() -> None:
    assert os.access(FOLDER / "night.sh", os.X_OK)
    assert check("sh", "-n", FOLDER / "night.sh").returncode == 0


@needs("systemd-analyze")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        (tmp_path / unit.name).write_text(unit.read_text().replace(INSTALLED, str(PROJECT)))
    ran = check("systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir()))
    assert (ran.returncode, ran.stderr) == (0, "")
    calendar = read_unit("penguin-score.timer")["Timer"]["OnCalendar"]
    ran = check("systemd-analyze", "calendar", "--iterations=2", calendar)
    assert ran.returncode == 0
    assert len(re.findall(r" 02:15:00 UTC$", ran.stdout, re.M)) == 3  # itself and two nights


def test_units_fit_each_other_and_the_exit_codes() -> None:
    score, alert = read_unit("penguin-score.service"), read_unit("penguin-alert@.service")
    service = score["Service"]
    assert service["ExecStart"] == f"{INSTALLED}/deploy/nightly/night.sh score"
    assert score["Unit"]["OnFailure"] == "penguin-alert@%N.service"
    assert service["RestartPreventExitStatus"].split() == ["2", "3", "4", "126", "127"]
    assert service["SuccessExitStatus"].split() == ["130", "143"]
    program, command = alert["Service"]["ExecStart"].split()[:2]
    assert (program, command) == (service["ExecStart"].split()[0], "alert")
    assert alert["Service"]["Environment"] == service["Environment"]
    output = re.search(r"^PENGUIN_OUTPUT=(.*)$", (FOLDER / "nightly.env").read_text(), re.M)
    assert output is not None
    assert service["ReadWritePaths"] == output[1]


@pytest.mark.parametrize(
    ("status", "begins"), [("3", "look: held for its input"), ("", "page: ended with an")]
)
def test_the_alert_unit_tells_how_the_night_ended(tmp_path: Path, status: str, begins: str) -> None:
    night = Night(root=tmp_path)
    night.prepare("PENGUIN_INPUT=/in")
    words = re.findall(r'"[^"]*"|\S+', read_unit("penguin-alert@.service")["Service"]["ExecStart"])
    known = {"MONITOR_EXIT_STATUS": status, "MONITOR_SERVICE_RESULT": "exit-code"}

    def expand(word: str) -> str:
        return re.sub(r"\$\{(\w+)\}", lambda found: known.get(found[1], ""), word.strip('"'))

    assert night.run(*map(expand, words[1:])).returncode == 0
    (line,) = night.told
    assert line.startswith(f"1 {begins}")
    assert f"exit {status}, %i: exit-code, journalctl" in line


def crontab() -> tuple[dict[str, str], str]:
    """The variables of the crontab, and its one line."""
    lines = [line for line in (FOLDER / "crontab").read_text().splitlines() if line[:1] not in "#"]
    *settings, line = filter(None, lines)
    return dict(setting.split("=", 1) for setting in settings), line


@needs("crontab")
def test_cron_takes_the_line() -> None:
    ran = check("crontab", "-n", FOLDER / "crontab")  # a dry run, on Debian
    assert ran.returncode == 0, ran.stderr


@needs("flock")
def test_the_cron_line_runs_one_night_at_a_time(tmp_path: Path) -> None:
    variables, line = crontab()
    *when, command = line.split(" ", 5)
    assert when == ["15", "2", "*", "*", "*"]
    assert "%" not in command  # a line's end to cron
    night = Night(root=tmp_path)
    night.prepare("PENGUIN_INPUT=/in")
    night.stand_in(0)
    log, lock = tmp_path / HOSTILE / "log", tmp_path / HOSTILE / "lock"
    known = {"night": str(FOLDER / "night.sh"), "log": str(log), "lock": str(lock)}
    assert known.keys() | {"PENGUIN_ENV", "SHELL", "MAILTO"} == variables.keys()

    def run_line() -> str:
        ran = subprocess.run(
            [variables["SHELL"], "-c", command], env=night.environment | known, text=True,
            capture_output=True, timeout=60,
        )  # fmt: skip
        return ran.stdout

    assert (run_line(), night.told, log.read_text()) == ("", [], "")
    night.stand_in(3)
    assert run_line() == f"A night went wrong: {log}\n"
    assert log.read_text() == night.told[0].removeprefix("1 ") + "\n"
    with open(lock) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert run_line() == f"A night went wrong: {log}\n"
    assert night.told[1].startswith("1 page: last night's run is still going")
    assert len(night.told) == 2


@needs("logrotate")
def test_logrotate_takes_its_file(tmp_path: Path) -> None:
    text = (FOLDER / "logrotate").read_text()
    logged = crontab()[0]["log"]
    assert f"\n{logged} {{\n" in text
    log = tmp_path / "night.log"
    log.write_text("a night\n")
    # The user of the example need not be here.
    mine = re.sub(r"^ +su .*\n", "", text, flags=re.M).replace("penguin penguin", "")
    configuration = tmp_path / "logrotate"
    configuration.write_text(mine.replace(logged, str(log)))
    configuration.chmod(0o644)
    tmp_path.chmod(0o755)
    ran = check("logrotate", "--force", "--state", tmp_path / "state", configuration)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (log.read_text(), (tmp_path / "night.log.1").read_text()) == ("", "a night\n")
