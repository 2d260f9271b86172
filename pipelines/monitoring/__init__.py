"""Watches a run's data: pure functions on NumPy and Arrow arrays.

In go a chunk's columns, labels and predictions, and out come counts that can be added up; in go a
run's counts, and out come its histograms, drift, accuracy and trust. Never imports Beam.
"""

__all__ = ["divergence", "drift", "histograms", "labels", "nights", "trust"]
