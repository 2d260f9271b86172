"""Exact counts of what the steps do, by input file and for the run.

In go numbers of files, bytes and rows as a step meets them; out come tallies that travel as
pipeline data and prove the run, and Beam metrics. The room never imports `progress` or `runners`,
and this face never imports Beam.
"""

from __future__ import annotations

from pipelines.counts.metrics import NAMESPACE, Metrics, Spread

__all__ = ["NAMESPACE", "Metrics", "Spread"]
