"""Blocks network access in this Python: any address beyond this machine raises immediately.

``conftest.py`` loads this file into the test process and puts its folder on ``PYTHONPATH``, so that
every Python started by a test loads it too. It covers Python's own sockets, but not those of C++
code (gRPC, TensorFlow), nor Pythons started with ``-I`` or an empty environment.
"""

import ipaddress
import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from typing import Any

SWITCH = "PENGUIN_TESTS_OFFLINE"


class NetworkCutOffError(RuntimeError):
    """Raised for a remote address; not an OSError, which network error handling would hide."""


def is_local(host: object) -> bool:
    """True for loopback and wildcard addresses; any other name would ask a name server."""
    if isinstance(host, bytes):
        host = host.decode()
    if host in (None, "", "localhost"):
        return True
    try:
        address = ipaddress.ip_address(str(host).partition("%")[0])
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_loopback or address.is_unspecified


def refuse_remote(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook, with a switch because hooks can't be removed."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        target = args[1]
        # An address that isn't a tuple belongs to a Unix socket; None, to a connected socket.
        if not isinstance(target, tuple):
            return
        host = target[0]
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = args[0]
    else:
        return
    if SWITCH in os.environ and not is_local(host):
        raise NetworkCutOffError(f"the tests run with the network cut off: {event} {host!r}")


sys.addaudithook(refuse_remote)

if __name__ == "sitecustomize":
    # This file shadows any sitecustomize of the interpreter (Debian has one), so run that now.
    here = os.path.dirname(os.path.abspath(__file__))
    others = [folder for folder in sys.path if os.path.abspath(folder) != here]
    spec = PathFinder.find_spec("sitecustomize", others)
    if spec and spec.loader:
        spec.loader.exec_module(module_from_spec(spec))
