"""Makes Beam's servers for Flink listen where only their own user reaches them.

Beam's job server, and what serves workers in each TaskManager, listen on all addresses, whatever
host they are given, and ask nobody who they are: whoever reaches them runs commands as their user
and reads that user's files. The same jar has a factory for Unix sockets in `java.io.tmpdir`, which
no option chooses. Here the two methods that choose are changed to take it. The jar is pinned by its
checksum, so these bytes are known; others are refused.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

CLASS = "org/apache/beam/sdk/fn/server/ServerFactory.class"
# What the job server's own manifest says where its servers are on Unix sockets.
ATTRIBUTE = "Penguin-Sockets: unix"

# `return new EpollDomainSocket(null)`, as `createEpollDomainSocket` has it.
_UNIX = bytes.fromhex("bb000f 59 01 b70045 b0")
# `return new InetSocketAddressServerFactory(UrlFactory.createDefault(), …, null)` of
# `createDefault` and `createWithPortSupplier`.
_TCP = (
    bytes.fromhex("bb0012 59 b8002c 01 b7002f b0"),
    bytes.fromhex("bb0012 59 b8002c 2a 01 b7003a b0"),
)


class UnknownJarError(Exception):
    """The jar is not the one that this was written for."""


def use_unix_sockets(jar: Path) -> None:
    """Changes `beam-sdks-java-core` in place.

    Raises:
      UnknownJarError: it has other code.
    """
    changed = jar.with_suffix(".changed")
    with zipfile.ZipFile(jar) as old, zipfile.ZipFile(changed, "w") as new:
        entries = {entry.filename: entry for entry in old.infolist()}
        if CLASS not in entries:
            raise UnknownJarError(f"{jar.name} has no {CLASS}")
        for name, entry in entries.items():
            content = old.read(entry)
            new.writestr(entry, _change(content) if name == CLASS else content)
    changed.replace(jar)


def _change(code: bytes) -> bytes:
    if code.count(_UNIX) != 1:
        raise UnknownJarError(f"{CLASS} has no Unix sockets")
    for tcp in _TCP:
        if code.count(tcp) != 1:
            raise UnknownJarError(f"{CLASS} has other code")
        # What is shorter follows instructions that do nothing: a method keeps its length.
        code = code.replace(tcp, _UNIX.rjust(len(tcp), b"\0"))
    return code
