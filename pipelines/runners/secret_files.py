"""Secrets that two processes of one user share, in files that nobody else may read."""

from __future__ import annotations

import os
import stat

from pipelines.errors import UsageError

_LEAST_LENGTH = 32


def read(path: str) -> str:
    """Reads a secret.

    Raises:
      UsageError: the file is missing, readable by others, or too short.
    """
    try:
        with open(path, encoding="ascii") as file:
            found = os.fstat(file.fileno())
            secret = file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not plain text"
        raise UsageError(f"secret file {path}: {reason}") from error
    if found.st_uid not in (os.geteuid(), 0) or stat.S_IMODE(found.st_mode) & 0o077:
        raise UsageError(f"secret file {path}: others may read it; chmod 600 it, and make another")
    if len(secret) < _LEAST_LENGTH:
        raise UsageError(
            f"secret file {path}: has fewer than {_LEAST_LENGTH} characters; "
            "`openssl rand -hex 32` makes a secret"
        )
    return secret
