"""Redraws docs/report-*.png and docs/index-*.png: a held night, and all runs of its week.

Scores the first days of the week in `scripts.sample_week`, of which Thursday is held. Needs
Chromium: ``python -m scripts.report_pictures``.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from pipelines import score
from scripts import browser
from scripts.sample_week import DAYS, FAULTY, write_week

PROJECT = Path(__file__).parents[1]
# Where the pictures say that it happens.
STATION = "/srv/penguins"
HELD = 4
PHONE, DESKTOP = 390, 1040
END = "body > :last-child"
# Name, page, width, dark mode, first and last element; None is the top of the page.
PICTURES = (
    ("report-light", FAULTY, DESKTOP, False, None, "#trust"),
    ("report-dark", FAULTY, DESKTOP, True, "#predictions", "#features"),
    ("report-phone", FAULTY, PHONE, False, None, "#next"),
    ("index-light", "index", DESKTOP, False, None, END),
    ("index-dark", "index", DESKTOP, True, None, END),
    ("index-phone", "index", PHONE, False, None, END),
)


def write_pages(root: Path) -> Path:
    """Scores the nights up to the one after the held one; returns the folder of the pages."""
    write_week(root / "week")
    (root / "incoming").mkdir()
    flags = ["--input", str(root / "incoming"), "--output", str(root / "out"), "--new_only"]
    for day in DAYS[: DAYS.index(FAULTY) + 2]:
        shutil.copy(root / "week" / f"{day}.csv", root / "incoming")
        night = ["--run_id", day, "--max_drift", "0.2", "--report", "--no-progress"]
        if score.main([*flags, *night]) != (HELD if day == FAULTY else 0):
            raise SystemExit(f"{day} had another outcome than in docs/nightly.md")
    pages = root / "out/reports"
    for page in pages.iterdir():
        page.write_text(page.read_text().replace(str(root), STATION))
    return pages


def main() -> None:
    """Writes the pictures."""
    program = browser.find()
    if program is None:
        raise SystemExit("needs Chromium; on Debian: apt install chromium")
    os.chdir(PROJECT)  # the default of --model is relative
    # So that the pages name the commands by their short names.
    os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pages = write_pages(root)
        with browser.opened(program, root / "profile") as found:
            for name, page, width, dark, first, last in PICTURES:
                found.show(pages / f"{page}.html", width=width, dark=dark)
                picture = found.picture_of(first, last)
                (PROJECT / f"docs/{name}.png").write_bytes(picture)
                print(f"docs/{name}.png {len(picture):,} bytes")


if __name__ == "__main__":
    main()
