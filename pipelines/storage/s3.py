"""S3: Beam's readers and writers on one shared client, and the operations that Beam lacks."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterable, Iterator
from copy import copy as copy_object
from typing import Any

from apache_beam.io.aws import s3io
from apache_beam.io.aws.clients.s3 import boto3_client
from apache_beam.io.aws.clients.s3.messages import S3ClientError
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import S3Options

try:
    import boto3
    import botocore.config
    import botocore.exceptions
except ImportError:
    boto3 = None

# Beam's options, all of which its own client accepts.
_OPTIONS = (
    "s3_access_key_id",
    "s3_secret_access_key",
    "s3_session_token",
    "s3_endpoint_url",
    "s3_region_name",
    "s3_api_version",
    "s3_verify",
    "s3_disable_ssl",
)

# Kept open for the next call: the workers of one process share them.
_CONNECTIONS = 64
# S3's answer while another request writes or deletes the object; a retry is expected.
_CONFLICT = 409
_CONFLICT_TRIES = 6
_CONFLICT_SECONDS = 0.05
_MOST_DELETED_AT_ONCE = 1000


def open_input(path: str) -> Any:
    """Opens an object for random reads, each of which fetches only what it asks for.

    Raises:
      S3ClientError: the store refused, as in all functions here.
    """
    # Beam's buffer would fetch 16 MiB at each position that is read.
    return s3io.S3IO(client=_beam_client(path)).open(path, "rb").detach()


def open_output(path: str) -> Any:
    """Opens a new object for writing, in parts; it appears when the file is closed."""
    return s3io.S3IO(client=_beam_client(path)).open(path, "wb")


def find(path: str) -> tuple[int, float]:
    """Returns an object's size in bytes and its last modification (seconds since the epoch)."""
    bucket, key = s3io.parse_s3_path(path)
    with _errors():
        answer = _of(path).head_object(Bucket=bucket, Key=key)
        return answer["ContentLength"], answer["LastModified"].timestamp()


def list_objects(folder: str) -> list[tuple[str, int, float]]:
    """Lists all objects below a folder.

    Returns:
      Path, bytes and last modification (seconds since the epoch, by the store's clock) of each,
      sorted by path.
    """
    bucket, prefix = s3io.parse_s3_path(f"{folder.rstrip('/')}/", object_optional=True)
    with _errors():
        pages = _of(folder).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(
            (f"s3://{bucket}/{found['Key']}", found["Size"], found["LastModified"].timestamp())
            for page in pages
            for found in page.get("Contents", [])
        )


def read(path: str) -> tuple[bytes, str] | None:
    """Reads an object's content and etag; None if the object or its bucket doesn't exist."""
    bucket, key = s3io.parse_s3_path(path)
    try:
        with _errors():
            answer = _of(path).get_object(Bucket=bucket, Key=key)
            return answer["Body"].read(), answer["ETag"]
    except S3ClientError as error:
        if error.code == 404:
            return None
        raise


def put(path: str, content: bytes, *, absent: bool = False, etag: str | None = None) -> bool:
    """Writes an object, under a condition if one is given.

    Args:
      path: the object's.
      content: its new content.
      absent: write only if no object has this name.
      etag: write only if the object still has this etag.

    Returns:
      Whether it was written; False if the condition isn't met. Some stores ignore conditions.
    """
    bucket, key = s3io.parse_s3_path(path)
    condition = {"IfNoneMatch": "*"} if absent else {"IfMatch": etag} if etag else {}
    for attempt in range(_CONFLICT_TRIES):
        try:
            with _errors():
                _of(path).put_object(Bucket=bucket, Key=key, Body=content, **condition)
        except S3ClientError as error:
            if condition and error.code == 501:
                # The store says that it doesn't support conditions.
                condition = {}
            elif condition and (error.code == 412 or (error.code == 404 and etag)):
                return False
            elif error.code != _CONFLICT or attempt == _CONFLICT_TRIES - 1:
                raise
            else:
                time.sleep(_CONFLICT_SECONDS * 2**attempt)
        else:
            return True
    raise AssertionError


def copy(source: str, target: str) -> None:
    """Copies an object of up to 5 GiB within the store, over any older target."""
    bucket, key = s3io.parse_s3_path(target)
    source_bucket, source_key = s3io.parse_s3_path(source)
    with _errors():
        _of(target).copy_object(
            Bucket=bucket, Key=key, CopySource={"Bucket": source_bucket, "Key": source_key}
        )


def delete(paths: Iterable[str]) -> None:
    """Deletes objects of one bucket, which may be absent."""
    parsed = [s3io.parse_s3_path(path) for path in paths]
    for first in range(0, len(parsed), _MOST_DELETED_AT_ONCE):
        some = parsed[first : first + _MOST_DELETED_AT_ONCE]
        bucket = some[0][0]
        keys = [{"Key": key} for _, key in some]
        with _errors():
            answer = _of(f"s3://{bucket}").delete_objects(
                Bucket=bucket, Delete={"Objects": keys, "Quiet": True}
            )
        for failed in answer.get("Errors", []):
            raise S3ClientError(f"{failed['Key']}: {failed.get('Message')}", failed.get("Code"))


def remove(path: str, etag: str) -> None:
    """Deletes an object if it still has an etag; some stores ignore the condition."""
    bucket, key = s3io.parse_s3_path(path)
    condition = {"IfMatch": etag}
    try:
        with _errors():
            _of(path).delete_object(Bucket=bucket, Key=key, **condition)
    except S3ClientError as error:
        if error.code == 501:
            # The store says that it doesn't support conditions.
            delete([path])
        elif error.code not in (404, 412):
            raise


def _of(path: str) -> Any:
    """Returns boto3's shared client for a path, with the job's ``--s3_*`` options."""
    return _client(**_settings(path)).client


def _beam_client(path: str) -> boto3_client.Client:
    """Returns Beam's wrapper of the shared client: one for each file, as it keeps a position."""
    return copy_object(_client(**_settings(path)))


def _settings(path: str) -> dict[str, Any]:
    # Beam 2.77 has no other way to get the options that it gave the filesystem.
    options = FileSystems.get_filesystem(path)._options.view_as(S3Options)
    return {name: getattr(options, name) for name in _OPTIONS}


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Turns boto3's errors into Beam's, which the rest of the job handles."""
    if boto3 is None:
        raise S3ClientError("boto3 is missing; install it with `pip install '.[aws]'`")
    try:
        yield
    except botocore.exceptions.ClientError as error:
        code = boto3_client.get_http_error_code(error)
        raise S3ClientError(str(error), code) from error
    except botocore.exceptions.BotoCoreError as error:
        raise S3ClientError(str(error)) from error


@functools.cache
def _client(**settings: Any) -> boto3_client.Client:
    """Makes one client for each set of options; many threads may call it.

    Beam itself makes a session, a client and a connection for each operation, which takes 0.1 s
    before the operation begins.
    """
    made = boto3_client.Client(settings)
    made.client = boto3.session.Session().client(
        service_name="s3",
        region_name=settings["s3_region_name"],
        api_version=settings["s3_api_version"],
        use_ssl=not settings["s3_disable_ssl"],
        verify=settings["s3_verify"],
        endpoint_url=settings["s3_endpoint_url"],
        aws_access_key_id=settings["s3_access_key_id"],
        aws_secret_access_key=settings["s3_secret_access_key"],
        aws_session_token=settings["s3_session_token"],
        config=botocore.config.Config(max_pool_connections=_CONNECTIONS),
    )
    return made
