"""Writes a report. Imports are inside: the command silences the libraries before it loads them."""

from __future__ import annotations

import os


def write(
    output: str, run_id: str | None, *, to: str | None = None, model: str | None = None
) -> str:
    """Writes a run's report.

    Args:
      output: the output root.
      run_id: a published or held run; None means the published run that ended last.
      to: the page's path; None means ``reports/RUN.html`` below the root.
      model: the model whose card to read; None means the one that the manifest names.

    Returns:
      The page's path.

    Raises:
      UsageError: there is no such run.
      OutputError: the page can't be written.
    """
    from pipelines import storage
    from pipelines.report import data, page

    found = data.gather(storage.absolute(output), run_id, model)
    # `gather` has checked that the run id is a file name, never a path.
    name = f"{found.manifest.run_id}.html"
    path = storage.absolute(to or storage.join(output, "reports", name))
    with storage.writing(path):
        storage.of(path).make_folder(os.path.dirname(path))
    storage.write_bytes(path, page.render(found).encode())
    return path
