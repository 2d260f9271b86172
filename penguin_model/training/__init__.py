"""Making a model: a labelled table goes in; a fitted network, its metrics and its plots come out.

In order: `dataset`, `network`, `fitting`, `evaluation`, `plots`; `penguin_model.train` runs them.
Never imports Beam or the pipeline; loading and scoring with a model never import this room.
"""

__all__ = ["dataset", "evaluation", "fitting", "network", "plots"]
