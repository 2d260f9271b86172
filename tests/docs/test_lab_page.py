"""docs/lab.md: its commands run, and print what the page shows."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from tests.support.running import PROJECT, beside_progress

PAGE = (PROJECT / "docs/lab.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


def commands() -> list[tuple[str, str]]:
    """All commands of the page with the output that it shows."""
    parts = [part for block in blocks("console") for part in re.split(r"^\$ ", block, flags=re.M)]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts if part]


def stable(text: str) -> list[str]:
    """The lines without what differs between machines: decimals of a float, versions, spaces."""
    text = re.sub(r"(\d+\.)+\d+", "#", text).replace("-#", "#")
    return [" ".join(line.split()) for line in text.splitlines()]


def assert_shown(shown: str, printed: str) -> None:
    """The shown lines are printed in this order; what is left out between them has a … there."""
    if not shown.strip():
        return
    wanted = [line for line in stable(shown) if line]
    got = "".join(f"{line}\n" for line in stable(printed) if line)
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…" else re.escape(line).replace("…", ".*") + r"\n"
        for line in wanted
    )
    assert re.search(rf"^{pattern}", got, re.M), f"{shown}\nis not in\n{printed}"


def test_the_page_walks_through_every_cell() -> None:
    titles = re.findall(r"^## (.*)", PAGE, re.M)
    assert titles == [
        "Load and explore", "The labels", "A sample", "Normalize", "Split, then oversample",
        "Define the network", "How training works", "Train", "Loss curves", "Look at the weights",
        "Evaluate", "Save and load", "One new bird", "And then every night",
    ]  # fmt: skip


def test_what_the_page_says_of_the_labs_split() -> None:
    birds = np.tile(np.arange(342), 4)
    training, test = train_test_split(birds, test_size=0.3, random_state=0)
    assert f"of its {len(test)} test rows, {np.isin(test, training).sum()} are of a bird" in PAGE
    assert 0.972**103 > 1 / 20  # an error rate of 2.8 %


@pytest.mark.slow
def test_the_commands_print_what_the_page_shows(tmp_path: Path) -> None:
    for name in ("data", "penguin_model", "pipelines"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    env = {
        **os.environ,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]]),
    }
    printed = {}
    for command, shown in commands():
        ran = subprocess.run(
            command, shell=True, cwd=tmp_path, env=env, capture_output=True, text=True,
            timeout=600, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert (ran.returncode, beside_progress(ran.stderr)) == (0, ""), command
        assert_shown(shown, ran.stdout)
        printed[command.split()[0]] = ran.stdout
    excerpts = blocks("text")
    assert len(excerpts) == 4
    assert_shown("…\n".join(excerpts), printed["penguin-train"])
    for name in re.findall(r"`lab/(penguins\.[\w.]+)`", PAGE):
        assert (tmp_path / "lab" / name).stat().st_size, name
    assert list((tmp_path / "lab/scored/predictions").iterdir())
