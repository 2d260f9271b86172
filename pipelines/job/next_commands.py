"""The commands that are worth running after a run, for a person or a script to run as they are."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines import storage
from pipelines.job.options import changed_flags
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest

# What decides how a file is read.
_INPUT_FLAGS = (
    "input", "format", "include_hidden", "delimiter", "decimal", "passthrough", "rename", "model",
)  # fmt: skip
# How to reach the output root again. A command is printed and logged, so keys aren't among them.
_FILESYSTEM_FLAGS = (
    "s3_endpoint_url", "s3_region_name", "s3_api_version", "s3_verify", "s3_disable_ssl",
    "blob_service_endpoint", "azure_managed_identity_client_id",
    "hdfs_host", "hdfs_port", "hdfs_user", "hdfs_full_urls",
    "project", "impersonate_service_account",
)  # fmt: skip


def after_run(
    manifest: Manifest, paths: Layout, values: argparse.Namespace, *, has_page: bool
) -> list[str]:
    """The commands to run after a run that was published or held.

    Args:
      manifest: the run's.
      paths: where it is.
      values: its flags.
      has_page: whether the report on it is written already.
    """
    found = []
    if manifest.totals.files_unreadable or manifest.unmatched:
        found.append(_check(values))
    if manifest.totals.files and not has_page:
        found.append(_report(paths, values))
    return found


def _check(values: argparse.Namespace) -> str:
    """The command that says how each of the input files would be read."""
    changed = changed_flags(values, _INPUT_FLAGS)
    if any(storage.local_path(path) is None for path in (*values.input, values.model)):
        changed |= _filesystem(values)
    return shlex.join([*_program("penguin-score", "pipelines.score"), "--check", *_flags(changed)])


def _report(paths: Layout, values: argparse.Namespace) -> str:
    """The command that writes the page on a run."""
    flags = {"output": paths.output, "run_id": paths.run_id}
    if storage.local_path(paths.output) is None:
        flags |= _filesystem(values)
    return shlex.join([*_program("penguin-report", "pipelines.report"), *_flags(flags)])


def _filesystem(values: argparse.Namespace) -> dict[str, Any]:
    given = {name: getattr(values, name, None) for name in _FILESYSTEM_FLAGS}
    return {name: value for name, value in given.items() if value}


def _flags(values: Mapping[str, Any]) -> Iterator[str]:
    """Flags as a command line has them; a list is a flag that is repeated."""
    for name, value in values.items():
        for each in value if isinstance(value, list) else [value]:
            if each is True:
                yield f"--{name}"
            elif str(each).startswith("-"):
                yield f"--{name}={each}"
            else:
                yield from (f"--{name}", str(each))


def _program(script: str, module: str) -> list[str]:
    """A console script if the shell finds this installation's own, otherwise its module."""
    found = shutil.which(script)
    own = os.path.join(os.path.dirname(sys.executable), script)
    if found is not None and os.path.realpath(found) == os.path.realpath(own):
        return [script]
    return [sys.executable, "-m", module]
