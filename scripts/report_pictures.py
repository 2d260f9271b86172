"""Redraws docs/report-*.png: the report on a sample night in light and dark mode and on a phone.

Scores two nights of birds drawn from data/penguins.csv. On the second one, the caliper reads the
culmens 2 mm too long. Needs Chromium: ``python -m scripts.report_pictures``.
"""

import os
import tempfile
from pathlib import Path

import pandas as pd

from pipelines import report, score
from scripts import browser

PROJECT = Path(__file__).parents[1]
# Run id, birds, and by how many mm the culmens are measured too long.
NIGHTS = (("2026-11-23", 1450, 0.0), ("2026-11-24", 1700, 2.0))
# Name, width, dark mode, first and last section; the first section comes with the page's head.
PICTURES = (
    ("light", 1040, False, "drift", "labels"),
    ("dark", 1040, True, "predictions", "features"),
    ("phone", 360, False, "drift", "drift"),
)
MARGIN = 16


def write_night(path: Path, birds: pd.DataFrame, rows: int, too_long: float) -> None:
    """Writes a labelled night as a logger might: some values are missing or not numbers."""
    night = birds.sample(rows, replace=True, random_state=rows)
    lengths = (night["CulmenLength"] + too_long).map("{:.1f}".format)
    lengths.iloc[7::90] = ""
    lengths.iloc[23::120] = lengths.iloc[23::120].str.replace(".", ",")
    night.assign(CulmenLength=lengths).to_csv(path, index=False)


def write_report(root: Path) -> Path:
    """Scores the nights, and writes the report on the last one."""
    birds = pd.read_csv(PROJECT / "data/penguins.csv").dropna()
    for run_id, rows, too_long in NIGHTS:
        path = root / f"{run_id}.csv"
        write_night(path, birds, rows, too_long)
        flags = ["--input", str(path), "--output", str(root), "--run_id", run_id, "--no-progress"]
        if score.main(flags):
            raise SystemExit(f"cannot score {path}")
    return Path(report.write(str(root), None))


def main() -> None:
    """Writes the three pictures."""
    program = browser.find()
    if program is None:
        raise SystemExit("needs Chromium; on Debian: apt install chromium")
    os.chdir(PROJECT)  # the default of --model is relative
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        page = write_report(root)
        with browser.opened(program, root / "profile") as found:
            for name, width, dark, first, last in PICTURES:
                found.show(page, width=width, dark=dark)
                place = "document.querySelector('#{}').getBoundingClientRect().{}"
                top = 0 if first == "drift" else found.ask(place.format(first, "top")) - MARGIN
                bottom = found.ask(place.format(last, "bottom")) + MARGIN
                picture = found.picture(top=top, height=bottom - top)
                (PROJECT / f"docs/report-{name}.png").write_bytes(picture)
                print(f"docs/report-{name}.png {len(picture):,} bytes")


if __name__ == "__main__":
    main()
