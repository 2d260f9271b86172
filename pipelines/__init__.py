"""The batch-scoring job on Apache Beam: observation files in, predictions with probabilities out.

This package never imports Keras or TensorFlow; `penguin_model` does, inside the functions that
need them.
"""
