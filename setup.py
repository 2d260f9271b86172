"""The packages, with the shipped model inside; everything else is in pyproject.toml.

Beam stages the project to its workers with ``--setup_file=./setup.py``.
"""

import os

import setuptools

packages = setuptools.find_packages(include=["penguin_model*", "pipelines*"])
folders = {}
# Images for workers are built without it: the job sends its model to them.
if os.path.isdir("models"):
    packages.append("penguin_model.models")
    folders["penguin_model.models"] = "models"

setuptools.setup(packages=packages, package_dir=folders)
