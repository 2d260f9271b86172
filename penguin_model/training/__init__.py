"""Making a model: a labelled table goes in; a fitted network, its metrics and its plots come out.

In order: `dataset`, `network`, `fitting`, `evaluation`, `baseline`, `gate`, `cross_validation`,
`calibration`, `plots`; `penguin_model.train` runs them.
Never imports Beam or the pipeline; loading and scoring with a model never import this room.
"""

__all__ = [
    "baseline", "calibration", "cross_validation", "dataset", "evaluation", "fitting", "gate",
    "network", "plots", "purpose",
]  # fmt: skip
