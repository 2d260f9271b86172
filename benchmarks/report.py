"""Figures of costs, and the table of figures."""

import math
import os
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.contenders import BASELINE, CONTENDERS
from benchmarks.environments import LOCKS, PROJECT
from benchmarks.meter import Cost

Figures = dict[str, Any]
HEAD = (
    "| input | | rows | M rows/s | of the copy's | start-up s | CPU s per M rows | peak MiB |\n"
    "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"
)


def best(costs: Sequence[Cost]) -> Cost:
    """The least of the times, since whatever else a machine does only adds; the most memory."""
    return Cost(
        min(cost.seconds for cost in costs),
        min(cost.cpu for cost in costs),
        max(cost.memory for cost in costs),
    )


def figures(
    rows: tuple[int, int], much: Sequence[Cost], little: Sequence[Cost], floor: float
) -> Figures:
    """What a contender's costs come to.

    Args:
      rows: of the large file and of the small one.
      much, little: the costs of both, one a round.
      floor: seconds between the two below which they tell no rate.

    Returns:
      The rate in rows a second and the CPU seconds of a million rows, both without start-up; the
      seconds of start-up; the peak memory with the large file; the costs themselves.
    """
    large, small = best(much), best(little)
    more = rows[0] - rows[1]
    cpu = (large.cpu - small.cpu) / more * 1e6
    seconds = large.seconds - small.seconds
    rate = more / seconds if seconds > floor else math.nan
    return {
        "rows": rows[0],
        "rate": rate,
        "start_up": small.seconds - rows[1] / rate,
        "cpu": cpu if cpu > 0 else math.nan,
        "memory": large.memory,
        "large": [cost._asdict() for cost in much],
        "small": [cost._asdict() for cost in little],
    }


def set_ratios(found: Mapping[str, Figures]) -> None:
    """Adds each one's ratio to the baseline, where that was measured."""
    baseline = found.get(BASELINE, {}).get("rate", math.nan)
    for one in found.values():
        one["ratio"] = one["rate"] / baseline


def table_rows(form: str, found: Mapping[str, Figures]) -> list[str]:
    """The rows of the Markdown table for one format."""
    lines: list[str] = []
    for name, one in found.items():
        cells = [
            "" if lines else form,
            CONTENDERS[name].title,
            f"{one['rows']:,}",
            *(_number(one["rate"] / 1e6), _number(one["ratio"]), f"{one['start_up']:.1f}"),
            *(f"{one['cpu']:.2f}", f"{one['memory']:,.0f}"),
        ]
        lines.append(f"| {' | '.join(cells)} |".replace("nan", "–"))
    return lines


def _number(value: float) -> str:
    """Two decimals, three where the first are nothing."""
    return f"{value:.2f}" if value >= 0.1 or math.isnan(value) else f"{value:.3f}"


def machine() -> str:
    """What ran this, as far as Linux tells."""
    try:
        info = Path("/proc/cpuinfo").read_text()
        model = next(line for line in info.splitlines() if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor()
    name = model.partition(":")[2].strip()
    return f"{name}, {os.cpu_count()} cores, Python {platform.python_version()}"


def versions() -> dict[str, str]:
    """The pinned versions of what is compared."""
    found = {}
    for lock, names in {
        PROJECT / "locks/requirements.lock": (
            *("apache-beam", "keras", "onnxruntime", "pyarrow", "tensorflow-cpu"),
        ),
        LOCKS / "spark.lock": ("pyspark",),
        LOCKS / "ray.lock": ("ray",),
    }.items():
        for name in names:
            pinned = re.search(rf"^{name}(?:\[.*?\])?==(\S+)", lock.read_text(), re.MULTILINE)
            if pinned:
                found[name] = pinned.group(1)
    return found
