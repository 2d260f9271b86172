"""The S3 servers that the storage tests use."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.stores import servers
from tests.support.stores.servers import Server


@pytest.fixture(scope="module", params=["moto", "versitygw", "s3rver"])
def server(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Iterator[Server]:
    """Starts each server in turn; one that isn't installed is skipped."""
    reason = servers.why_not(request.param)
    if reason:
        pytest.skip(reason)
    with servers.start(request.param, tmp_path_factory.mktemp("store")) as started:
        yield started
