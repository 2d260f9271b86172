"""Reading manifests: one place that says whether a file below ``runs/`` is one.

A manifest is checked as far as its readers rely on it, so that a torn or foreign file is named
instead of failing somewhere later.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines import storage
from pipelines.errors import DamagedError
from pipelines.runs import layout

# What every manifest has; what came after the first release may be missing.
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "run_id": str,
    "status": str,
    "end": str,
    "model": dict,
    "totals": dict,
    "reject_fraction": (int, float),
    "rejects_by_reason": dict,
    "species": dict,
    "shards": dict,
}
_SHARD_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def read(path: str) -> dict[str, Any]:
    """Reads the manifest of a published or held run.

    Raises:
      DamagedError: the file can't be read, or isn't a manifest of the run that it is named after.
    """
    try:
        manifest = json.loads(storage.read_bytes(path))
    except storage.ERRORS as error:
        raise _damaged(path, f"cannot be read ({storage.reason_of(error)})") from error
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "is not JSON") from error
    fault = find_fault(manifest)
    if fault:
        raise _damaged(path, f"is not a manifest: {fault}")
    name = path.replace(os.sep, "/").rsplit("/", 2)
    named = name[-2] if name[-1] == "manifest.json" else name[-1].removesuffix(".json")
    if named != manifest["run_id"]:
        raise _damaged(path, f"is the manifest of another run, {manifest['run_id']}")
    return dict(manifest)


def find_fault(manifest: Any) -> str | None:
    """What keeps a JSON value from being a manifest; None if nothing does."""
    if not isinstance(manifest, dict):
        return "it is not a JSON object"
    for key, kind in _TYPES.items():
        if key not in manifest:
            return f"it has no {key}"
        if not isinstance(manifest[key], kind) or isinstance(manifest[key], bool):
            return f"its {key} is of the wrong type"
    if not layout.is_run_id(manifest["run_id"]):
        return "its run_id is not safe to use as a path name"
    if not all(isinstance(count, int) for count in manifest["totals"].values()):
        return "its totals are not all whole numbers"
    if not isinstance(manifest["model"].get("sha256", ""), str):
        return "its model's sha256 is of the wrong type"
    if not isinstance(manifest.get("histograms") or {}, dict):
        return "its histograms are of the wrong type"
    for dataset, about in manifest["shards"].items():
        if not isinstance(about, dict) or not isinstance(about.get("files"), int):
            return f"its shards of {dataset} are not counted"
        names = about.get("names")
        if names is not None and not (
            isinstance(names, list)
            and all(isinstance(name, str) and _SHARD_NAME.fullmatch(name) for name in names)
        ):
            return f"its shards of {dataset} have impossible names"
    return None


def published(output: str) -> Iterator[str]:
    """The paths of the manifests of all published runs, whatever else is below ``runs/``."""
    folder = storage.join(output, "runs")
    for path in storage.list_files(folder):
        name = path.removeprefix(folder).lstrip("/")
        # Neither temporary files nor editors' backups, nor what is in folders.
        if name.endswith(".json") and layout.is_run_id(name.removesuffix(".json")):
            yield path


def _damaged(path: str, fault: str) -> DamagedError:
    return DamagedError(f"{path} {fault}; move it away or delete it, then run again")
