"""The failure of a step, passed from a worker to the submitter as a file.

Runners pass on an exception as text, in which a file's name could imitate another error.
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
    """Records a project error that ends the body, and re-raises it.

    Args:
      folder: where to record it; if the folder is gone, nothing is recorded.
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
    """The last recorded failure; None if there is none or it can't be read."""
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
        """The step's own label."""
        return str(self._step.default_label())

    def default_type_hints(self) -> Any:
        """The step's own type hints."""
        return self._step.default_type_hints()

    def setup(self) -> None:
        with recorded(self._folder):
            self._step.setup()

    def start_bundle(self) -> None:
        with recorded(self._folder):
            self._step.start_bundle()

    def process(self, element: Any, *side_inputs: Any) -> Iterator[Any]:
        """Returns the step's output for one element."""
        with recorded(self._folder):
            yield from self._step.process(element, *side_inputs) or ()

    def finish_bundle(self) -> Iterator[Any]:
        """Returns the step's output at the end of a bundle."""
        with recorded(self._folder):
            yield from self._step.finish_bundle() or ()

    def teardown(self) -> None:
        self._step.teardown()
