"""Other users on Flink: the worker pool, LOOPBACK workers, packages, keys and secrets."""

import contextlib
import os
import signal
import ssl
import stat
import subprocess
import sys
import time
import urllib.request
import zipfile
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import (
    beam_fn_api_pb2,
    beam_runner_api_pb2,
)
from apache_beam.runners.portability import portable_runner
from apache_beam.runners.worker import worker_pool_main
from apache_beam.utils import thread_pool_executor

from deploy.flink import boot, parts, sockets
from deploy.flink import pool as worker_pool
from deploy.flink.cluster import Cluster, ClusterError
from pipelines.errors import UsageError
from pipelines.runners import beam_private, flink, flink_keys, flink_rest, secret_files
from tests.support import flink as running_flink
from tests.support import ports, samples, strangers
from tests.support.running import PROJECT

SECRET = strangers.SECRET
ROOT_ONLY = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user"
)
NOBODY = 65534


# --- deploy/flink/pool.py


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_text(f"{SECRET}\n")
    return path


@contextlib.contextmanager
def running_pool(secret: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    (port,) = running_flink.free_ports(1)
    command = [sys.executable, "-P", str(parts.HERE / "pool.py"), str(port), str(secret)]
    with subprocess.Popen(command, cwd=secret.parent, stderr=subprocess.PIPE) as process:
        try:
            yield f"localhost:{port}", process
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


def test_a_pool_starts_workers_for_who_knows_the_secret(secret_file: Path) -> None:
    with running_pool(secret_file) as (address, process):
        for stranger in strangers.KINDS:
            assert strangers.ask(address, stranger) == grpc.StatusCode.PERMISSION_DENIED
        assert ports.descendants(process.pid) == {process.pid}
        assert all(each.is_loopback for each in ports.listeners({process.pid}))
        assert strangers.ask(address, {"secret": SECRET}) == grpc.StatusCode.OK
        assert len(ports.descendants(process.pid)) == 2


@ROOT_ONLY
def test_another_user_gets_no_worker(tmp_path: Path, secret_file: Path) -> None:
    """Another user can reach the port, but gets neither the secret nor a worker."""
    code = """
import os, sys
from tests.support import strangers
os.setgroups([])
os.setresgid(NOBODY, NOBODY, NOBODY)
os.setresuid(NOBODY, NOBODY, NOBODY)
print(*[strangers.ask(sys.argv[1], kind).name for kind in strangers.KINDS])
open(sys.argv[2])
""".replace("NOBODY", str(NOBODY))
    with running_pool(secret_file) as (address, process):
        command = [sys.executable, "-c", code, address, str(secret_file)]
        ran = subprocess.run(command, cwd=PROJECT, timeout=120, capture_output=True, text=True)
        assert ran.stdout.split() == ["PERMISSION_DENIED"] * len(strangers.KINDS), ran.stderr
        assert "PermissionError" in ran.stderr
        assert ports.descendants(process.pid) == {process.pid}


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o620, 0o602])
@pytest.mark.parametrize("read", [worker_pool.read_secret, secret_files.read])
def test_a_secret_that_others_may_read_is_none(secret_file: Path, mode: int, read: Any) -> None:
    assert read(str(secret_file)) == SECRET
    secret_file.chmod(mode)
    with pytest.raises((UsageError, SystemExit), match="others may read"):
        read(str(secret_file))


@pytest.mark.parametrize("text", ["", "short", "\n" * 50, "é" * 40])
@pytest.mark.parametrize("read", [worker_pool.read_secret, secret_files.read])
def test_a_secret_that_can_be_guessed_is_none(secret_file: Path, text: str, read: Any) -> None:
    secret_file.write_text(text)
    with pytest.raises((UsageError, SystemExit), match="secret"):
        read(str(secret_file))


@pytest.mark.parametrize("read", [worker_pool.read_secret, secret_files.read])
def test_a_missing_secret_is_an_error(tmp_path: Path, read: Any) -> None:
    with pytest.raises((UsageError, SystemExit), match="No such file"):
        read(str(tmp_path / "nothing"))


def test_the_secret_is_in_the_environment_alone(secret_file: Path) -> None:
    """Not in the options, which Flink's page shows, nor on the command line, which `ps` shows."""
    config = f'{{"url": "localhost:50000", "params": {{"secret_file": "{secret_file}"}}}}'
    options = PipelineOptions(
        ["--environment_type=EXTERNAL", f"--environment_config={config}", "--flink_master=x:1"]
    )
    runner = flink.FlinkRunner(options)
    found = runner.default_environment(options)
    assert found.params == {"secret": SECRET}
    assert found.url == "localhost:50000"
    assert SECRET not in str(options.get_all_options())
    secret_file.chmod(0o644)
    with pytest.raises(UsageError, match="others may read"):
        runner.default_environment(options)


# --- deploy/flink/boot.py


def fake_package() -> dict[str, bytes]:
    return {"workflow.tar.gz": b"not an archive"}


def test_packages_are_never_taken_from_a_folder_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone who may write into /tmp knows the old name, and could have made the folder first."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    planted = tmp_path / f"beam-packages-{os.getuid()}"
    planted.mkdir(mode=0o777)
    root = tmp_path / "own"
    root.mkdir(mode=0o700)
    with pytest.raises(subprocess.CalledProcessError):
        boot.install(fake_package(), root)
    assert list(planted.iterdir()) == []


# --- LOOPBACK workers (pipelines/runners/beam_private.py)


@pytest.fixture
def loopback() -> Iterator[beam_fn_api_pb2.StartWorkerRequest]:
    pipeline = beam_runner_api_pb2.Pipeline()
    environment = pipeline.components.environments["python"]
    environment.urn = python_urns.EMBEDDED_PYTHON_LOOPBACK
    ends = beam_private.start_loopback_workers(pipeline, PipelineOptions([]))
    assert environment.urn == common_urns.environments.EXTERNAL.urn
    yield beam_runner_api_pb2.ExternalPayload.FromString(environment.payload)
    for end in ends:
        end()


def test_loopback_workers_ask_for_a_secret(loopback: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []

    def start(*asked: Any) -> Any:
        started.append(asked)
        return beam_fn_api_pb2.StartWorkerResponse()

    monkeypatch.setattr(
        worker_pool_main.BeamFnExternalWorkerPoolServicer,
        "StartWorker",
        start,
    )
    address = loopback.endpoint.url
    assert address.startswith("127.0.0.1:")
    for stranger in strangers.KINDS:
        assert strangers.ask(address, stranger) == grpc.StatusCode.PERMISSION_DENIED
    assert started == []
    assert len(loopback.params["secret"]) >= 40
    assert strangers.ask(address, loopback.params) == grpc.StatusCode.OK
    assert len(started) == 1


@ports.LINUX
def test_loopback_workers_listen_on_loopback(loopback: Any) -> None:
    port = int(loopback.endpoint.url.rpartition(":")[2])
    found = {each for each in ports.listeners({os.getpid()}) if each.port == port}
    assert found
    assert all(each.is_loopback for each in found)


def test_workers_in_processes_are_refused() -> None:
    options = PipelineOptions(["--experiments=use_loopback_process_worker"])
    with pytest.raises(UsageError, match="EXTERNAL"):
        beam_private.start_loopback_workers(beam_runner_api_pb2.Pipeline(), options)


def test_beam_starts_loopback_workers_where_we_stand_in() -> None:
    """Fails if another release of Beam starts them elsewhere."""
    name = "start_and_replace_loopback_environments"
    assert callable(getattr(portable_runner.PortableRunner, name))
    code = portable_runner.PortableRunner.run_portable_pipeline.__code__
    assert name in code.co_names
    assert flink.FlinkRunner.start_and_replace_loopback_environments is (
        beam_private.start_loopback_workers
    )
    assert "BeamFnExternalWorkerPoolServicer" not in code.co_names


def test_every_portable_runner_can_be_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "start_and_replace_loopback_environments"
    monkeypatch.setattr(portable_runner.PortableRunner, name, None)
    beam_private.guard_loopback_workers()
    found = getattr(portable_runner.PortableRunner(), name)
    assert found is beam_private.start_loopback_workers


@pytest.mark.parametrize("given", ["", "example.org", "*", "*.example.net,example.org"])
def test_a_proxy_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:3128")
    if given:
        monkeypatch.setenv("no_proxy", given)
    for _ in range(2):
        beam_private.reach_loopback_directly()
    for host in ("localhost", "127.0.0.1"):
        assert urllib.request.proxy_bypass(host)
    assert urllib.request.proxy_bypass("example.org") == bool(given)
    assert os.environ["no_proxy"].count("localhost") <= 1


@pytest.mark.slow
def test_grpc_reaches_this_machine_past_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only loopback is used: nobody listens on the port of the environment's proxy."""
    (port,) = running_flink.free_ports(1)
    code = """
import grpc, sys
from pipelines.runners import beam_private
if sys.argv[2] == "direct":
    beam_private.reach_loopback_directly()
channel = grpc.insecure_channel(sys.argv[1])
grpc.channel_ready_future(channel).result(timeout=10)
"""
    server = grpc.server(thread_pool_executor.shared_unbounded_instance())
    served = server.add_insecure_port("127.0.0.1:0")
    server.start()
    environment = {**os.environ, "http_proxy": f"http://127.0.0.1:{port}"}
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        environment.pop(name, None)
    ended = {}
    for how in ("direct", "proxy"):
        command = [sys.executable, "-c", code, f"localhost:{served}", how]
        ran = subprocess.run(
            command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=120
        )
        ended[how] = ran.returncode
    server.stop(0)
    assert ended == {"direct": 0, "proxy": 1}


# --- Keys


def test_a_key_is_for_its_owner(tmp_path: Path) -> None:
    settings = flink_keys.make(str(tmp_path))
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert settings["security.ssl.rest.authentication-enabled"] is True
    assert flink_keys.CLIENT == flink_rest.KEY
    again = tmp_path / "again"
    again.mkdir()
    assert flink_keys.make(str(again)) != settings
    context = ssl.create_default_context(cafile=str(tmp_path / flink_keys.CLIENT))
    context.load_cert_chain(tmp_path / flink_keys.CLIENT)


def test_a_link_in_place_of_a_key_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / flink_keys.CLIENT).symlink_to(tmp_path / "precious")
    with pytest.raises(OSError, match=r"symbolic|links"):
        flink_keys.make(str(tmp_path))


@ROOT_ONLY
def test_another_users_cluster_folder_is_refused(tmp_path: Path) -> None:
    """Its process list says which processes to end."""
    (tmp_path / "processes.json").write_text(f'{{"pool": {os.getpid()}}}')
    os.chown(tmp_path, NOBODY, NOBODY)
    cluster = Cluster(folder=tmp_path)
    for act in (cluster.start, cluster.stop, cluster.alive):
        with pytest.raises(ClusterError, match="another user"):
            act()


def test_a_path_too_long_for_sockets_is_refused(tmp_path: Path) -> None:
    cluster = Cluster(folder=tmp_path / ("x" * 80))
    with pytest.raises(ClusterError, match="too long"):
        cluster._sockets("taskmanager-0")


# --- Beam's job server and its servers for workers


def test_another_jar_is_not_changed(tmp_path: Path) -> None:
    jar = tmp_path / "beam.jar"
    with zipfile.ZipFile(jar, "w") as file:
        file.writestr(sockets.CLASS, b"\xca\xfe\xba\xbe another release")
    before = jar.read_bytes()
    with pytest.raises(sockets.UnknownJarError):
        sockets.use_unix_sockets(jar)
    assert jar.read_bytes() == before


def test_a_job_server_of_beams_own_is_known_as_such(tmp_path: Path) -> None:
    jar = tmp_path / "server.jar"
    with zipfile.ZipFile(jar, "w") as file:
        file.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
    assert not flink._listens_on_sockets(str(jar))
    with zipfile.ZipFile(jar, "w") as file:
        file.writestr("META-INF/MANIFEST.MF", f"{sockets.ATTRIBUTE}\nMain-Class: X\n")
    assert flink._listens_on_sockets(str(jar))
    jar.write_bytes(b"nothing")
    assert not flink._listens_on_sockets(str(jar))


def private_folders(pid: int) -> dict[str, int]:
    """The mode of the socket folder that a Java process was given."""
    found = {}
    with contextlib.suppress(OSError):
        for argument in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
            if argument.startswith("-Djava.io.tmpdir="):
                path = argument.partition("=")[2]
                found[path] = stat.S_IMODE(os.stat(path).st_mode)
    return found


@pytest.mark.flink
@pytest.mark.skipif(bool(running_flink.why_not()), reason=f"no Flink: {running_flink.why_not()}")
@ports.LINUX
def test_an_embedded_flink_lets_no_stranger_in(tmp_path: Path) -> None:
    """Checks every port of the job, its job server and the Flink inside, as long as they last."""
    job = subprocess.Popen(
        [sys.executable, "-m", "pipelines.score", "--output", str(tmp_path / "out"),
         *map(str, samples.FLAGS), *running_flink.EMBEDDED],
        cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    seen: dict[ports.Listener, Future[bool]] = {}
    folders: dict[str, int] = {}
    with ThreadPoolExecutor() as pool:
        while job.poll() is None:
            for pid in ports.descendants(job.pid):
                folders |= private_folders(pid)
            for each in ports.listeners(ports.descendants(job.pid)) - set(seen):
                seen[each] = pool.submit(strangers.refuses, each.port)
            time.sleep(0.05)
    out, _ = job.communicate()
    assert job.returncode == 0, out
    # Beam's own servers are Unix sockets here.
    assert set(folders.values()) == {0o700}
    assert not any(map(os.path.exists, folders))
    # The pool of LOOPBACK workers, Flink's REST API and its blobs.
    assert len(seen) == 3
    assert all(each.is_loopback for each in seen), seen
    assert [each for each, answer in seen.items() if not answer.result()] == []
