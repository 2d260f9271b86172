"""The examples for containers and Kubernetes agree with what the tests run on this machine."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.flink import parts
from pipelines.job.options import parse_arguments
from pipelines.runners import flink

PROJECT = Path(__file__).parents[2]
DEPLOY = PROJECT / "deploy/flink"
COMPOSE = yaml.safe_load((DEPLOY / "docker/compose.yaml").read_text())
KUBERNETES = {
    document["kind"]: document
    for document in yaml.safe_load_all((DEPLOY / "kubernetes/penguin.yaml").read_text())
}


def flatten(settings: Any, prefix: str = "") -> dict[str, str]:
    """Nested settings as Flink's dotted keys."""
    if not isinstance(settings, dict):
        return {prefix: str(settings)}
    return {
        key: value
        for name, inner in settings.items()
        for key, value in flatten(inner, f"{prefix}.{name}" if prefix else name).items()
    }


OURS = flatten(yaml.safe_load((DEPLOY / "config.yaml").read_text()))
IN_COMPOSE = yaml.safe_load(COMPOSE["x-flink"]["environment"]["FLINK_PROPERTIES"])
SPEC = KUBERNETES["FlinkDeployment"]["spec"]
POD = SPEC["taskManager"]["podTemplate"]["spec"]
(POOL,) = [each for each in POD["containers"] if each["name"] == "pool"]
JOB = KUBERNETES["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
IN_KUBERNETES = {
    **SPEC["flinkConfiguration"],
    "jobmanager.memory.process.size": SPEC["jobManager"]["resource"]["memory"],
    "taskmanager.memory.process.size": SPEC["taskManager"]["resource"]["memory"],
}


@pytest.mark.parametrize("settings", [IN_COMPOSE, IN_KUBERNETES], ids=["compose", "kubernetes"])
def test_flink_is_set_up_as_here(settings: dict[str, Any]) -> None:
    assert len(settings) > 8
    rest = {key: str(value) for key, value in settings.items() if not key.endswith(".address")}
    assert rest == {key: OURS[key] for key in rest}


def test_restarts_wait_until_a_dead_worker_has_left_the_cache() -> None:
    delay = int(OURS["restart-strategy.fixed-delay.delay"].removesuffix(" s"))
    (flag,) = (
        f for f in flink.Flink().complete([], "job") if f.startswith("--environment_cache_millis=")
    )
    assert delay * 1000 > int(flag.partition("=")[2])


def test_versions_agree() -> None:
    version = parts.FLINK_VERSION
    assert f"apache-flink=={version}." in (DEPLOY / "flink.lock").read_text()
    assert f":beam-runners-flink-{version}:" in parts.JARS_LOCK.read_text()
    image = re.findall(r"FROM flink:(\S+)-java17", (DEPLOY / "docker/flink.Dockerfile").read_text())
    assert f"apache-flink-libraries=={image[0]} " in (DEPLOY / "flink.lock").read_text()
    assert SPEC["flinkVersion"] == f"v{version.replace('.', '_')}"
    assert SPEC["image"] == COMPOSE["x-flink"]["image"] == f"penguin-flink:{image[0]}"


def submitters() -> list[list[str]]:
    """What the examples run to submit the job."""
    return [COMPOSE["services"]["score"]["entrypoint"], JOB["containers"][0]["command"]]


@pytest.mark.parametrize("command", submitters(), ids=["compose", "kubernetes"])
def test_the_submitters_flags_exist(command: list[str]) -> None:
    assert command[0] == "penguin-score"
    values = parse_arguments("penguin-score", command[1:])
    assert values.flink_version == parts.FLINK_VERSION
    assert values.environment_type == "EXTERNAL"
    assert Path(values.flink_job_server_jar) == parts.JOB_SERVER_JAR.relative_to(PROJECT)
    config = json.loads(values.environment_config)
    for pool in (COMPOSE["x-pool"]["command"].split(), POOL["command"]):
        assert pool[:3] == ["python", "-P", "deploy/flink/pool.py"]
        assert config == {"url": f"localhost:{pool[3]}", "params": {"secret_file": pool[4]}}


def test_a_pools_secret_is_a_file_of_who_may_have_it() -> None:
    secret = COMPOSE["secrets"]["pool"]["file"]
    ignored = (PROJECT / ".gitignore").read_text().splitlines()
    assert f"/deploy/flink/docker/{secret.removeprefix('./')}" in ignored
    services = COMPOSE["services"]
    have = {name for name, each in services.items() if each.get("secrets") == ["pool"]}
    assert have == {"pool-0", "pool-1", "score"}
    for pod, container in ((POD, POOL), (JOB, JOB["containers"][0])):
        mounts = {each["name"]: each for each in container["volumeMounts"]}
        assert mounts["pool"] == {
            "name": "pool", "mountPath": "/run/secrets", "readOnly": True,
        }  # fmt: skip
        (volume,) = [each["secret"] for each in pod["volumes"] if each["name"] == "pool"]
        assert volume == {"secretName": "penguin-pool", "defaultMode": 0o400}


def test_a_pool_shares_its_taskmanagers_sockets() -> None:
    services = COMPOSE["services"]
    for number in ("0", "1"):
        for name in ("taskmanager-", "pool-"):
            assert f"sockets-{number}:/tmp" in services[name + number]["volumes"]
    for container in POD["containers"]:
        assert {"name": "sockets", "mountPath": "/tmp"} in container["volumeMounts"]
    assert {"name": "sockets", "emptyDir": {}} in POD["volumes"]


def test_what_the_images_copy_is_there() -> None:
    ignored = (DEPLOY / "docker/penguin.Dockerfile.dockerignore").read_text()
    kept = [line[1:] for line in ignored.splitlines() if line.startswith("!")]
    assert len(kept) > 5
    missing = [path for path in kept if path[0] != "." and not list(PROJECT.glob(path))]
    assert missing == []


def test_ports_are_open_on_loopback_only() -> None:
    ports = [port for each in COMPOSE["services"].values() for port in each.get("ports", [])]
    assert ports == ["127.0.0.1:8081:8081"]


@pytest.mark.skipif(shutil.which("docker-compose") is None, reason="no docker-compose")
def test_docker_compose_takes_the_file() -> None:
    command = ["docker-compose", "-f", str(DEPLOY / "docker/compose.yaml"), "--profile", "score"]
    ran = subprocess.run([*command, "config", "--quiet"], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
