"""Looks after runs that are published or held: the command `penguin-runs`.

Takes an output root and a run's name; prints what there is, has `publishing` accept or close a run,
checks published data, and adds labels that come later. Never imports Keras, and this file stays
free of Beam: the command silences the libraries before it loads them.
"""

__all__ = ["command"]
