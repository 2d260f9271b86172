"""Made-up runs of every status, and the command that looks after them."""

import json
from pathlib import Path
from typing import Any

from pipelines.review import command
from tests.support.reports import fail, manifest, publish

HOSTILE = "\x1b[2J\x1b]0;owned\x07\u202ecsv.exe\r\n"
REVIEW = {"status": "rejected", "at": "2026-11-03T08:00:00+00:00", "by": "ann@station"}


def act(output: object, name: str, *arguments: object) -> int:
    """Runs a sub-command in this process."""
    return command.main([name, "--output", str(output), *map(str, arguments)])


def hold(root: Path, run_id: str, **known: Any) -> dict[str, Any]:
    """Writes a held run."""
    held = {"status": "held", "held_because": "rejects", "held_reason": "too many rejects"}
    return publish(root, manifest(run_id, **held | known))


def close(root: Path, run_id: str, status: str, **known: Any) -> dict[str, Any]:
    """Writes what is kept of a closed run."""
    reviews = {"reviews": [REVIEW | {"status": status}]}
    return publish(root, manifest(run_id, **reviews | known, status=status))


def write_json(path: Path, values: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values))


def one_of_each(root: Path) -> list[str]:
    """Writes a run of each status; returns their names, newest first."""
    publish(root, manifest("published", night=9))
    hold(root, "held", night=8)
    for night, status in enumerate(("pruned", "retracted", "rejected"), 5):
        close(root, status, status, night=night)
    fail(root, "failed", night=4, error="cannot write /out: No space left on device")
    (root / "runs" / "damaged.json").write_text("{")
    return ["published", "held", "rejected", "retracted", "pruned", "failed", "damaged"]
