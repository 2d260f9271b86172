"""Progress of a run.

Takes what workers report into a folder of the run; shows a bar or lines on standard error.
It decides nothing and never imports a step, a runner or a manifest: its counts are approximate.
"""

from pipelines.progress.reporter import ProgressCounts, ProgressReporter

__all__ = ["ProgressCounts", "ProgressReporter"]
