"""The goals of throughput, each with its ratio: `python -m benchmarks.goals`.

Two workers on each engine and the copy without a model, in turns on the same files, several
rounds. The ratio is that of the best rates; the rounds' own show how much the machine varies.
"""

import argparse
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from benchmarks import report
from benchmarks.contenders import CONTENDERS
from benchmarks.rounds import FORMATS, choose, compare, tell, workspace


class Goal(NamedTuple):
    """One contender's rate is at least some times another's."""

    form: str
    name: str
    other: str
    least: float


GOALS = (
    Goal("parquet", "onnx-two-workers", "two-workers", 1.3),
    Goal("parquet", "onnx-two-workers", "copy", 1.0),
    Goal("csv", "onnx-two-workers", "copy", 0.9),
)
HEAD = (
    "| input | rate | M rows/s | of | M rows/s | ratio | of CPU | by round | goal | |\n"
    "| --- | --- | ---: | --- | ---: | ---: | ---: | --- | ---: | --- |"
)


def by_round(one: report.Figures, other: report.Figures) -> str:
    """The ratio of both rates in each round."""
    seconds = (
        [large["seconds"] - small["seconds"] for large, small in zip(*pair, strict=True)]
        for pair in ((one["large"], one["small"]), (other["large"], other["small"]))
    )
    return ", ".join(f"{theirs / ours:.2f}" for ours, theirs in zip(*seconds, strict=True))


def table_rows(goals: Sequence[Goal], found: Mapping[str, report.Figures]) -> list[str]:
    """The rows of the Markdown table for the goals of one format."""
    lines = []
    for goal in goals:
        one, other = found[goal.name], found[goal.other]
        ratio = one["rate"] / other["rate"]
        cells = [
            *(goal.form, CONTENDERS[goal.name].title, f"{one['rate'] / 1e6:.2f}"),
            *(CONTENDERS[goal.other].title, f"{other['rate'] / 1e6:.2f}"),
            *(f"{ratio:.2f}", f"{one['cpu'] / other['cpu']:.2f}", by_round(one, other)),
            *(f"{goal.least:.1f}", "met" if ratio >= goal.least else "missed"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Measures and prints; ends with 1 if a contender failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.goals", description=__doc__)
    parser.add_argument("--rows", type=int, default=32_000_000, help="of the large files")
    parser.add_argument("--repeats", type=int, default=3, help="rounds")
    arguments = parser.parse_args()
    wanted = {name for goal in GOALS for name in (goal.name, goal.other)}
    names = choose([name for name in CONTENDERS if name in wanted])
    print(f"{report.machine()}; {arguments.rows:,} rows\n\n{HEAD}", flush=True)
    faults: dict[str, str] = {}
    with workspace(arguments.rows) as folder:
        for form in FORMATS:
            goals = [goal for goal in GOALS if goal.form == form]
            found, faults = compare(form, names, arguments.rows, arguments.repeats, folder)
            for fault in faults.values():
                tell(f"{form}: {fault}")
            known = [goal for goal in goals if not {goal.name, goal.other} & faults.keys()]
            print("\n".join(table_rows(known, found)), flush=True)
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
