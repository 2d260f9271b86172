"""Ours, bare loops and the peers over the same files, side by side: `python -m benchmarks`.

Every figure is of whole processes, see `benchmarks.rounds`. All run in turns, several rounds, and
the best of each counts. These are ratios; the seconds depend on the machine.
"""

import argparse
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import chart, report
from benchmarks.contenders import CONTENDERS
from benchmarks.rounds import FORMATS, choose, compare, tell, workspace


def listed(allowed: Sequence[str], text: str) -> list[str]:
    """Names between commas, in our order."""
    wanted = set(text.split(","))
    if unknown := wanted - set(allowed):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not of {list(allowed)}")
    return [name for name in allowed if name in wanted]


def plain(value: Any) -> Any:
    """Figures as JSON can tell them: null for what is no number."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000_000, help="of the large files")
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    parser.add_argument(
        "--only",
        type=lambda text: listed(list(CONTENDERS), text),
        default=list(CONTENDERS),
        metavar="NAME,...",
        help=f"some of {', '.join(CONTENDERS)}",
    )
    parser.add_argument(
        "--formats", type=lambda text: listed(FORMATS, text), default=FORMATS, help="parquet,csv"
    )
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    parser.add_argument("--chart", type=Path, help="a PNG to draw them into")
    arguments = parser.parse_args()
    names = choose(arguments.only)
    pinned = ", ".join(f"{name} {version}" for name, version in report.versions().items())
    print(f"{report.machine()}; {arguments.repeats} rounds; {pinned}\n\n{report.HEAD}", flush=True)
    written: dict[str, Any] = {"machine": report.machine(), "versions": report.versions()}
    written["formats"] = formats = {}
    failed = False
    with workspace(arguments.rows) as folder:
        for form in arguments.formats:
            found, faults = compare(form, names, arguments.rows, arguments.repeats, folder)
            formats[form] = plain(found)
            print("\n".join(report.table_rows(form, found)), flush=True)
            for fault in faults.values():
                tell(f"{form}: {fault}")
            failed = failed or bool(faults)
    if arguments.json:
        arguments.json.write_text(json.dumps(written, indent=2) + "\n")
    if arguments.chart:
        chart.draw(written, arguments.chart)
    sys.exit(failed)


if __name__ == "__main__":
    main()
