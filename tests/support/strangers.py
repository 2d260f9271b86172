"""Unauthorized requests to a server: without a key or secret, or with a wrong one."""

import contextlib
import http.client
import ssl
import urllib.request
from collections.abc import Mapping

import grpc
from apache_beam.portability.api import beam_fn_api_pb2, beam_fn_api_pb2_grpc

SECRET = "s" * 40


def ask(address: str, params: Mapping[str, str], seconds: float = 60) -> grpc.StatusCode:
    """How a worker pool answers a request for a worker."""
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(timeout=seconds)
        stub = beam_fn_api_pb2_grpc.BeamFnExternalWorkerPoolStub(channel)
        request = beam_fn_api_pb2.StartWorkerRequest(worker_id="1-1", params=params)
        request.control_endpoint.url = "127.0.0.1:1"
        try:
            stub.StartWorker(request, timeout=seconds)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


KINDS = [{}, {"secret": ""}, {"secret": SECRET[:-1]}, {"secret": "é"}, {"token": SECRET}]


def refuses(port: int) -> bool:
    """Whether a server sends no answer to a client without a key or secret."""
    for scheme in ("http", "https"):
        context = ssl._create_unverified_context() if scheme == "https" else None
        url = f"{scheme}://127.0.0.1:{port}/jobs/overview"
        with contextlib.suppress(OSError, http.client.HTTPException):
            urllib.request.urlopen(url, timeout=2, context=context).read()
            return False
    with contextlib.suppress(grpc.FutureTimeoutError):
        return ask(f"127.0.0.1:{port}", {}, seconds=1) == grpc.StatusCode.PERMISSION_DENIED
    return True
