"""Writes pages. Imports are inside: the command silences the libraries before it loads them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

INDEX = "index.html"
_NO_FLAGS: Mapping[str, Any] = {}


def write(
    output: str,
    run_id: str | None,
    *,
    to: str | None = None,
    model: str | None = None,
    reach: Mapping[str, Any] = _NO_FLAGS,
) -> str:
    """Writes a run's report, and rewrites the index unless the page goes elsewhere.

    Args:
      output: the output root.
      run_id: a run of any status except failed; None means the published run that ended last.
      to: the page's path; None means ``reports/RUN.html`` below the root.
      model: the model whose card to read; None means the one that the manifest names.
      reach: the flags with which a command reaches the root, see `commands.reach_flags`.

    Returns:
      The page's path.

    Raises:
      UsageError: there is no such run.
      OutputError: a page can't be written.
    """
    from pipelines import storage
    from pipelines.report import data, index, page

    found = data.gather(storage.absolute(output), run_id, model, reach)
    # `gather` has checked that the run id is a file name, never a path.
    name = index.page_name(found.manifest.run_id)
    path = _put(to or storage.join(output, "reports", name), page.render(found))
    if to is None:
        write_index(output)
    return path


def write_index(output: str) -> str:
    """Writes the index over all runs, ``reports/index.html`` below the output root.

    Args:
      output: the output root.

    Returns:
      The page's path.

    Raises:
      UsageError: there are no runs.
      OutputError: the page can't be written.
    """
    from pipelines import storage
    from pipelines.report import index

    content = index.render(index.gather(storage.absolute(output)))
    return _put(storage.join(output, "reports", INDEX), content)


def _put(path: str, content: str) -> str:
    from pipelines import storage

    path = storage.absolute(path)
    with storage.writing(path):
        storage.of(path).make_folder(os.path.dirname(path))
    storage.write_bytes(path, content.encode())
    return path
