"""Settings that would corrupt a run can't be made."""

import dataclasses

import pytest

from pipelines.datasets.settings import ShardSettings
from pipelines.reading.settings import DEFAULT_SIZES, Sizes


def test_a_file_is_either_read_with_others_or_divided() -> None:
    with pytest.raises(ValueError, match=r"small_file_bytes, 11, .* range_bytes, 10"):
        Sizes(small_file_bytes=11, range_bytes=10)
    Sizes(small_file_bytes=10, range_bytes=10)


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Sizes)])
def test_sizes_are_positive(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is -1"):
        dataclasses.replace(DEFAULT_SIZES, **{name: -1})


def test_small_files_can_be_read_alone() -> None:
    assert Sizes(small_file_bytes=0).small_file_bytes == 0
    with pytest.raises(ValueError, match="shard_bytes is 0"):
        ShardSettings(shard_bytes=0)
