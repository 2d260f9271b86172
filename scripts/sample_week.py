"""Writes a week of made-up nights for docs/nightly.md: ``python -m scripts.sample_week FOLDER``.

Each night is drawn from the birds of data/penguins.csv. On Thursday, the caliper reads the culmens
4 mm too long.
"""

import sys
from pathlib import Path

import pandas as pd

PROJECT = Path(__file__).parents[1]
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
FAULTY = "thursday"
TOO_LONG_MM = 4.0
FEWEST_BIRDS = 400


def write_week(folder: Path) -> None:
    """Writes a CSV file for each day, without the species."""
    birds = pd.read_csv(PROJECT / "data/penguins.csv").dropna().drop(columns="Species")
    folder.mkdir(parents=True, exist_ok=True)
    for number, day in enumerate(DAYS):
        night = birds.sample(FEWEST_BIRDS + 10 * number, replace=True, random_state=number)
        if day == FAULTY:
            night["CulmenLength"] = (night["CulmenLength"] + TOO_LONG_MM).round(1)
        night.insert(0, "observation_id", [f"{day[:3]}-{n:03}" for n in range(len(night))])
        night.to_csv(folder / f"{day}.csv", index=False)


if __name__ == "__main__":
    write_week(Path(sys.argv[1]))
