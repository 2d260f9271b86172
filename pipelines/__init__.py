"""The batch-scoring job on Apache Beam: observation files in, predictions with probabilities out.

This package never imports Keras or TensorFlow; `penguin_model` does, inside the functions that
need them.
"""

import os
import sys

# `python -m` looks for modules in the folder where it's started before it looks anywhere else: a
# file json.py among a night's observations would run. A console script doesn't.
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and os.getcwd() == sys.path[0] != _ROOT:
    del sys.path[0]
