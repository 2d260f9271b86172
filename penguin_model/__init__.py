"""A tabular Keras classifier and its model card.

Raw observations go in; the reason why one can't be scored, or its class probabilities, come out.
Never imports Beam or the pipeline, and imports Keras and TensorFlow only inside the functions that
need them, so that ``--help`` and the submission of a job stay fast.
"""

import os
import sys

__all__ = ["bundle", "card", "cli", "errors", "features", "validate"]

# `python -m` looks for modules in the current folder first, so it would run a file json.py among a
# night's observations. A console script doesn't.
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and os.getcwd() == sys.path[0] != _ROOT:
    del sys.path[0]
