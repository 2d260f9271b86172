"""Finds the ports that processes listen on, from the kernel's tables (Linux)."""

import contextlib
import ipaddress
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
_LISTEN = "0A"


class Listener(NamedTuple):
    """A socket that accepts connections."""

    address: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return ipaddress.ip_address(self.address).is_loopback


def descendants(root: int) -> set[int]:
    """A process and all of its running descendants."""
    found, parents = {root}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            text = path.read_text()
            # The name may contain spaces and parentheses.
            parents[int(path.parent.name)] = int(text.rpartition(")")[2].split()[1])
    while added := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= added
    return found


def listeners(pids: set[int]) -> set[Listener]:
    """The sockets that any of the processes listens on."""
    inodes = _all_listeners()
    found = set()
    for pid in pids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                target = str(link.readlink())
                if target.startswith("socket:["):
                    found.add(inodes.get(target[8:-1]))
    return {each for each in found if each}


@contextlib.contextmanager
def watched(root: int, into: set[Listener]) -> Iterator[None]:
    """Collects every listener of a process and its descendants while the body runs."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            into.update(listeners(descendants(root)))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)


def _all_listeners() -> dict[str, Listener]:
    found = {}
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTEN:
                    host, _, port = fields[1].partition(":")
                    found[fields[9]] = Listener(_address(host), int(port, 16))
    return found


def _address(text: str) -> str:
    # Words of 32 bits, each in the machine's byte order.
    words = [int(text[place : place + 8], 16) for place in range(0, len(text), 8)]
    raw = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    if len(raw) == 4:
        return socket.inet_ntop(socket.AF_INET, raw)
    address = ipaddress.IPv6Address(raw)
    return str(address.ipv4_mapped or address)
