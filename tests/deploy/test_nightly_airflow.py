"""The DAG in a real Airflow, installed from its own lock into a folder of its own."""

import ast
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.support.nightly import FOLDER, write_program
from tests.support.running import PROJECT

LOCK = FOLDER / "airflow.lock"
ENVIRONMENT = PROJECT / ".airflow"
NIGHT = """#!/bin/sh
printf '%s\\n' "$*" >>"$0.calls"
[ "$1" = alert ] || exit "${STAND_IN_CODE:-0}"
"""


def test_the_lock_is_pinned_hashed_and_names_no_host() -> None:
    text = LOCK.read_text()
    pins = re.findall(r"^([a-z0-9.-]+)(?:\[\w+\])?==[\w.]+ (?:; .*)?\\\n    --hash", text, re.M)
    assert "apache-airflow" in pins
    assert len(pins) == len(re.findall(r"^[a-z]", text, re.M))
    assert re.findall(r".*://.*|^-.*", text, re.M) == []


def test_the_dag_needs_the_task_sdk_alone() -> None:
    tree = ast.parse((FOLDER / "airflow_dag.py").read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    third_party = {name for name in modules if name and name.partition(".")[0] == "airflow"}
    assert third_party == {"airflow.sdk", "airflow.sdk.exceptions"}


@functools.cache
def airflow() -> Path:
    """The programs of Airflow's environment, which is made when its lock has changed."""
    stamp, now = ENVIRONMENT / "stamp", f"{sys.version} {zlib.crc32(LOCK.read_bytes())}"
    if not stamp.exists() or stamp.read_text() != now:
        shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(ENVIRONMENT)], check=True)
        pip = [str(ENVIRONMENT / "bin/python"), "-m", "pip", "install", "--quiet"]
        subprocess.run(
            [*pip, "--no-deps", "--require-hashes", "--requirement", str(LOCK)], check=True
        )
        stamp.write_text(now)
    return ENVIRONMENT / "bin"


def run(tmp_path: Path, *command: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Runs a program of Airflow's with the DAG, beside a stand-in for night.sh."""
    dags = tmp_path / "home/dags"
    if not dags.exists():
        dags.mkdir(parents=True)
        shutil.copy(FOLDER / "airflow_dag.py", dags)
        write_program(tmp_path / "night.sh", NIGHT)
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(dags.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PENGUIN_NIGHT": str(tmp_path / "night.sh"),
        "STAND_IN_CODE": str(code),
    }
    env.pop("PYTHONPATH")  # of the tests, for another Python
    return subprocess.run(
        [str(airflow() / command[0]), *command[1:]], env=env, cwd=tmp_path, text=True,
        capture_output=True, timeout=300, stdin=subprocess.DEVNULL,
    )  # fmt: skip


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "night.sh.calls").read_text().splitlines()


@pytest.mark.registry
def test_airflow_takes_the_dag(tmp_path: Path) -> None:
    script = str(PROJECT / "tests/support/airflow_look.py")
    ran = run(tmp_path, "python", script, "home/dags", "0", "1", "2", "3", "4", "130", "143")
    assert ran.returncode == 0, ran.stderr
    found: Any = json.loads(ran.stdout.splitlines()[-1])
    ends = {code: each.partition(":")[0] for code, each in found.pop("outcomes").items()}
    assert ends == {
        "0": "done", "1": "again", "2": "final", "3": "final", "4": "final", "130": "again",
        "143": "again",
    }  # fmt: skip
    assert found == {
        "import_errors": {}, "schedule": "15 2 * * *", "catchup": False, "max_active_runs": 1,
        "task": "score", "retries": 2, "retry_minutes": 15, "limit_hours": 3,
        "callbacks": ["tell"], "params": {"day": None, "patterns": []}, "again": "done",
    }  # fmt: skip
    assert calls(tmp_path) == ["score"] * 7 + ["again 2026-11-21 /a b/* $(c)"]


@pytest.mark.registry
def test_airflow_runs_the_dag_and_tells_of_a_held_night(tmp_path: Path) -> None:
    assert run(tmp_path, "airflow", "db", "migrate").returncode == 0
    held = run(tmp_path, "airflow", "dags", "test", "penguin_nightly", code=3)
    assert "DagRun failed" in held.stdout + held.stderr
    tried, told = calls(tmp_path)  # no second try
    assert tried == "score"
    assert told.startswith("alert 3 Airflow manual__")
    assert told.endswith(": penguin-score ended with exit code 3")
