"""How much room the Python packages of the images take: `python -m benchmarks.image_size`.

Installs each lock, checked against its hashes, into a fresh folder, and adds up the sizes of the
files, compiled modules included; at most ten minutes a lock.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.environments import INSTALL, PROJECT

IMAGES = {
    "Dataflow": "deploy/dataflow/requirements.lock",
    "Dataflow, slim": "deploy/slim/dataflow.lock",
    "Flink": "locks/requirements.lock",
    "Flink, slim": "deploy/slim/flink.lock",
}
SECONDS = 600


def measure(folder: Path) -> int:
    """The bytes of all files of a folder, each counted once."""
    found = [each.lstat() for each in folder.rglob("*") if not each.is_dir()]
    return sum({(each.st_dev, each.st_ino): each.st_size for each in found}.values())


def install(lock: Path) -> tuple[int, int]:
    """The number of packages that a lock installs here, and their bytes."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "packages"
        subprocess.run(
            [sys.executable, *INSTALL, lock, "--target", target],
            check=True, timeout=SECONDS, env=os.environ | {"PIP_NO_CACHE_DIR": "1"},
        )  # fmt: skip
        return len(list(target.glob("*.dist-info"))), measure(target)


def table(sizes: dict[str, tuple[int, int]]) -> Iterator[str]:
    """The sizes as a table, in millions of bytes."""
    yield "| image | packages | MB |"
    yield "| --- | --- | --- |"
    for image, (packages, size) in sizes.items():
        yield f"| {image} | {packages} | {size / 1e6:,.0f} |"


def main() -> None:
    """Prints the table."""
    sizes = {}
    for image, lock in IMAGES.items():
        print(f"Installing {lock} ...", file=sys.stderr)
        sizes[image] = install(PROJECT / lock)
    print("\n".join(table(sizes)))


if __name__ == "__main__":
    main()
