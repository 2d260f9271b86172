"""The job on a real Flink, embedded and as a cluster: the same rows, totals and exit codes."""

import dataclasses
import hashlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.flink.cluster import Cluster, ClusterError
from penguin_model.card import card_path, read_card
from pipelines.runners import flink as runner
from tests.support import flink, ports, samples, strangers, terminal
from tests.support.running import find_processes, listing, manifest, run_command

pytestmark = [
    pytest.mark.flink,
    pytest.mark.skipif(bool(flink.why_not()), reason=f"no Flink: {flink.why_not()}"),
]
FILES, ROWS = 6, 1_600_000


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two TaskManagers, and workers in an environment without the project."""
    folder = tmp_path_factory.mktemp("cluster")
    rest, rpc, pool = flink.free_ports(3)
    python = flink.make_bare_environment(folder / "venv")
    made = Cluster(folder=folder, rest_port=rest, rpc_port=rpc, pool_port=pool, python=python)
    made.start()
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in made.environment().items():
            patch.setenv(variable, value)
        yield made
    made.stop()
    assert made.alive() == {}


@pytest.fixture(scope="module")
def observations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough rows that something can happen while they are scored."""
    folder = tmp_path_factory.mktemp("birds") / "files"
    flink.write_observations(folder, FILES, ROWS)
    return folder


def staged(cluster: Cluster) -> list[str]:
    """The flags of a job that ships the project to its workers."""
    return [*cluster.flags(), "--setup_file=./setup.py"]


def test_embedded_gives_the_same(tmp_path: Path) -> None:
    ran = run_command(
        "--output", tmp_path, *samples.FLAGS, *flink.EMBEDDED, timeout=flink.RUN_SECONDS
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    samples.assert_golden(tmp_path)
    samples.assert_equals_keras(tmp_path)
    # Workers are threads of the submitter.
    assert "model loads 1)" in ran.stdout


def test_a_cluster_gives_the_same(tmp_path: Path, cluster: Cluster) -> None:
    ran = run_command(
        "--output", tmp_path, *samples.FLAGS, *staged(cluster), timeout=flink.RUN_SECONDS
    )
    assert ran.returncode == 0, ran.stderr
    samples.assert_golden(tmp_path)
    samples.assert_equals_keras(tmp_path)
    job = flink.newest_job(cluster)
    assert job["name"].startswith("penguin-score-golden-")
    assert job["state"] == "FINISHED"
    vertices = cluster.ask(f"/jobs/{job['jid']}")["vertices"]
    names = " ".join(vertex["name"] for vertex in vertices)
    for label in ("Match files", "Plan spans", "Read and validate", "Reconcile", "Publish"):
        assert label in names
    scoring = next(vertex for vertex in vertices if "Read and validate" in vertex["name"])
    assert scoring["parallelism"] == 2


@ports.LINUX
def test_a_cluster_lets_no_stranger_in(tmp_path: Path, cluster: Cluster) -> None:
    pids = set().union(*map(ports.descendants, cluster.alive().values()))
    found = ports.listeners(pids)
    assert len(found) > 5
    assert all(each.is_loopback for each in found), found
    assert [each for each in found if not strangers.refuses(each.port)] == []


def test_a_cluster_tells_nobody_its_secrets(cluster: Cluster) -> None:
    """Flink's pages and the process list don't show them; runs after the tests above."""
    secret = (cluster.folder / "pool.secret").read_text().strip()
    # TaskManagers log it, but only their user may read the log.
    assert cluster.folder.stat().st_mode & 0o077 == 0
    shown: list[str] = []
    jobs = [job["jid"] for job in cluster.ask("/jobs/overview")["jobs"]]
    shown += [str(cluster.ask(f"/jobs/{job}{what}")) for job in jobs for what in ("", "/config")]
    shown += [str(cluster.ask("/jobmanager/config"))]
    for pid in set().union(*map(ports.descendants, cluster.alive().values())):
        shown.append(Path(f"/proc/{pid}/cmdline").read_text())
    assert not [text for text in shown if secret in text]


def test_both_workers_share_the_work_and_load_the_model_once(
    tmp_path: Path, cluster: Cluster, observations: Path
) -> None:
    flags = ("--input", observations, "--output", tmp_path, "--run_id", "test")
    ran = terminal.run_eager(*flags, *staged(cluster), timeout=flink.RUN_SECONDS)
    assert ran.returncode == 0, ran.stderr
    # Flink itself counts nothing until a subtask has ended.
    shown = terminal.percents(ran.stderr.splitlines())
    assert shown == sorted(shown)
    assert any(0 < percent < 100 for percent in shown)
    assert f"done: {FILES * ROWS:,} rows, 0 rejected" in ran.stderr
    # Once per worker process; each TaskManager has one.
    assert "model loads 2)" in ran.stdout
    flink.assert_all_rows_once(tmp_path, FILES, ROWS)


@pytest.mark.parametrize("engine", ["embedded", "cluster"])
def test_too_many_rejects_are_held_back(
    tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    dirty = tmp_path / "dirty.csv"
    dirty.write_text("CulmenLength,CulmenDepth,FlipperLength,BodyMass\n1,2,3,4\n39,18,181,3750\n")
    embedded = engine == "embedded"
    flags = flink.EMBEDDED if embedded else staged(request.getfixturevalue("cluster"))
    output = tmp_path / "out"
    ran = run_command(
        "--input", dirty, "--output", output, "--run_id", "test", *flags, timeout=flink.RUN_SECONDS
    )  # fmt: skip
    assert ran.returncode == 3, ran.stderr
    assert "50.0% of the rows were rejected" in ran.stderr
    assert "out_of_range 1" in ran.stdout
    assert not (output / "runs").exists()


@pytest.mark.parametrize("engine", ["embedded", "cluster"])
def test_a_job_that_fails_for_good_publishes_nothing(
    tmp_path: Path, engine: str, request: pytest.FixtureRequest
) -> None:
    """The submitter only knows that model and card fit; Keras refuses the model on the workers.

    The cluster retries three times before it gives up.
    """
    model = tmp_path / "broken.keras"
    model.write_bytes(b"no archive")
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    card = dataclasses.replace(
        read_card(str(samples.MODEL)), model_file=model.name, sha256=digest
    )  # fmt: skip
    Path(card_path(str(model))).write_text(card.to_json())
    output = tmp_path / "out"
    cluster = None if engine == "embedded" else request.getfixturevalue("cluster")
    ran = run_command(
        "--input", samples.OBSERVATIONS, "--output", output, "--model", model,
        *(staged(cluster) if cluster else flink.EMBEDDED), timeout=flink.RUN_SECONDS,
    )  # fmt: skip
    assert ran.returncode == 2, ran.stderr
    (error,) = flink.errors(ran.stderr)
    assert error.startswith("penguin-score: error: model ")
    assert listing(output) == []
    if cluster:
        assert flink.newest_job(cluster)["state"] == "FAILED"


def test_the_workers_environment_lacks_the_project(tmp_path: Path, cluster: Cluster) -> None:
    code = "import apache_beam, keras, pipelines"
    ran = subprocess.run(
        [str(cluster.python), "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert "No module named 'pipelines'" in ran.stderr


def test_a_killed_taskmanager_costs_no_row(
    tmp_path: Path, cluster: Cluster, observations: Path
) -> None:
    running = flink.Running(tmp_path, "--input", observations, *staged(cluster))
    running.once_staged(
        lambda: os.killpg(cluster.processes()["taskmanager-1"], signal.SIGKILL)
    )  # fmt: skip
    try:
        code, _, err = running.end()
    finally:
        cluster.start_taskmanager(1)
    assert code == 0, err
    assert_recovered(cluster, tmp_path)


@ports.LINUX
def test_a_killed_worker_pool_costs_no_row(
    tmp_path: Path, cluster: Cluster, observations: Path
) -> None:
    """With the other engine: what the workers have loaded can be seen when they are killed."""
    running = flink.Running(tmp_path, "--input", observations, "--engine=onnx", *staged(cluster))
    loaded: list[str] = []

    def kill_and_start() -> None:
        pool = cluster.processes()["pool"]
        loaded.extend(Path(f"/proc/{pid}/maps").read_text() for pid in ports.descendants(pool))
        (network,) = tmp_path.glob("_staging/*/*/model/*")
        assert network.name == f"{samples.MODEL.name}.onnx"
        # The workers belong to the pool's process group.
        os.killpg(pool, signal.SIGKILL)
        cluster.start_pool()

    running.once_staged(kill_and_start)
    code, _, err = running.end()
    assert code == 0, err
    assert_recovered(cluster, tmp_path)
    # The pool may still have workers of the jobs before.
    mine = [each for each in loaded if "/onnxruntime/" in each]
    assert mine
    assert not any("/tensorflow/" in each for each in mine)
    found = manifest(tmp_path)
    assert found["model"]["engine"] == "onnx"
    assert "onnxruntime" in found["versions"]
    assert "keras" not in found["versions"]


def assert_recovered(cluster: Cluster, output: Path) -> None:
    """Something did fail, but no row is affected."""
    job = flink.newest_job(cluster)
    failures = cluster.ask(f"/jobs/{job['jid']}/exceptions")["exceptionHistory"]["entries"]
    assert failures
    flink.assert_all_rows_once(output, FILES, ROWS)
    assert {path.name for path in output.iterdir()} == {"predictions", "files", "runs"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_cancels_the_job(
    tmp_path: Path, cluster: Cluster, observations: Path, number: int
) -> None:
    running = flink.Running(tmp_path, "--input", observations, *staged(cluster))
    running.once_staged(lambda: running.process.send_signal(number))
    code, _, err = running.end()
    assert code == 128 + number
    assert "nothing is published" in err
    assert flink.newest_job(cluster)["state"] == "CANCELED"
    assert listing(tmp_path) == []


def test_a_killed_job_server_ends_the_run(
    tmp_path: Path, cluster: Cluster, observations: Path
) -> None:
    running = flink.Running(tmp_path, "--input", observations, *staged(cluster))

    def kill() -> None:
        (wrapper,) = find_processes("-f", f"supervisor.py {running.process.pid} ")
        (server,) = find_processes("-P", str(wrapper))
        os.kill(server, signal.SIGKILL)

    running.once_staged(kill)
    code, _, err = running.end()
    (error,) = flink.errors(err)
    assert code == 1
    assert error.startswith("penguin-score: error: the connection to the runner was lost: ")
    assert flink.newest_job(cluster)["state"] == "CANCELED"
    assert listing(tmp_path) == []


def test_a_cluster_that_runs_is_not_started_again(cluster: Cluster) -> None:
    with pytest.raises(ClusterError, match="already running"):
        cluster.start()
    assert len(cluster.alive()) == 4


def test_parallelism_is_the_clusters(cluster: Cluster) -> None:
    master = f"--flink_master=localhost:{cluster.rest_port}"
    assert "--parallelism=4" in runner.Flink().complete([master], "job")
    assert "--parallelism=4" not in runner.Flink().complete([master, "--parallelism=1"], "job")


def test_no_java_is_said_in_one_line(tmp_path: Path) -> None:
    ran = run_command(
        "--output", tmp_path, *samples.FLAGS, *flink.EMBEDDED, "--job_server_java_launcher=no-java"
    )
    assert ran.returncode == 2
    assert "there is no no-java command; install Java" in ran.stderr
