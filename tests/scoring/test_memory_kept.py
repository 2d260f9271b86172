"""Memory that chunks leave is kept for the next ones."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource
import numpy as np
from pipelines.datasets import memory

if {keep}:
    memory.keep_freed()
    memory.keep_freed()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def work():
    chunk = [np.ones(2_000_000) for _ in range(3)]

work()
before = faults()
for _ in range(5):
    work()
print(faults() - before)
"""


def count_faults(keep: bool) -> int:
    """The pages that the system clears for five chunks of 48 MB."""
    command = [sys.executable, "-c", PROGRAM.format(keep=keep)]
    found = subprocess.run(command, capture_output=True, check=True, text=True)
    return int(found.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's settings")
def test_a_chunk_uses_the_memory_of_the_last_one() -> None:
    assert count_faults(keep=True) < 1_000 < count_faults(keep=False)
