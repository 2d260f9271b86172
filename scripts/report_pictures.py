"""Draws docs/report-*.png anew: a made-up run's report in light, in dark and on a phone.

Needs Chromium: ``python -m scripts.report_pictures``.
"""

import os
import tempfile
from pathlib import Path

from pipelines.report import __main__ as report
from tests.support import browser, reports

PROJECT = Path(__file__).parents[1]
# Name, width, dark, and the first and last section that are seen; the first with the page's head.
PICTURES = (
    ("light", 1040, False, "drift", "labels"),
    ("dark", 1040, True, "predictions", "features"),
    ("phone", 360, False, "drift", "drift"),
)
MARGIN = 16


def main() -> None:
    """Writes the three pictures."""
    program = browser.find()
    if program is None:
        raise SystemExit("needs Chromium; on Debian: apt install chromium")
    os.chdir(PROJECT)
    # As the default of --model names it.
    reports.MODEL = reports.MODEL.relative_to(PROJECT)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        reports.make_nights(root)
        page = Path(report.write(folder, None))
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
