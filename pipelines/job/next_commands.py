"""The commands that are worth running after a run, for a person or a script to run as they are."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys

from pipelines import storage
from pipelines.runs.layout import Layout
from pipelines.runs.manifest import Manifest

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
    return [_report(paths, values)] if manifest.totals.files and not has_page else []


def _report(paths: Layout, values: argparse.Namespace) -> str:
    flags = ["--output", paths.output, "--run_id", paths.run_id]
    if storage.local_path(paths.output) is None:
        given = {name: getattr(values, name, None) for name in _FILESYSTEM_FLAGS}
        flags += [
            f"--{name}" if value is True else f"--{name}={value}"
            for name, value in given.items()
            if value
        ]
    return shlex.join([*_program("penguin-report", "pipelines.report"), *flags])


def _program(script: str, module: str) -> list[str]:
    """A console script if the shell finds this installation's own, otherwise its module."""
    found = shutil.which(script)
    own = os.path.join(os.path.dirname(sys.executable), script)
    if found is not None and os.path.realpath(found) == os.path.realpath(own):
        return [script]
    return [sys.executable, "-m", module]
