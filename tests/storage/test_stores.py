"""The whole job on a store that isn't moto (see `test_s3.py`) and on one without conditions.

Crashes at every step are tested on a store in memory (`test_manifest_commit.py`), and here in
some cases.
"""

import contextlib
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.aws.clients.s3 import boto3_client
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import score, storage
from pipelines.storage import objects, s3
from pipelines.storage.objects import Objects, S3Objects
from tests.publishing import test_manifest_commit as steps
from tests.support.running import ONE_WORKER, PROJECT, command
from tests.support.stores.servers import Server


@pytest.fixture
def client(server: Server, observations: Path) -> Iterator[Any]:
    """A client of the server, with an empty bucket for results and two files in another."""
    client = server.client()
    for bucket in ("station", "results"):
        client.create_bucket(Bucket=bucket)
    for path in sorted(observations.glob("biscoe-2007*")):
        client.upload_file(str(path), "station", f"night/{path.name}")
    yield client
    for bucket in ("station", "results"):
        for key in keys(client, bucket):
            client.delete_object(Bucket=bucket, Key=key)
        client.delete_bucket(Bucket=bucket)


def keys(client: Any, bucket: str = "results") -> list[str]:
    return [found["Key"] for found in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def arguments(server: Server, *more: str, run_id: str = "r") -> list[str]:
    own = ["--input", "s3://station/night/*", "--output", "s3://results", "--run_id", run_id]
    return [*own, *more, "--no-progress", *server.flags, *ONE_WORKER]


def assert_whole(client: Any, *run_ids: str) -> dict[str, Any]:
    """The bucket contains the runs' manifests and the shards that they name, and nothing else."""
    manifests, owned = {}, set()
    for run_id in run_ids:
        key = f"runs/{run_id}.json"
        manifests[run_id] = json.loads(client.get_object(Bucket="results", Key=key)["Body"].read())
        owned |= {key} | {
            f"{dataset}/run_id={run_id}/{name}"
            for dataset, shards in manifests[run_id]["shards"].items()
            for name in shards["names"]
        }
    assert set(keys(client)) == owned
    return manifests


def test_a_run_is_published_refused_and_replaced(
    server: Server, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score.main(arguments(server)) == 0
    note = (
        "penguin-score: note: s3://results ignores conditional writes: don't let two runs publish "
    )
    note = "" if server.honours_conditions else f"{note}to it at the same time\n"
    assert capsys.readouterr().err == note
    first = assert_whole(client, "r")["r"]
    assert first["totals"]["rows_scored"] > 0
    assert score.main(arguments(server)) == 2
    assert "run r is published already" in capsys.readouterr().err
    assert score.main(arguments(server, "--replace")) == 0
    second = assert_whole(client, "r")["r"]
    assert second["attempt"] != first["attempt"]
    assert second["totals"] == first["totals"]
    assert score.main(arguments(server, "--new_only", run_id="s")) == 0
    assert assert_whole(client, "r", "s")["s"]["totals"]["rows_read"] == 0


def test_a_filesystem_that_only_beam_knows_is_written_without_conditions(
    server: Server, client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(objects, "of", lambda _: Objects())
    # Beam would make a client for each operation, which takes this test minutes.
    storage.use_options(PipelineOptions(server.flags))
    s3._beam_client("s3://results")
    monkeypatch.setattr(boto3_client, "Client", lambda options: s3._beam_client("s3://results"))
    for more in ([], ["--replace"]):
        assert score.main(arguments(server, *more)) == 0
        err = capsys.readouterr().err
        assert err.startswith("penguin-score: note: s3://results is written without conditions")
        assert err.count("\n") == 1
        assert_whole(client, "r")
    assert score.main(arguments(server)) == 2


def start(server: Server, *more: str, run_id: str = "r") -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(*arguments(server, *more, run_id=run_id)), cwd=PROJECT, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.slow
def test_of_two_jobs_at_once_one_publishes(server: Server, client: Any) -> None:
    if not server.honours_conditions:
        pytest.skip("this server ignores conditions")
    jobs = [start(server) for _ in range(2)]
    errors = [job.communicate(timeout=120)[1] for job in jobs]
    assert sorted(job.returncode for job in jobs) == [0, 2], errors
    assert_whole(client, "r")


def test_a_killed_job_is_swept_by_the_next_run(server: Server, client: Any) -> None:
    job = start(server)
    try:
        end = time.monotonic() + 60
        # s3rver shows objects that are still being written, too.
        while not any(
            found["Key"].endswith("/lease.json") and found["Size"]
            for found in client.list_objects_v2(Bucket="results").get("Contents", [])
        ):
            assert time.monotonic() < end
            assert job.poll() is None
            time.sleep(0.02)
    finally:
        job.send_signal(signal.SIGKILL)
        job.communicate()
    if not any(key.startswith("_staging/r/") for key in keys(client)):
        pytest.skip("it had ended before it was killed")
    assert score.main(arguments(server, run_id="s")) == 0
    assert not any(key.startswith("_staging/") for key in keys(client))
    assert_whole(client, "s")


class Watched(S3Objects):
    """A real store with the hooks of `tests.support.stores.memory`."""

    def __init__(self, client: Any) -> None:
        self.before: Callable[[str], None] = lambda _: None
        self.after: Callable[[str], None] = lambda _: None
        self._client = client

    @property
    def content(self) -> dict[str, bytes]:
        found = {}
        for key in keys(self._client):
            body = self._client.get_object(Bucket="results", Key=key)["Body"]
            found[f"s3://results/{key}"] = body.read()
        return found

    def put(self, path: str, content: bytes) -> None:
        with self._step(path):
            super().put(path, content)

    def copy(self, source: str, target: str) -> None:
        with self._step(target):
            super().copy(source, target)

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            with self._step(path):
                super().delete([path])

    def _create(self, path: str, content: bytes) -> bool:
        with self._step(path):
            return super()._create(path, content)

    def _replace(self, path: str, content: bytes, etag: str) -> bool:
        with self._step(path):
            return super()._replace(path, content, etag)

    @contextlib.contextmanager
    def _step(self, path: str) -> Iterator[None]:
        self.before(path)
        yield
        self.after(path)


@pytest.mark.slow
def test_a_crash_at_any_step_of_a_replacement_is_recovered_from(
    server: Server, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not server.honours_conditions:
        pytest.skip("this server ignores conditions")
    storage.use_options(PipelineOptions(server.flags))
    store: Any = Watched(client)
    monkeypatch.setattr(objects, "of", lambda _: store)
    count = 0
    try:
        for stop in range(1, 100):
            old = steps.Run(store, shards=1)
            old.run()
            new = steps.Run(store, shards=1, replace=True)
            with steps.doomed():
                done = steps.crash_at(store, stop, after=True)
                with contextlib.suppress(steps.Crash):
                    new.begin()
                    new.step()
                new.die()
                store.before = store.after = lambda _: None
            seen = steps.seen(store)
            assert seen in (old.paths.attempt, new.paths.attempt)
            steps.Run(store, run_id=f"s{stop}", shards=0).run()
            steps.assert_clean(store)
            count += seen != steps.seen(store)
            if done() < stop:
                break
            store.delete(list(store.content))
        assert stop > 5
        # Some were past their verdict, and have been finished.
        assert count > 0
    finally:
        steps.begun.clear()
