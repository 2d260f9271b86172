"""Power cuts at some steps of publication; `make torture` covers all steps."""

from pathlib import Path

import pytest

from tests.torture import power


@pytest.mark.skipif(power.why_not() is not None, reason=str(power.why_not()))
@pytest.mark.parametrize("kind", ["published", "replaced", "held"])
@pytest.mark.parametrize("how", [power.WITH_JOURNAL, power.WITHOUT])
def test_a_power_cut_leaves_a_whole_run_or_none(tmp_path: Path, kind: str, how: int) -> None:
    with power.mounted(tmp_path / "disk") as disk:
        for stop in range(how, 1000, 5):
            came = power.cut_while_publishing(disk, str(stop), stop, how, kind)
            power.check_after(disk, str(stop), kind, ended=not came)
            if not came:
                break
        assert stop > 20
