"""Elements that a runner loses or duplicates between any two steps are never published."""

from pathlib import Path

import pytest

from pipelines.errors import PenguinError
from tests.support.meddling import (
    EDGES,
    EXPECTED,
    HARMLESS,
    INPUT,
    Edge,
    Meddler,
    Night,
    make_night,
    run,
)
from tests.support.running import listing, manifest


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    return make_night(tmp_path_factory.mktemp("units"))


def test_every_edge_is_known_and_has_elements(night: Night, tmp_path: Path) -> None:
    meddler = Meddler()
    run(night, tmp_path, meddler)
    assert manifest(tmp_path)["totals"] == EXPECTED
    # A step gets what another emits, except where the runner itself combines elements.
    found = {edge for edge in meddler.seen if edge[1] != INPUT}
    combined = {edge for edge in EDGES if edge[1] == INPUT}
    assert found | combined == {*EDGES, *HARMLESS}


@pytest.mark.parametrize("how", ["drop", "double"])
@pytest.mark.parametrize("edge", EDGES, ids="-".join)
def test_a_lost_or_doubled_element_is_never_published(
    night: Night, tmp_path: Path, edge: Edge, how: str
) -> None:
    meddler = Meddler(edge, 0, how)
    if how in HARMLESS.get(edge, ()):
        run(night, tmp_path, meddler)
        assert manifest(tmp_path)["totals"] == EXPECTED
        return
    with pytest.raises(PenguinError):
        run(night, tmp_path, meddler)
    assert meddler.seen[edge] > 0
    assert listing(tmp_path) == []
