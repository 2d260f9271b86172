"""Redraws docs/model-card-*.png: the shipped model's card in light and dark mode and on a phone.

Needs Chromium: ``python -m scripts.card_pictures``.
"""

import tempfile
from pathlib import Path

from penguin_model import card_page
from penguin_model.card import read_verified
from scripts import browser

PROJECT = Path(__file__).parents[1]
# Name, width, dark mode, first and last section; the first section comes with the page's head.
PICTURES = (
    ("light", 1040, False, None, "#accuracy"),
    ("dark", 1040, True, "#features", "#training"),
    ("phone", 360, False, None, "#accuracy"),
)


def main() -> None:
    """Writes the three pictures."""
    program = browser.find()
    if program is None:
        raise SystemExit("needs Chromium; on Debian: apt install chromium")
    card = read_verified(str(PROJECT / "models/penguin-classifier.keras"))
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "card.html"
        page.write_text(card_page.render(card), encoding="utf-8")
        with browser.opened(program, Path(folder) / "profile") as found:
            for name, width, dark, first, last in PICTURES:
                found.show(page, width=width, dark=dark)
                picture = found.picture_of(first, last)
                (PROJECT / f"docs/model-card-{name}.png").write_bytes(picture)
                print(f"docs/model-card-{name}.png {len(picture):,} bytes")


if __name__ == "__main__":
    main()
