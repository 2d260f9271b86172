"""Prints how Airflow interprets the DAG and each exit code, as JSON; runs in its environment.

`python airflow_look.py FOLDER CODE…` with a stand-in for night.sh in PENGUIN_NIGHT.
"""

import json
import os
import sys
from typing import Any

from airflow.models import DagBag
from airflow.sdk.exceptions import AirflowFailException


def outcome(task: Any, params: dict[str, Any], code: int) -> str:
    """The task state that Airflow derives from this exit code."""
    os.environ["STAND_IN_CODE"] = str(code)
    try:
        task.execute({"params": params})
    except AirflowFailException as error:
        return f"final: {error}"
    except Exception as error:
        return f"again: {error}"
    return "done"


def main(folder: str, codes: list[int]) -> None:
    bag = DagBag(folder)
    dag = bag.dags["penguin_nightly"]
    (task,) = dag.tasks
    plain = dag.params.dump()
    print("\n" + json.dumps({
        "import_errors": bag.import_errors,
        "schedule": dag.schedule,
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "task": task.task_id,
        "retries": task.retries,
        "retry_minutes": task.retry_delay.total_seconds() / 60,
        "limit_hours": task.execution_timeout.total_seconds() / 3600,
        "callbacks": [callback.__name__ for callback in task.on_failure_callback],
        "params": plain,
        "outcomes": {code: outcome(task, plain, code) for code in codes},
        "again": outcome(task, {"day": "2026-11-21", "patterns": ["/a b/*", "$(c)"]}, 0),
    }))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], [int(code) for code in sys.argv[2:]])
