"""Filesystem errors, and how to report them in one line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from apache_beam.io.aws.clients.s3.messages import S3ClientError
from apache_beam.io.filesystem import BeamIOError

from pipelines.errors import OutputError

# What a filesystem raises when it can't do what it is asked.
ERRORS = (OSError, BeamIOError, S3ClientError)


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """Turns a filesystem's refusal into a one-line error that names the place.

    Raises:
      OutputError: the body met a filesystem error.
    """
    try:
        yield
    except ERRORS as error:
        raise OutputError(f"cannot write {path}: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Returns a filesystem error's message, in one line without the path."""
    if isinstance(error, S3ClientError):
        return str(error.message)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).splitlines()[0] if str(error) else repr(error)


def may_pass(error: Exception) -> bool:
    """Whether an error is a filesystem's, such as a missing permission or a failing disk.

    A library's error about a file's content isn't, even if it is also an OSError.
    """
    return isinstance(error, ERRORS) and not (isinstance(error, OSError) and error.errno is None)
