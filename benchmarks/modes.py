"""Ways to run the job on one machine: `python -m benchmarks.modes --modes in_memory prism`.

Scores the same files with workers that are threads in memory, with workers that Beam reaches by
gRPC (`multi_threading`), which the command refuses since those streams lose data, and on Prism,
which `make prism` builds. Whole processes, in turns; the rate is that of the rows which the large
run has more than the small one.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import generate
from benchmarks.meter import Cost, measure

PRISM = "prism"
MODES = ("in_memory", "multi_threading", PRISM)
SMALL_ROWS = 10_000
LIMIT = 1800.0


def run(mode: str, source: Path, output: Path) -> None:
    """Runs the job in one mode, past the refusal of the command."""
    from apache_beam.options.pipeline_options import DirectOptions

    from penguin_model import cli
    from pipelines import job

    cli.quiet_libraries(verbose=False)
    flags = ["--input", str(source), "--output", str(output), "--no-progress"]
    if mode == PRISM:
        flags.append("--runner=PrismRunner")
    prepared = job.prepare(job.parse_arguments("modes", flags), flags)
    if mode != PRISM:
        prepared.submission.options.view_as(DirectOptions).direct_running_mode = mode
    manifest, _ = job.execute(prepared)
    print(manifest.totals.rows_scored)


def cost_of(mode: str, source: Path, rows: int) -> Cost:
    """What a whole process, with all that it starts, costs."""
    with tempfile.TemporaryDirectory() as folder:
        log, output = Path(folder, "log"), str(Path(folder, "output"))
        command = [sys.executable, "-m", "benchmarks.modes", "--run", mode, str(source), output]
        cost = measure(command, log, LIMIT)
        scored = log.read_text().split()[-1]
    if int(scored) != rows:
        raise SystemExit(f"{mode}: {scored} of {rows} rows were scored")
    return cost


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=30_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES[:2], metavar="MODE")
    parser.add_argument("--run", nargs=3, metavar=("MODE", "INPUT", "OUTPUT"))
    given = parser.parse_args()
    if given.run:
        mode, source, output = given.run
        run(mode, Path(source), Path(output))
        return
    print("| input | mode | whole run, s | CPU s | M rows/s beyond the small run | ratio |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("parquet", "csv"):
            files = {rows: Path(folder, f"{rows}.{suffix}") for rows in (SMALL_ROWS, given.rows)}
            for rows, path in files.items():
                generate.write(path, rows)
            taken: dict[tuple[str, int], list[Cost]]
            taken = {(mode, rows): [] for mode in given.modes for rows in files}
            for _ in range(given.repeats):
                for (mode, rows), costs in taken.items():
                    costs.append(cost_of(mode, files[rows], rows))
            rates = {}
            for mode in given.modes:
                small, large = (min(cost.seconds for cost in taken[mode, rows]) for rows in files)
                cpu = min(cost.cpu for cost in taken[mode, given.rows])
                rates[mode] = (given.rows - SMALL_ROWS) / (large - small) / 1e6
                ratio = rates[mode] / rates[given.modes[0]]
                print(
                    f"| {suffix} | {mode} | {large:.1f} | {cpu:.1f} | {rates[mode]:.2f} "
                    f"| {ratio:.2f} |"
                )


if __name__ == "__main__":
    main()
