"""Conditional writes on real servers: two that honour conditions and one that doesn't."""

import concurrent.futures
import functools
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from apache_beam.io.aws.clients.s3.messages import S3ClientError
from apache_beam.options.pipeline_options import PipelineOptions

from pipelines import storage
from pipelines.storage import objects, s3
from pipelines.storage.objects import Objects, S3Objects
from tests.support.stores.servers import Server

PATH = "s3://results/a/object"
STORE = objects.of(PATH)


@pytest.fixture
def store(server: Server) -> Iterator[Server]:
    """Points the job's storage layer at a server with an empty bucket."""
    storage.use_options(PipelineOptions(server.flags))
    client = server.client()
    client.create_bucket(Bucket="results")
    yield server
    for found in client.list_objects_v2(Bucket="results").get("Contents", []):
        client.delete_object(Bucket="results", Key=found["Key"])
    client.delete_bucket(Bucket="results")


@pytest.fixture
def strict(store: Server) -> Server:
    if not store.honours_conditions:
        pytest.skip("this server ignores conditions")
    return store


def test_an_object_is_created_once(store: Server) -> None:
    assert STORE.read(PATH) is None
    assert STORE.create(PATH, b"first")
    assert not STORE.create(PATH, b"second")
    # As a retry does after a lost answer.
    assert STORE.create(PATH, b"first")
    found = STORE.read(PATH)
    assert found is not None
    assert found.content == b"first"


def test_an_object_is_replaced_if_it_is_unchanged(store: Server) -> None:
    assert not STORE.replace(PATH, b"new", "none")
    assert STORE.read(PATH) is None
    STORE.create(PATH, b"old")
    found = STORE.read(PATH)
    assert found is not None
    assert STORE.replace(PATH, b"new", found.etag)
    assert STORE.replace(PATH, b"new", found.etag)
    assert not STORE.replace(PATH, b"other", found.etag)
    changed = STORE.read(PATH)
    assert changed is not None
    assert changed.content == b"new"


def race(contents: list[bytes], write: Any) -> list[bytes]:
    """Lets all writers write at once; returns the contents whose writers believe they won."""
    ready = threading.Barrier(len(contents), timeout=30)

    def one(content: bytes) -> bool:
        ready.wait()
        return bool(write(content))

    with concurrent.futures.ThreadPoolExecutor(len(contents)) as pool:
        return [each for each, won in zip(contents, pool.map(one, contents), strict=True) if won]


def test_of_many_that_create_at_once_one_wins(strict: Server) -> None:
    for number in range(5):
        path = f"{PATH}-{number}"
        (winner,) = race([b"%d" % n for n in range(8)], functools.partial(STORE.create, path))
        found = STORE.read(path)
        assert found is not None
        assert found.content == winner


def test_of_many_that_replace_at_once_one_wins(strict: Server) -> None:
    for _ in range(5):
        s3.put(PATH, b"old")
        old = STORE.read(PATH)
        assert old is not None
        write = functools.partial(STORE.replace, PATH, etag=old.etag)
        (winner,) = race([b"%d" % n for n in range(8)], write)
        found = STORE.read(PATH)
        assert found is not None
        assert found.content == winner


def test_a_store_that_ignores_conditions_is_found_out(store: Server) -> None:
    STORE.create(PATH, b"x")
    assert (STORE.lacks_conditions(PATH) is None) == store.honours_conditions
    found = STORE.read(PATH)
    assert found is not None
    assert found.content == b"x"


@pytest.fixture(params=[S3Objects, Objects])
def either(request: pytest.FixtureRequest) -> Objects:
    """Through boto3, and through Beam's filesystem as for all stores but S3."""
    made: Objects = request.param()
    return made


def test_objects_are_created_and_replaced_by_a_look_first(store: Server, either: Objects) -> None:
    assert either.create(PATH, b"first")
    assert not either.create(PATH, b"second")
    found = either.read(PATH)
    assert found is not None
    assert either.replace(PATH, b"new", found.etag)
    assert not either.replace(PATH, b"other", found.etag)
    assert not either.replace(f"{PATH}-none", b"other", found.etag)
    changed = either.read(PATH)
    assert changed is not None
    assert changed.content == b"new"


def test_objects_are_listed_copied_and_deleted(store: Server, either: Objects) -> None:
    for name in ("b", "a", "deep/c", "ab"):
        s3.put(f"s3://results/f/{name}", b"xy")
    s3.put("s3://results/fg", b"")
    either.copy("s3://results/f/a", "s3://results/f/z")
    found = either.list("s3://results/f")
    assert [each.path for each in found] == [
        f"s3://results/f/{name}" for name in ("a", "ab", "b", "deep/c", "z")
    ]
    assert {each.size for each in found} == {2}
    times = [each.modified for each in found]
    assert max(times) - min(times) < 60
    either.delete([each.path for each in found] + ["s3://results/f/none"])
    assert either.list("s3://results/f") == []
    assert [each.path for each in either.list("s3://results")] == ["s3://results/fg"]


def test_what_the_store_refuses_is_its_own_error(store: Server) -> None:
    assert STORE.read("s3://nowhere/x") is None
    for call in (
        lambda: STORE.create("s3://nowhere/x", b""),
        lambda: STORE.list("s3://nowhere/x"),
        lambda: STORE.copy("s3://results/none", "s3://results/x"),
    ):
        with pytest.raises(S3ClientError) as caught:
            call()
        assert "(NoSuch" in storage.reason_of(caught.value)


class Client:
    """Answers `put_object` as instructed: with a status, or by doing it."""

    def __init__(self, inner: Any, answers: list[int]) -> None:
        self._inner = inner
        self._answers = answers

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def put_object(self, **asked: Any) -> Any:
        from botocore.exceptions import ClientError

        status = self._answers.pop(0) if self._answers else 200
        answer = self._inner.put_object(**asked) if status in (200, 412) else None
        if status != 200:
            details = {"Code": "Refused", "Message": "as told"}
            raise ClientError(
                {"Error": details, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject"
            )
        return answer


@pytest.fixture
def answers(store: Server, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    told: list[int] = []
    inner = s3._of(PATH)
    monkeypatch.setattr(s3, "_of", lambda _: Client(inner, told))
    monkeypatch.setattr(s3, "_CONFLICT_SECONDS", 0.001)
    return told


def test_a_conflict_is_tried_again(answers: list[int]) -> None:
    answers += [409, 409]
    assert STORE.create(PATH, b"x")
    answers += [409] * 99
    with pytest.raises(S3ClientError, match="as told"):
        STORE.create(f"{PATH}-2", b"x")


def test_a_write_whose_answer_was_lost_is_known_again(answers: list[int]) -> None:
    # Done, but refused when boto3 sends it again.
    answers += [412]
    assert STORE.create(PATH, b"x")
    found = STORE.read(PATH)
    assert found is not None
    answers += [412]
    assert STORE.replace(PATH, b"y", found.etag)


def test_a_store_that_says_it_knows_no_conditions_gets_none(answers: list[int]) -> None:
    answers += [501]
    assert STORE.create(PATH, b"x")
    answers += [501]
    assert STORE.lacks_conditions(PATH) == "ignores conditional writes"
