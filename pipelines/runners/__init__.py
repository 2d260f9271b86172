"""Running a PTransform with options.

Takes a runner's name, flags and a transform; gives the job's metrics, or the failure.
It knows no flag, layout or manifest of ours. Import its modules: this face stays free of Beam.
"""

__all__ = ["choose", "flags", "signals", "submission"]
