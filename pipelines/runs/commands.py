"""Commands about a run, spelled for a shell so that they work as they are."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines import storage

# How to reach the output root again. A command is printed and logged, so keys aren't among them.
_FILESYSTEM_FLAGS = (
    "s3_endpoint_url", "s3_region_name", "s3_api_version", "s3_verify", "s3_disable_ssl",
    "blob_service_endpoint", "azure_managed_identity_client_id",
    "hdfs_host", "hdfs_port", "hdfs_user", "hdfs_full_urls",
    "project", "impersonate_service_account",
)  # fmt: skip
NO_FLAGS: Mapping[str, Any] = {}


def report(output: str, run_id: str, reach: Mapping[str, Any] = NO_FLAGS) -> str:
    """The command that writes the page on a run.

    Args:
      output: the output root.
      run_id: the run.
      reach: the flags of the root's filesystem, see `reach_flags`.
    """
    flags = {"output": output, "run_id": run_id, **_if_remote(output, reach)}
    return spell("penguin-report", "pipelines.report", flags=flags)


def look_after(verb: str, output: str, run_id: str, reach: Mapping[str, Any] = NO_FLAGS) -> str:
    """A command of ``penguin-runs``.

    Args:
      verb: such as ``accept``.
      output: the output root.
      run_id: the run.
      reach: the flags of the root's filesystem, see `reach_flags`.
    """
    flags = {"output": output, **_if_remote(output, reach)}
    return spell("penguin-runs", "pipelines.runs", verb, run_id, flags=flags)


def reach_flags(values: argparse.Namespace) -> dict[str, Any]:
    """Those of a command's flags that another one needs to reach the same files."""
    given = {name: getattr(values, name, None) for name in _FILESYSTEM_FLAGS}
    return {name: value for name, value in given.items() if value}


def spell(script: str, module: str, *words: str, flags: Mapping[str, Any] = NO_FLAGS) -> str:
    """A command line, quoted for a shell.

    Args:
      script: the console script, which is named if the shell finds this installation's own.
      module: what is named otherwise.
      words: arguments that aren't flags.
      flags: by name; a list is a flag that is repeated.
    """
    return shlex.join([*_program(script, module), *words, *_spell_flags(flags)])


def _if_remote(output: str, reach: Mapping[str, Any]) -> Mapping[str, Any]:
    return NO_FLAGS if storage.local_path(output) is not None else reach


def _spell_flags(flags: Mapping[str, Any]) -> Iterator[str]:
    for name, value in flags.items():
        for each in value if isinstance(value, list) else [value]:
            if each is True:
                yield f"--{name}"
            elif str(each).startswith("-"):
                yield f"--{name}={each}"
            else:
                yield from (f"--{name}", str(each))


def _program(script: str, module: str) -> list[str]:
    found = shutil.which(script)
    own = os.path.join(os.path.dirname(sys.executable), script)
    if found is not None and os.path.realpath(found) == os.path.realpath(own):
        return [script]
    return [sys.executable, "-m", module]
