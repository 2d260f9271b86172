"""The table of runners: to add one, write a module next to this one and add a line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipelines.runners.dataflow import Dataflow
from pipelines.runners.local import Local
from pipelines.runners.other import Other
from pipelines.runners.prism import Prism
from pipelines.runners.runner import Runner


def _flink(_: str) -> Runner:
    # It imports cryptography, which no other runner needs.
    from pipelines.runners.flink import Flink

    return Flink()


# Keys are lower-case names; each runner is made from the name as the user gave it.
_RUNNERS: Mapping[str, Callable[[str], Runner]] = {
    **dict.fromkeys(("directrunner", "direct", "fnapirunner", "fnapi"), lambda _: Local()),
    **dict.fromkeys(("flinkrunner", "flink"), _flink),
    **dict.fromkeys(("dataflowrunner", "dataflow"), Dataflow),
    **dict.fromkeys(("prismrunner", "prism"), lambda _: Prism()),
}
DEFAULT_RUNNER = "DirectRunner"


def choose_runner(name: str | None) -> Runner:
    """Looks up a runner.

    Args:
      name: ``--runner``; None means the local one.

    Returns:
      The runner in the table, or else Beam's own of this name.
    """
    given = name or DEFAULT_RUNNER
    return _RUNNERS.get(given.lower(), Other)(given)
