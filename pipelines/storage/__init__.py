"""Files and object stores: whatever the job reads, lists or writes.

Takes paths of any filesystem that Beam knows; returns bytes, listings, versions and the `Store`
that holds a path (`of`). It never imports a step of the pipeline, the layout of runs, or a runner.
"""

from pipelines.storage.errors import ERRORS, may_pass, reason_of, writing
from pipelines.storage.files import (
    absolute,
    exists,
    for_each,
    join,
    list_files,
    local_copy,
    local_path,
    make_folder,
    match,
    of,
    open_input,
    open_output,
    put_bytes,
    read_bytes,
    read_version,
    real_path,
    use_options,
    write_bytes,
)
from pipelines.storage.store import Exclusions, FoundFile, Matches, Store, Version

__all__ = [
    "ERRORS",
    "Exclusions",
    "FoundFile",
    "Matches",
    "Store",
    "Version",
    "absolute",
    "exists",
    "for_each",
    "join",
    "list_files",
    "local_copy",
    "local_path",
    "make_folder",
    "match",
    "may_pass",
    "of",
    "open_input",
    "open_output",
    "put_bytes",
    "read_bytes",
    "read_version",
    "real_path",
    "reason_of",
    "use_options",
    "write_bytes",
    "writing",
]
