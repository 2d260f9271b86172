"""What object stores need beside Beam's filesystems: they answer slowly, but to many at once."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from apache_beam.io.aws.clients.s3 import boto3_client

try:
    import boto3
    import botocore.config
except ImportError:
    boto3 = None

# Each takes a connection and, while it opens a file, some memory; stores take thousands.
_CALLS_AT_ONCE = 16
# Kept for the next call, so that some workers of one process find theirs open.
_CONNECTIONS = 4 * _CALLS_AT_ONCE
_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@functools.cache
def _client(**settings: Any) -> Any:
    """One client of boto3 for each setting, which may be called from many threads."""
    config = botocore.config.Config(max_pool_connections=_CONNECTIONS)
    return boto3.session.Session().client(**settings, config=config)


# Beam makes a session, a client and a connection for each operation on S3: 0.1 s before it begins.
if boto3 is not None:
    sessions = types.SimpleNamespace(client=_client)
    vars(boto3_client)["boto3"] = types.SimpleNamespace(
        session=types.SimpleNamespace(Session=lambda: sessions)
    )


def for_each(work: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Does the same to many items, several at a time.

    Args:
      work: from one item to its result; called from several threads.
      items: the items.

    Returns:
      The results, in the items' order.

    Raises:
      Exception: whatever the work raised first; what has not begun by then is left.
    """
    with ThreadPoolExecutor(_CALLS_AT_ONCE, thread_name_prefix="store") as pool:
        try:
            return list(pool.map(work, items))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
