"""The night as an Airflow DAG: a task runs `night.sh` and knows which exit codes to retry.

Copy this file into Airflow's DAG folder. Airflow and the job may use different Pythons: the job
runs in its own environment, on a worker that has the project and its folders. Only the task SDK is
used.
"""

from __future__ import annotations

import datetime
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from airflow.sdk import DAG, BaseOperator, Param
from airflow.sdk.exceptions import AirflowFailException

NIGHT = os.environ.get("PENGUIN_NIGHT", "/opt/penguin-scoring/deploy/nightly/night.sh")

# Bad arguments or model, a held run, no such command: a retry would end the same way.
FINAL = frozenset({2, 3, 4, 126, 127})


class NightFailed(RuntimeError):
    """The job failed; a retry may succeed."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(f"penguin-score ended with exit code {exit_code}")
        self.exit_code = exit_code


class NightRefused(NightFailed, AirflowFailException):
    """The job would fail again until a person has looked, so it is not retried."""


class NightOperator(BaseOperator):
    """Scores new files, or with the parameter `day`, that day's `patterns` again."""

    def execute(self, context: Mapping[str, Any]) -> None:
        params = context["params"]
        day, patterns = params["day"], params["patterns"]
        # A list without a shell: a pattern is one argument, whatever it contains.
        command = [NIGHT, "again", day, *patterns] if day else [NIGHT, "score"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        assert self.process.stdout is not None
        with self.process:
            for line in self.process.stdout:
                self.log.info("%s", line.rstrip())
        code = self.process.returncode
        if code:
            # Popen reports a signal as a negative number; a shell adds it to 128.
            code = code if code > 0 else 128 - code
            raise NightRefused(code) if code in FINAL else NightFailed(code)

    def on_kill(self) -> None:
        process = getattr(self, "process", None)
        if process:
            process.terminate()


def tell(context: Mapping[str, Any]) -> None:
    """Sends the alert; Airflow calls it when no retry is left."""
    error = context.get("exception")
    code = getattr(error, "exit_code", "unknown")
    details = f"Airflow {context['run_id']}: {error}"
    subprocess.run([NIGHT, "alert", str(code), details], check=False, timeout=120)


with DAG(
    dag_id="penguin_nightly",
    description="Score the new penguin observations",
    schedule="15 2 * * *",
    start_date=datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    # A missed night needs no run of its own: the next one scores its files.
    catchup=False,
    max_active_runs=1,
    params={
        "day": Param(None, type=["null", "string"], description="back-fill this day"),
        "patterns": Param([], type="array", items={"type": "string"}, description="its files"),
    },
    default_args={
        "retries": 2,
        "retry_delay": datetime.timedelta(minutes=15),
        "execution_timeout": datetime.timedelta(hours=3),
        "on_failure_callback": tell,
    },
    tags=["penguins"],
) as dag:
    NightOperator(task_id="score")
