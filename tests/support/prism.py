"""The Prism program that the tests run: what `make prism` built."""

from pipelines.runners import prism

FLAGS = ("--runner=PrismRunner",)


def why_not() -> str:
    """The reason why the Prism tests can't run here; empty if they can."""
    return "" if prism.BUILT.exists() else "it isn't built: run `make prism` first"
