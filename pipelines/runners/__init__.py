"""Running a PTransform with options.

Takes a runner's name, flags and a transform; returns the job's metrics or raises its failure.
It knows none of our flags, layouts or manifests. Import its modules: this file stays free of Beam.
"""

__all__ = ["choose", "flags", "signals", "submission"]
