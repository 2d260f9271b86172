"""Exact counts of what the steps do, by input file and for the run.

Takes numbers of files, bytes and rows from the steps; produces tallies, which travel as pipeline
data and prove the run, and Beam metrics. This package never imports `progress` or `runners`, and
this file never imports Beam.
"""

from __future__ import annotations

from pipelines.counts.metrics import NAMESPACE, Metrics, Spread

__all__ = ["NAMESPACE", "Metrics", "Spread"]
