"""How far a run is.

Takes what workers report into a folder of the run; shows a bar or lines on standard error.
It decides nothing and never imports a step, a runner or a manifest: counts here are approximate.
"""

from pipelines.progress.reporter import ProgressCounts, ProgressReporter

__all__ = ["ProgressCounts", "ProgressReporter"]
