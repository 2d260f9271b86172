"""A tabular Keras classifier with its model card: training, validation, normalization, prediction.

This package never imports Apache Beam, and it imports Keras and TensorFlow only inside the
functions that need them, so that a command's ``--help`` and the submitter of a job stay fast.
"""

import os
import sys

# `python -m` looks for modules in the folder where it's started before it looks anywhere else: a
# file json.py among a night's observations would run. A console script doesn't.
_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if sys.argv[:1] == ["-m"] and not sys.flags.safe_path and os.getcwd() == sys.path[0] != _ROOT:
    del sys.path[0]
