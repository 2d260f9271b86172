"""Turns located chunks into predictions.

In: chunks of good rows in raw units, a model card and its model file. Out: chunks of classes and
probabilities, and counts of both. Never imports reading or publishing.
"""

from pipelines.scoring.model_file import Network
from pipelines.scoring.transforms import Normalized, NormalizeFn, PredictFn, Scored

__all__ = ["Network", "NormalizeFn", "Normalized", "PredictFn", "Scored"]
