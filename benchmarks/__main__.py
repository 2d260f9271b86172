"""Ours, the bare loop and the peers over the same files, side by side: `python -m benchmarks`.

Every figure is of whole processes. A rate is the rows that a large file has more than a small one,
by the seconds that it takes longer; start-up is what is left of the small one's. All run in turns,
several rounds, and the best of each counts. These are ratios; the seconds depend on the machine.
"""

import argparse
import json
import math
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from benchmarks import chart, environments, generate, report
from benchmarks.contenders import CONTENDERS, REFERENCE
from benchmarks.meter import CommandError, Cost, measure
from benchmarks.verify import WrongError, check_rows, run, verify

# The small file is large enough for all workers to have something to do.
SMALLER = 8
# Of the seconds between the two files, less than this tells no rate.
FLOOR = 0.02
FORMATS = ("parquet", "csv")
LIMIT = 1800.0
IMPORTS = "import apache_beam, tensorflow"


def tell(line: str) -> None:
    """Progress, beside the table."""
    print(line, file=sys.stderr, flush=True)


def compare(
    form: str, names: Sequence[str], rows: int, repeats: int, folder: Path
) -> tuple[dict[str, report.Figures], dict[str, str]]:
    """The figures of all contenders with one format, and what went wrong with others."""
    tell(f"{form}: comparing answers")
    faults = verify(names, f".{form}", folder, LIMIT)
    sizes = {}
    for name in names:
        large = min(rows, CONTENDERS[name].most_rows)
        sizes[name] = (large, large // SMALLER)
    paths = {size: folder / f"{size}.{form}" for pair in sizes.values() for size in pair}
    for size, path in paths.items():
        generate.write(path, size)
    costs: dict[tuple[str, int], list[Cost]] = {}
    for number in range(repeats):
        for name in names:
            for size in sizes[name]:
                if name in faults:
                    continue
                try:
                    cost = run(CONTENDERS[name], paths[size], folder, LIMIT)
                    check_rows(CONTENDERS[name], folder, size)
                except (CommandError, WrongError) as error:
                    faults[name] = str(error)
                    continue
                costs.setdefault((name, size), []).append(cost)
                tell(f"{form} {number + 1}/{repeats} {name}, {size:,} rows: {cost.seconds:.2f} s")
    found = {
        name: report.figures(pair, costs[name, pair[0]], costs[name, pair[1]], FLOOR)
        for name, pair in sizes.items()
        if name not in faults
    }
    for path in paths.values():
        path.unlink()
    report.set_ratios(found)
    return found, faults


def start_up(folder: Path, repeats: int) -> float:
    """Scoring the samples against importing Beam and TensorFlow, in seconds per second."""
    samples = environments.PROJECT / "data" / "observations" / "*"
    imports = ["env", "TF_CPP_MIN_LOG_LEVEL=3", sys.executable, "-c", IMPORTS]
    job, alone = [], []
    for _ in range(repeats):
        job.append(run(CONTENDERS[REFERENCE], samples, folder, LIMIT))
        alone.append(measure(imports, folder / "log.txt", LIMIT))
    return report.best(job).seconds / report.best(alone).seconds


def listed(allowed: Sequence[str], text: str) -> list[str]:
    """Names between commas, in our order."""
    wanted = set(text.split(","))
    if unknown := wanted - set(allowed):
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}: not of {list(allowed)}")
    return [name for name in allowed if name in wanted]


def choose(names: Sequence[str]) -> list[str]:
    """Makes the environments that are needed; leaves out what cannot run here."""
    if "spark" in names and shutil.which("java") is None:
        tell("spark is left out: there is no java command; install Java 17 or 21")
        names = [name for name in names if name != "spark"]
    for name in names:
        environments.python_of(CONTENDERS[name].environment)
    return list(names)


def plain(value: Any) -> Any:
    """Figures as JSON can tell them: null for what is no number."""
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def stop(number: int, _: object) -> NoReturn:
    """Ends what was started before this ends."""
    raise SystemExit(128 + number)


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
    signal.signal(signal.SIGTERM, stop)
    names = choose(arguments.only)
    pinned = ", ".join(f"{name} {version}" for name, version in report.versions().items())
    print(f"{report.machine()}; {arguments.repeats} rounds; {pinned}\n\n{report.HEAD}", flush=True)
    written: dict[str, Any] = {"machine": report.machine(), "versions": report.versions()}
    written["formats"] = formats = {}
    failed = False
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for form in arguments.formats:
            found, faults = compare(form, names, arguments.rows, arguments.repeats, folder)
            formats[form] = plain(found)
            print("\n".join(report.table_rows(form, found)), flush=True)
            for fault in faults.values():
                tell(f"{form}: {fault}")
            failed = failed or bool(faults)
        if REFERENCE in names:
            written["start_up"] = start_up(folder, arguments.repeats)
            print(f"\nThe samples, whole job / {IMPORTS}: {written['start_up']:.2f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(written, indent=2) + "\n")
    if arguments.chart:
        chart.draw(written, arguments.chart)
    sys.exit(failed)


if __name__ == "__main__":
    main()
