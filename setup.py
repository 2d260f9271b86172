"""Beam stages the project to its workers with ``--setup_file=./setup.py``; see pyproject.toml."""

import setuptools

setuptools.setup()
