"""Compares what the contenders answer with what ours does: `python -m benchmarks.verify`.

The same species and probabilities for a few thousand rows, sorted by what tells a row, and of ours
with another engine or more workers also how far to trust them. Where two classes are as good as
equal, their order may differ: a matrix of another height is multiplied in another order.
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as pa_dataset

from benchmarks import generate
from benchmarks.contenders import CONTENDERS, REFERENCE, Contender
from benchmarks.meter import CommandError, Cost, measure
from benchmarks.peers.common import ANSWERS, PROBABILITIES

ROWS = 5_000
TOLERANCE = 1e-5
# What ours says about a row that a peer can't know without the card.
TRUST = ["novelty", "out_of_distribution", "species_set"]


class WrongError(Exception):
    """A contender's output is not what it should be."""


def run(contender: Contender, path: Path, folder: Path, limit: float) -> Cost:
    """Scores a file into `folder / "output"`, whatever was there.

    Raises:
      CommandError: it failed.
    """
    output = folder / "output"
    if output.is_dir():
        shutil.rmtree(output)
    output.unlink(missing_ok=True)
    command = contender.command(str(path), str(output))
    return measure(command, folder / "log.txt", limit)


def check_rows(contender: Contender, folder: Path, rows: int) -> None:
    """Refuses an output that does not have each row once.

    Raises:
      WrongError: it has not.
    """
    found = pa_dataset.dataset(contender.predictions(str(folder / "output")), format="parquet")
    keys = np.sort(found.to_table(columns=[contender.key]).column(0).to_numpy())
    if not np.array_equal(keys, np.arange(rows)):
        raise WrongError(f"{contender.title}: {len(keys)} rows, not {rows} different ones")


def load(contender: Contender, folder: Path) -> pa.Table:
    """The answers, in the order of the rows; ours has more columns than a peer."""
    found = pa_dataset.dataset(contender.predictions(str(folder / "output")), format="parquet")
    columns = [contender.key, *ANSWERS, *(TRUST if contender.is_ours else [])]
    table = found.to_table(columns=columns).sort_by(contender.key).drop([contender.key])
    texts = (field.name for field in table.schema if pa.types.is_dictionary(field.type))
    for name in texts:
        column = table.column(name).cast(pa.string())
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def compare(title: str, found: pa.Table, wanted: pa.Table) -> None:
    """Refuses answers that are not ours.

    Raises:
      WrongError: a value differs, of a number beyond the tolerance.
    """
    ordered = np.sort(np.stack([wanted[name].to_numpy() for name in PROBABILITIES]), axis=0)
    clear = ordered[-1] - ordered[-2] > 2 * TOLERANCE
    for name in found.column_names:
        ours, theirs = wanted[name].to_numpy(), found[name].to_numpy()
        if ours.dtype.kind == "f":
            difference = np.abs(theirs - ours).max()
            if not difference < TOLERANCE:
                raise WrongError(f"{title}: {name} differs by up to {difference}")
        elif differs := int((theirs != ours)[clear].sum()):
            raise WrongError(f"{title}: {name} differs in {differs} of {len(ours)} rows")


def verify(names: Iterable[str], suffix: str, folder: Path, limit: float) -> dict[str, str]:
    """Runs contenders over one small file; the faults, by contender."""
    path = folder / f"verify{suffix}"
    generate.write(path, ROWS)
    reference = CONTENDERS[REFERENCE]
    run(reference, path, folder, limit)
    check_rows(reference, folder, ROWS)
    wanted = load(reference, folder)
    faults = {}
    for name in names:
        contender = CONTENDERS[name]
        try:
            run(contender, path, folder, limit)
            check_rows(contender, folder, ROWS)
            if contender.scores:
                compare(contender.title, load(contender, folder), wanted)
        except (CommandError, WrongError) as error:
            faults[name] = str(error)
    return faults


def main() -> None:
    """Verifies all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*CONTENDERS, []], metavar="NAME")
    names = parser.parse_args().names or list(CONTENDERS)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for suffix in (".parquet", ".csv"):
            faults = verify(names, suffix, Path(folder), limit=600)
            failed = failed or bool(faults)
            for name in names:
                good = "as ours" if CONTENDERS[name].scores else "the same rows"
                print(f"{suffix[1:]:8} {name:14} {faults.get(name, good)}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
