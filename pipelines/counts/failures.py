"""The failure of a step, on its way from a worker to the submitter as a file.

Runners pass on an exception as text, in which a file's name could pretend to be another error.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from pipelines import errors, storage
from pipelines.errors import PenguinError


@contextlib.contextmanager
def recorded(folder: str) -> Iterator[None]:
    """Writes down an error of the project that ends the body, and lets it pass.

    Args:
      folder: where to; one that is gone keeps no record.
    """
    try:
        yield
    except PenguinError as error:
        record = {"code": error.code, "message": str(error), "time": time.time()}
        with contextlib.suppress(*storage.ERRORS):
            path = storage.join(folder, f"{uuid.uuid4().hex}.json")
            storage.put_bytes(path, json.dumps(record).encode())
        raise


def read_failure(folder: str) -> PenguinError | None:
    """The last failure that was recorded; None where there is none or it can't be read."""
    found: list[tuple[float, PenguinError]] = []
    with contextlib.suppress(*storage.ERRORS, ValueError, KeyError, TypeError):
        for path in storage.list_files(folder):
            record = json.loads(storage.read_bytes(path))
            kind = errors.of_code(record["code"])
            found.append((float(record["time"]), kind(str(record["message"]))))
    return max(found, key=lambda each: each[0])[1] if found else None


class Recorded(beam.DoFn):
    """A step whose failure is recorded.

    Args:
      step: does the work.
      folder: for the record.
    """

    def __init__(self, step: beam.DoFn, folder: str) -> None:
        self._step = step
        self._folder = folder

    def default_label(self) -> str:
        """The step's own."""
        return str(self._step.default_label())

    def default_type_hints(self) -> Any:
        """The step's own, too."""
        return self._step.default_type_hints()

    def setup(self) -> None:
        with recorded(self._folder):
            self._step.setup()

    def start_bundle(self) -> None:
        with recorded(self._folder):
            self._step.start_bundle()

    def process(self, element: Any, *side_inputs: Any) -> Iterator[Any]:
        """What the step makes of one element."""
        with recorded(self._folder):
            yield from self._step.process(element, *side_inputs) or ()

    def finish_bundle(self) -> Iterator[Any]:
        """What the step emits at a bundle's end."""
        with recorded(self._folder):
            yield from self._step.finish_bundle() or ()

    def teardown(self) -> None:
        self._step.teardown()
