"""Files whose bytes go to the disk while more are being made."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.storage import write_behind
from pipelines.storage.write_behind import WriteBehind

MOST_WAITING = 100


@given(pieces=st.lists(st.binary(max_size=2 * MOST_WAITING)))
def test_every_byte_but_the_last_few_is_on_its_way_once_and_in_order(
    pieces: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = str(tmp_path_factory.mktemp("behind") / "file")
    asked: list[tuple[int, int]] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(write_behind, "_BYTES", MOST_WAITING)
        patched.setattr(write_behind, "begin_to_write", lambda _, *part: asked.append(part))
        file = WriteBehind(path)
        for piece in pieces:
            file.write(piece)
        end = file.tell()
        file.close()
    content = b"".join(pieces)
    assert Path(path).read_bytes() == content
    assert end == len(content)
    begun = 0
    for offset, size in asked:
        assert offset == begun
        assert size >= MOST_WAITING
        begun += size
    assert end - MOST_WAITING < begun <= end or (begun == 0 and end == 0)


def test_the_system_is_asked_and_may_refuse(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"content")
    with path.open("rb+") as file:
        write_behind.begin_to_write(file.fileno(), 0, 7)
    # A pipe has no pages to write.
    reading, writing = os.pipe()
    try:
        write_behind.begin_to_write(writing, 0, 7)
    finally:
        os.close(reading)
        os.close(writing)
    assert path.read_bytes() == b"content"
