"""What the steps cost that talk to an object store.

`python -m benchmarks.object_store` starts a local S3 server (moto, of `make test`) in a process of
its own, in which each request waits for a while, as it does in a real store. It prints seconds and
requests of the steps that wait for many files, then the seconds with one request at a time; and of
reading a large file the bytes asked for by each byte that it has. How long a large file takes tells
nothing here: the server copies all the rest of it for each request.
"""

import argparse
import contextlib
import functools
import multiprocessing
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from apache_beam.io.aws import s3io
from apache_beam.options.pipeline_options import PipelineOptions

from benchmarks import generate
from benchmarks.empty_run import empty_manifest
from penguin_model.card import read_card
from pipelines import publishing, storage
from pipelines.publishing import Decision, PlacedShard
from pipelines.publishing.commit import describe
from pipelines.reading import matching, small_files
from pipelines.reading.csv_files import ranges, reader
from pipelines.reading.parquet_files import reader as parquet_spans
from pipelines.reading.rows import Wanted
from pipelines.reading.settings import DEFAULT_SIZES
from pipelines.runs.layout import DATASETS, PREDICTIONS, Layout
from pipelines.storage import objects

WANTED = Wanted.of_card(read_card("models/penguin-classifier.keras"), ())
SHARD = b"x" * 100_000
KEYS = {"aws_access_key_id": "test", "aws_secret_access_key": "test", "region_name": "us-east-1"}


class Served(NamedTuple):
    """A running server: where, and what it has answered so far."""

    url: str
    requests: "Synchronized[int]"


def serve(port: Any, requests: Any, latency: float) -> None:
    """Serves S3 from memory; each request waits first."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: Any) -> None:
            pass

    inner = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Any:
        time.sleep(latency)
        with requests.get_lock():
            requests.value += 1
        return inner(environ, start)

    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Quiet)
    port.value = server.server_port
    server.serve_forever()


@contextlib.contextmanager
def running(latency: float) -> Iterator[Served]:
    """A server with an empty bucket, which ends with the body."""
    context = multiprocessing.get_context("spawn")
    port, requests = (context.Value("q", 0) for _ in range(2))
    process = context.Process(target=serve, args=(port, requests, latency), daemon=True)
    process.start()
    try:
        end = time.monotonic() + 60
        while not port.value and time.monotonic() < end:
            time.sleep(0.05)
        yield Served(f"http://127.0.0.1:{port.value}", requests)
    finally:
        process.kill()
        process.join()


def read_small(pattern: str) -> int:
    """Reads many small files as the job does; returns their rows."""
    found = list(matching.match([pattern]))
    gathered = small_files.gather(
        found, max_file_bytes=DEFAULT_SIZES.small_file_bytes, max_files=DEFAULT_SIZES.pack_files
    )
    return sum(
        sum(each.rows.values()) for pack in gathered for each in small_files.read(pack, WANTED)
    )


def read_parquet(path: str) -> int:
    """Reads a Parquet file span by span; returns its rows."""
    with storage.open_input(path) as source:
        parts = list(
            parquet_spans.plan(parquet_spans.open_file(source, WANTED), DEFAULT_SIZES.span_bytes)
        )
    rows = 0
    for part in parts:
        with storage.open_input(path) as source:
            opened = parquet_spans.open_file(source, WANTED)
            batch_rows = DEFAULT_SIZES.batch_rows
            for block in parquet_spans.read(opened, part, WANTED, batch_rows=batch_rows):
                rows += block.rows_read
    return rows


def read_csv(path: str) -> int:
    """Surveys a CSV range by range, then reads its spans; returns its rows."""
    (file,) = matching.match([path])
    surveys = []
    for start in range(0, file.size, DEFAULT_SIZES.range_bytes):
        stop = min(start + DEFAULT_SIZES.range_bytes, file.size)
        with storage.open_input(path) as source:
            surveys.append(ranges.survey(source, start, stop, file.size))

    def look(start: int, stop: int) -> Any:
        with storage.open_input(path) as source:
            return ranges.look_inside(source, start, stop)

    rows = 0
    for span in ranges.number(surveys, file.size, look):
        with storage.open_input(path) as source:
            for block in reader.read(
                source, WANTED, block_bytes=DEFAULT_SIZES.block_bytes, span=span
            ):
                rows += block.rows_read
    return rows


@contextlib.contextmanager
def staged(run_id: str, shards: int) -> Iterator[Callable[[], int]]:
    """An attempt with staged shards; yields what publishes it as the job does."""
    paths = Layout(output="s3://night", run_id=run_id, attempt=uuid.uuid4().hex)
    commit = publishing.of(paths)
    placed: dict[str, list[PlacedShard]] = {dataset: [] for dataset in DATASETS}
    for number, name in enumerate(commit.published_names(shards)):
        path = f"{paths.staged(PREDICTIONS)}/{number}"
        placed[PREDICTIONS].append(PlacedShard(path, name, 1, len(SHARD)))
    manifest = empty_manifest(paths, shards=describe(placed))

    def publish() -> int:
        decision = commit.decide(lambda: Decision(manifest=manifest, shards=placed))
        commit.make_visible(decision, replace=False, check=None)
        commit.finish()
        return shards

    with commit.attempt():
        storage.for_each(
            paths.output, lambda shard: storage.put_bytes(shard.path, SHARD), placed[PREDICTIONS]
        )
        yield publish


class Store:
    """The server's bucket, filled, and what is asked of it."""

    def __init__(self, served: Served) -> None:
        self._served = served
        names = [f"{key.removeprefix('aws_')}={value}" for key, value in KEYS.items()]
        flags = [f"--s3_endpoint_url={served.url}", *(f"--s3_{name}" for name in names)]
        storage.use_options(PipelineOptions(flags))
        self._client = boto3.client("s3", endpoint_url=served.url, **KEYS)
        self._client.create_bucket(Bucket="night")
        self.asked = 0
        read = s3io.S3Downloader.get_range

        def count(downloader: Any, start: int, end: int) -> Any:
            self.asked += end - start
            return read(downloader, start, end)

        s3io.S3Downloader.get_range = count

    def fill(self, suffix: str, rows: int, count: int = 1) -> int:
        """Puts observation files below ``SUFFIX/ROWS``, all alike; returns the bytes of one."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"night.{suffix}"
            generate.write(path, rows)
            body = path.read_bytes()
        self.put([f"{suffix}/{rows}/{number}.{suffix}" for number in range(count)], body)
        return len(body)

    def put(self, keys: Sequence[str], body: bytes) -> None:
        """Puts objects that are all alike."""
        for key in keys:
            self._client.put_object(Bucket="night", Key=key, Body=body)

    def measure(self, step: Callable[[], int]) -> tuple[float, int, int]:
        """Takes a step; returns seconds, requests and the bytes asked for."""
        requests, asked = self._served.requests.value, self.asked
        start = time.perf_counter()
        step()
        seconds = time.perf_counter() - start
        return seconds, self._served.requests.value - requests, self.asked - asked


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.03, help="seconds a request")
    parser.add_argument("--files", type=int, default=512, help="small ones of 100 rows")
    parser.add_argument("--shards", type=int, default=64, help="to publish")
    parser.add_argument("--rows", type=int, default=8_000_000, help="of the large files")
    given = parser.parse_args()
    with running(given.latency) as served:
        store = Store(served)
        store.fill("csv", 100, given.files)
        for path, read in (("parquet", read_parquet), ("csv", read_csv)):
            size = store.fill(path, given.rows)
            url = f"s3://night/{path}/{given.rows}/0.{path}"
            _, requests, asked = store.measure(functools.partial(read, url))
            name = f"{given.rows} rows of {path}"
            print(f"{name:<28}{asked / size:7.2f} bytes a byte, {requests} requests", flush=True)
        for words in ("", ", one by one"):
            if words:
                vars(objects)["_CALLS_AT_ONCE"] = 1
            run_id = "one" if words else "many"
            with staged(run_id, given.shards) as publish:
                for name, step in (
                    (f"{given.files} small files", lambda: read_small("s3://night/csv/100/*")),
                    (f"{given.shards} shards", publish),
                ):
                    seconds, requests, _ = store.measure(step)
                    print(f"{name + words:<28}{seconds:7.2f} s, {requests} requests", flush=True)


if __name__ == "__main__":
    main()
