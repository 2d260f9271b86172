"""One client of S3 for all of Beam's operations there."""

from __future__ import annotations

import functools
import types
from typing import Any

from apache_beam.io.aws.clients.s3 import boto3_client

try:
    import boto3
    import botocore.config
except ImportError:
    boto3 = None

# Kept for the next call, so that several workers of one process find theirs open.
_CONNECTIONS = 64


def share_client() -> None:
    """Has Beam share a client where it makes a session, a client and a connection each time.

    That takes it 0.1 s before an operation begins.
    """
    if boto3 is not None:
        sessions = types.SimpleNamespace(client=_client)
        vars(boto3_client)["boto3"] = types.SimpleNamespace(
            session=types.SimpleNamespace(Session=lambda: sessions)
        )


@functools.cache
def _client(**settings: Any) -> Any:
    """One client of boto3 for each setting, which may be called from many threads."""
    config = botocore.config.Config(max_pool_connections=_CONNECTIONS)
    return boto3.session.Session().client(**settings, config=config)
