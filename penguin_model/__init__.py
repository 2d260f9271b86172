"""A tabular Keras classifier with its model card: training, validation, normalization, prediction.

This package never imports Apache Beam, and it imports Keras and TensorFlow only inside the
functions that need them, so that a command's ``--help`` and the submitter of a job stay fast.
"""
