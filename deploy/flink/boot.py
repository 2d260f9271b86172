#!/usr/bin/env python3
"""Prepares one Beam worker and runs it, as `boot` does in Beam's container images.

`pool.py` starts it for each worker, in an environment with Beam and the libraries. (Beam's own pool
accepts it as `--container_executable`.) It asks the runner for the job's options and staged
packages, installs the packages (`--setup_file`, `--extra_package`) into a folder that workers with
the same packages share, and becomes the worker. It imports nothing from the project.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import grpc
from apache_beam.portability.api import (
    beam_artifact_api_pb2,
    beam_artifact_api_pb2_grpc,
    beam_provision_api_pb2,
    beam_provision_api_pb2_grpc,
    beam_runner_api_pb2,
    endpoints_pb2,
)
from apache_beam.runners.worker import sdk_worker_main
from google.protobuf import json_format, text_format

_SECONDS = 60
_NO_PROXY = "no_grpc_proxy"
_TARBALL, _EXTRA = "workflow.tar.gz", "extra_packages.txt"
_REQUIREMENTS = "requirements.txt"


def main() -> None:
    """Prepares and runs the worker that the arguments describe."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("id", "logging_endpoint", "artifact_endpoint", "provision_endpoint"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--control_endpoint")
    parser.add_argument("--packages", help="the pool's folder for packages (default: a new one)")
    values = parser.parse_args()
    _reach_loopback_directly()
    identity = [("worker_id", values.id)]
    with _connect(values.provision_endpoint) as channel:
        service = beam_provision_api_pb2_grpc.ProvisionServiceStub(channel)
        request = beam_provision_api_pb2.GetProvisionInfoRequest()
        info = service.GetProvisionInfo(request, timeout=_SECONDS, metadata=identity).info
    artifacts = info.artifact_endpoint.url or values.artifact_endpoint
    packages = choose(fetch(artifacts, info.dependencies, identity))
    if packages:
        # Never a folder that another user may have created, because it goes on the module path.
        root = values.packages
        if root is None:
            root = tempfile.mkdtemp(prefix="penguin-packages-")
            atexit.register(shutil.rmtree, root, ignore_errors=True)
        sys.path.insert(0, str(install(packages, Path(root))))
    os.environ |= {
        "WORKER_ID": values.id,
        "PIPELINE_OPTIONS": json_format.MessageToJson(info.pipeline_options),
        "LOGGING_API_SERVICE_DESCRIPTOR": _descriptor(
            info.logging_endpoint.url or values.logging_endpoint
        ),
        "CONTROL_API_SERVICE_DESCRIPTOR": _descriptor(
            info.control_endpoint.url or values.control_endpoint
        ),
        "RUNNER_CAPABILITIES": " ".join(info.runner_capabilities),
    }
    sdk_worker_main.main(sys.argv)


def _reach_loopback_directly() -> None:
    """Keeps gRPC from using a proxy to reach this machine."""
    given = os.environ.get(_NO_PROXY) or os.environ.get("no_proxy") or ""
    os.environ[_NO_PROXY] = f"{given},localhost,127.0.0.1,::1".lstrip(",")


def _connect(address: str) -> grpc.Channel:
    channel = grpc.insecure_channel(address)
    grpc.channel_ready_future(channel).result(timeout=_SECONDS)
    return channel


def _descriptor(url: str) -> str:
    return text_format.MessageToString(endpoints_pb2.ApiServiceDescriptor(url=url))


def fetch(address: str, dependencies: Any, identity: list[tuple[str, str]]) -> dict[str, bytes]:
    """Downloads the staged files of a job.

    Args:
      address: Address of the runner's artifact service.
      dependencies: The artifacts that the provision service lists.
      identity: The worker's id, as call metadata.

    Returns:
      The content of each file by its staged name.
    """
    found = {}
    with _connect(address) as channel:
        service = beam_artifact_api_pb2_grpc.ArtifactRetrievalServiceStub(channel)
        asked = beam_artifact_api_pb2.ResolveArtifactsRequest(artifacts=dependencies)
        resolved = service.ResolveArtifacts(asked, timeout=_SECONDS, metadata=identity)
        for artifact in resolved.replacements:
            role = beam_runner_api_pb2.ArtifactStagingToRolePayload.FromString(
                artifact.role_payload
            )
            request = beam_artifact_api_pb2.GetArtifactRequest(artifact=artifact)
            pieces = service.GetArtifact(request, timeout=_SECONDS, metadata=identity)
            found[role.staged_name] = b"".join(piece.data for piece in pieces)
    return found


def choose(staged: dict[str, bytes]) -> dict[str, bytes]:
    """Selects the packages among the staged files.

    Args:
      staged: The content of each file by name.
    """
    if _REQUIREMENTS in staged:
        sys.exit("boot: --requirements_file is not supported; install them for the workers")
    extra = staged.get(_EXTRA, b"").decode().split()
    return {name: staged[name] for name in [*extra, _TARBALL] if name in staged}


def install(packages: dict[str, bytes], root: Path) -> Path:
    """Installs packages into a folder named after a hash of their content.

    Args:
      packages: The content of each file by name.
      root: The parent of that folder; no other user may write to it.

    Returns:
      The folder to put on the module search path.
    """
    digest = hashlib.sha256()
    for name, content in sorted(packages.items()):
        digest.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    folder = root / digest.hexdigest()
    if folder.is_dir():
        return folder
    with tempfile.TemporaryDirectory(dir=root) as work:
        target = Path(work, "installed")
        target.mkdir()
        for name, content in packages.items():
            path = Path(work, os.path.basename(name))
            path.write_bytes(content)
            command = [sys.executable, "-P", "-m", "pip", "install", "--quiet", "--no-deps"]
            command += ["--disable-pip-version-check", "--no-build-isolation", "--no-index"]
            subprocess.run([*command, "--target", str(target), str(path)], check=True)
        # Fails if another worker was faster, which is fine.
        with contextlib.suppress(OSError):
            target.rename(folder)
    return folder


if __name__ == "__main__":
    main()
