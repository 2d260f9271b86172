"""The job on a real second filesystem: Beam's S3 against a local S3 server, input and output."""

import argparse
import hashlib
import inspect
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.io.aws import s3io
from apache_beam.options.pipeline_options import PipelineOptions, S3Options
from pyarrow import fs

from penguin_model.card import card_path, onnx_path
from pipelines import score, storage
from pipelines.publishing import review
from pipelines.report import __main__ as report
from pipelines.runs.layout import DATASETS
from pipelines.storage import s3
from tests.support.publication import reviewed
from tests.support.running import ONE_WORKER, beside_progress, published, run_here
from tests.support.stores import servers

KEYS = {"access_key_id": "test", "secret_access_key": "test", "region_name": "us-east-1"}
INPUT = ("--input", "s3://station/night/*")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with servers.moto() as server:
        yield server.url


@pytest.fixture
def client(endpoint: str, observations: Path) -> Iterator[Any]:
    """A client of a server with an empty bucket for results and the samples in another."""
    named = {f"aws_{name}" if "key" in name else name: value for name, value in KEYS.items()}
    client = boto3.client("s3", endpoint_url=endpoint, **named)
    for bucket in ("station", "results"):
        client.create_bucket(Bucket=bucket)
    for path in sorted(observations.iterdir()):
        client.upload_file(str(path), "station", f"night/{path.name}")
    yield client
    for bucket in ("station", "results"):
        for key in objects(client, bucket):
            client.delete_object(Bucket=bucket, Key=key)
        client.delete_bucket(Bucket=bucket)


@pytest.fixture
def flags(endpoint: str) -> list[str]:
    keys = [f"--s3_{name}={text}" for name, text in KEYS.items()]
    # One worker, so that the number of shards doesn't depend on the machine.
    return ["--s3_endpoint_url", endpoint, *keys, *ONE_WORKER]


def objects(client: Any, bucket: str = "results") -> list[str]:
    return [found["Key"] for found in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def run(flags: list[str], *arguments: object, run_id: str = "test") -> int:
    own = ["--output", "s3://results", "--run_id", run_id, *map(str, arguments)]
    return score.main([*own, *flags])


def manifest(client: Any, run_id: str = "test") -> Any:
    return json.loads(client.get_object(Bucket="results", Key=f"runs/{run_id}.json")["Body"].read())


def shards(client: Any, dataset: str, run_id: str = "test") -> list[str]:
    """The keys of a data set's shards, as the manifest names them."""
    names = manifest(client, run_id)["shards"][dataset]["names"]
    return [f"{dataset}/run_id={run_id}/{name}" for name in names]


def assert_published(client: Any, *datasets: str) -> None:
    """The bucket contains the run's manifest and what it names: a shard of each data set."""
    keys = [key for dataset in datasets for key in shards(client, dataset)]
    assert len(keys) == len(datasets)
    attempt = manifest(client)["attempt"]
    assert all(key.endswith(f"/part-{attempt[:12]}-00000.parquet") for key in keys)
    assert objects(client) == sorted([*keys, "runs/test.json"])


def predictions(client: Any, run_id: str = "test") -> pa.Table:
    bodies = [
        client.get_object(Bucket="results", Key=key)["Body"].read()
        for key in shards(client, "predictions", run_id)
    ]
    table = pa.concat_tables([pq.read_table(pa.BufferReader(body)) for body in bodies])
    return table.sort_by([("source_file", "ascending"), ("source_row", "ascending")])


def test_a_run_from_and_to_s3_equals_a_local_one(
    tmp_path: Path, client: Any, flags: list[str], observations: Path, shipped_model: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    # A CSV, a gzipped CSV and a Parquet file.
    some = ("--input", "s3://station/night/biscoe-*")
    code = run(flags, *some)
    assert (code, beside_progress(capsys.readouterr().err)) == (0, "")
    assert_published(client, *DATASETS)
    local = ("--input", observations / "biscoe-*", "--model", shipped_model, "--run_id", "test")
    assert run_here(tmp_path, *local) == 0
    expected, got = published(tmp_path, "predictions"), predictions(client)
    names = [Path(path).name for path in expected.column("source_file").to_pylist()]
    assert got.column("source_file").to_pylist() == [f"s3://station/night/{n}" for n in names]
    for field in expected.schema:
        if pa.types.is_floating(field.type):
            np.testing.assert_allclose(got[field.name], expected[field.name], rtol=1e-6)
        elif field.name != "source_file":
            assert got[field.name].equals(expected[field.name])


def test_a_published_run_is_refused_and_replaced(client: Any, flags: list[str]) -> None:
    assert run(flags, *INPUT) == 0
    assert run(flags, *INPUT) == 2
    client.put_object(Bucket="results", Key="predictions/run_id=test/part-00007.parquet", Body=b"x")
    assert run(flags, "--input", "s3://station/night/biscoe-2007.csv", "--replace") == 0
    # Neither the stale shard nor the old run's rejects are left.
    assert_published(client, "files", "predictions")
    assert manifest(client)["totals"]["files"] == 1


def test_new_only_goes_by_the_ledger_in_the_bucket(client: Any, flags: list[str]) -> None:
    assert run(flags, *INPUT, "--new_only", run_id="n1") == 0
    assert run(flags, *INPUT, "--new_only", run_id="n2") == 0
    assert manifest(client, "n2")["totals"]["files_skipped"] == 9


def test_a_held_run_lies_beside(
    client: Any, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(flags, *INPUT, "--max_reject_fraction", "0", "--summary=json") == 3
    told = json.loads(capsys.readouterr().out)
    assert told["worst_rejects"][0]["file"].startswith("s3://station/night/")
    # The next command reaches the store; only the keys aren't in it.
    _, _, following = told["next"][0].partition("report ")
    keys = [flag for flag in flags if "key" in flag]
    assert report.main([*shlex.split(following), *keys]) == 0
    assert capsys.readouterr().out == "s3://results/reports/test.html\n"
    for page in ("test", "index"):
        client.delete_object(Bucket="results", Key=f"reports/{page}.html")
    found = objects(client)
    assert all(key.startswith("_held/test/") for key in found)
    assert "_held/test/manifest.json" in found
    assert run(flags, *INPUT) == 0
    assert_published(client, *DATASETS)


def test_a_torn_object_costs_only_itself(client: Any, flags: list[str]) -> None:
    client.put_object(Bucket="station", Key="night/torn.parquet", Body=b"PAR1 torn")
    assert run(flags, *INPUT) == 0
    totals = manifest(client)["totals"]
    assert (totals["files_unreadable"], totals["rows_scored"]) == (1, 342)


def test_one_client_serves_a_whole_run(client: Any, flags: list[str]) -> None:
    s3._client.cache_clear()
    assert run(flags, *INPUT) == 0
    found = s3._client.cache_info()
    assert found.misses == 1
    assert found.hits > 20


def test_the_client_takes_every_option_that_beam_has_for_s3(flags: list[str]) -> None:
    """Fails if a new Beam has another option, or stores the client differently."""
    parser = argparse.ArgumentParser()
    S3Options._add_argparse_args(parser)
    assert set(s3._OPTIONS) == set(vars(parser.parse_args([])))
    names = set(inspect.signature(s3io.S3IO).parameters)
    assert names >= {"client"}
    storage.use_options(PipelineOptions(flags))
    first, second = s3._beam_client("s3://b/k"), s3._beam_client("s3://b/k")
    assert first is not second
    assert first.client is second.client
    assert first.client.meta.region_name == KEYS["region_name"]


def test_a_reader_fetches_what_it_asks_for(
    client: Any, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, int]] = []
    fetch = s3io.S3Downloader.get_range

    def note(downloader: Any, start: int, end: int) -> Any:
        asked.append((start, end))
        return fetch(downloader, start, end)

    monkeypatch.setattr(s3io.S3Downloader, "get_range", note)
    storage.use_options(PipelineOptions(flags))
    body = bytes(range(256)) * 10_000
    client.put_object(Bucket="station", Key="night/large", Body=body)
    with storage.open_input("s3://station/night/large") as source:
        source.seek(500_001)
        assert source.read(100) == body[500_001:500_101]
        assert source.read(7) == body[500_101:500_108]
        source.seek(2_559_990)
        assert source.read(100) == body[2_559_990:]
    assert asked == [(500_001, 500_101), (500_101, 500_108), (2_559_990, 2_560_000)]


def test_what_is_not_there(
    client: Any, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(flags, "--input", "s3://station/none/*") == 0
    assert "no file matches s3://station/none/*" in capsys.readouterr().err
    elsewhere = ["--output", "s3://nowhere/root", "--run_id", "x", *INPUT, *flags]
    assert score.main(elsewhere) == 1
    err = capsys.readouterr().err
    assert err.startswith("penguin-score: error: cannot write s3://nowhere/root")
    assert err.count("\n") == 1


def test_the_model_may_lie_there_too(
    client: Any, flags: list[str], shipped_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = ("--model", "s3://station/m.keras")
    client.upload_file(str(shipped_model), "station", "m.keras")
    assert run(flags, *INPUT, *model) == 2
    assert "m.keras.card.json" in capsys.readouterr().err
    client.upload_file(card_path(str(shipped_model)), "station", "m.keras.card.json")
    assert run(flags, *INPUT, *model, "--engine=onnx") == 2
    assert "model s3://station/m.keras.onnx: Not found: s3:" in capsys.readouterr().err
    client.upload_file(onnx_path(str(shipped_model)), "station", "m.keras.onnx")
    assert run(flags, *INPUT, *model, "--engine=onnx") == 0
    for name in ("m.keras.onnx", "m.keras"):
        client.put_object(Bucket="station", Key=name, Body=b"other")
        assert run(flags, *INPUT, *model, "--engine=onnx", run_id="other") == 2
        assert f"model s3://station/{name} does not fit its card: " in capsys.readouterr().err
    assert_published(client, *DATASETS)


def test_a_failed_run_leaves_no_objects(
    client: Any, flags: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.publishing.publisher.verify_and_decide", lambda *_: 1 / 0)
    assert run(flags, *INPUT) == 1
    assert objects(client) == ["_failed/test.json"]


def test_a_report_is_written_beside_the_run(client: Any, flags: list[str]) -> None:
    assert run(flags, *INPUT) == 0
    keys = [flag for flag in flags if flag not in ONE_WORKER]
    assert report.main(["--output", "s3://results", *keys]) == 0
    body = client.get_object(Bucket="results", Key="reports/test.html")["Body"].read().decode()
    assert "missing_value: 2 of 2" in body


def test_the_reader_of_the_docs_sees_what_is_published(
    client: Any, endpoint: str, flags: list[str], project: Path
) -> None:
    assert run(flags, *INPUT) == 0
    client.put_object(Bucket="results", Key="predictions/run_id=test/part-7.parquet", Body=b"torn")
    page = (project / "docs/filesystems.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    places = 'fs.FileSystem.from_uri("s3://results/root")'
    assert places in code
    store = fs.S3FileSystem(
        endpoint_override=endpoint, access_key="test", secret_key="test", region="us-east-1"
    )
    found: dict[str, Any] = {"here": (store, "results")}
    exec(code.replace(places, "here"), found)
    assert found["predictions"].num_rows == 342


def test_runs_are_reviewed_on_a_store(client: Any, flags: list[str]) -> None:
    """Held, accepted, retracted, scored again on demand, rejected: each leaves nothing else."""
    output = "s3://results/root"
    storage.use_options(PipelineOptions(flags))
    night = [*INPUT, *flags, "--run_id", "n", "--max_reject_fraction", "0", "--new_only"]
    assert score.main(["--output", output, *night]) == 3
    held = list(objects(client, "results"))
    assert all(key.startswith("root/_held/n/") for key in held)
    accepted = review.accept(output, "n", reviewed("published"))
    kept = objects(client, "results")
    assert len(kept) == len(held)
    assert "root/runs/n.json" in kept
    for dataset in DATASETS:
        for name, sha256 in zip(
            accepted.shard_names(dataset), accepted.shards[dataset].sha256 or (), strict=True
        ):
            key = f"root/{dataset}/run_id=n/{name}"
            body = client.get_object(Bucket="results", Key=key)["Body"]
            assert hashlib.sha256(body.read()).hexdigest() == sha256
    review.close(output, "n", reviewed("retracted", files_done=False))
    names = accepted.shard_names("files")
    record = ["root/_closed/n/manifest.json", *(f"root/_closed/n/files/{name}" for name in names)]
    assert sorted(objects(client, "results")) == sorted(record)
    assert score.main(["--output", output, *night]) == 2
    assert score.main(["--output", output, *night, "--replace"]) == 3
    assert all(key.startswith("root/_held/n/") for key in objects(client, "results"))
    review.close(output, "n", reviewed("rejected"))
    assert "root/_closed/n/manifest.json" in objects(client, "results")
    assert score.main(["--output", output, *INPUT, *flags, "--run_id", "m", "--new_only"]) == 0
    with storage.open_input(f"{output}/runs/m.json") as file:
        totals = json.loads(file.read())["totals"]
    assert (totals["files"], totals["rows_read"]) == (0, 0)
    assert totals["files_skipped"] > 1
