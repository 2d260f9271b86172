"""`penguin-runs` on an object store: the same answers as on a disk."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.running import ONE_WORKER
from tests.support.runs import act
from tests.support.stores import servers
from tests.support.stores.servers import Server

Captured = pytest.CaptureFixture[str]
ROOT = "s3://results/out"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with servers.moto() as started:
        yield started


@pytest.fixture
def flags(server: Server, observations: Any) -> Iterator[list[str]]:
    """The flags of a store with a published run ``p`` and a held one ``h``."""
    from pipelines import score

    server.client().create_bucket(Bucket="results")
    for run_id, most, code in (("p", "1", 0), ("h", "0", 3)):
        own = ["--input", f"{observations}/torgersen-2007.csv", "--run_id", run_id, "--no-progress"]
        limits = ["--max_reject_fraction", most, *ONE_WORKER]
        assert score.main(["--output", ROOT, *own, *limits, *server.flags]) == code
    yield server.flags
    client = server.client()
    for key in keys(client):
        client.delete_object(Bucket="results", Key=key)
    client.delete_bucket(Bucket="results")


def keys(client: Any) -> list[str]:
    return [each["Key"] for each in client.list_objects_v2(Bucket="results").get("Contents", [])]


def test_runs_are_looked_after_on_a_store(
    server: Server, flags: list[str], capsys: Captured, tmp_path: Any
) -> None:
    capsys.readouterr()

    def statuses() -> dict[str, str]:
        assert act(ROOT, "list", "--json", *flags) == 0
        return {run["run_id"]: run["status"] for run in json.loads(capsys.readouterr().out)}

    assert statuses() == {"p": "published", "h": "held"}
    assert act(ROOT, "show", "h", *flags) == 0
    out = capsys.readouterr().out
    accepting = next(line for line in out.splitlines() if " accept h " in line)
    # What it takes to reach the store, but no key.
    assert accepting.endswith(f"--s3_endpoint_url {server.url} --s3_region_name us-east-1")
    assert act(ROOT, "verify", "p", "--replay", 5, "--seed", 1, *flags) == 0
    assert "; 5 rows of 1 file scored again (--seed 1)" in capsys.readouterr().out
    assert act(ROOT, "accept", "h", *flags) == 0
    assert act(ROOT, "retract", "p", *flags) == 0
    assert (capsys.readouterr().err, statuses()) == ("", {"p": "retracted", "h": "published"})
    labels = tmp_path / "labels.csv"
    rows = "".join(f"{tmp_path}/x,{row},Adelie\n" for row in range(3))
    labels.write_text(f"source_file,source_row,Species\n{rows}")
    assert act(ROOT, "labels", "h", "--labels", labels, *flags) == 2
    assert "no label, such as that of source_file" in capsys.readouterr().err


def test_what_is_wrong_on_a_store_is_named(
    server: Server, flags: list[str], capsys: Captured
) -> None:
    client = server.client()
    (shard,) = [key for key in keys(client) if key.startswith("out/predictions/run_id=p/")]
    client.copy_object(
        Bucket="results", Key="out/predictions/run_id=p/x.parquet",
        CopySource={"Bucket": "results", "Key": shard},
    )  # fmt: skip
    client.put_object(Bucket="results", Key=shard, Body=b"torn")
    client.put_object(Bucket="results", Key="out/runs/bad.json", Body=b"{")
    capsys.readouterr()
    assert act(ROOT, "verify", *flags) == 1
    out, err = capsys.readouterr()
    assert "predictions/run_id=p/x.parquet isn't one of the run's shards" in out
    assert shard.removeprefix("out/") in out
    assert "bad: s3://results/out/runs/bad.json is not JSON" in out
    assert err == "penguin-runs: error: 2 of 2 runs have faults; see above\n"
    assert act(ROOT, "list", *flags) == 0
    assert "runs/bad.json is not JSON" in capsys.readouterr().err
