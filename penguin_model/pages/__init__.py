"""Parts of HTML pages: markup that is safe by construction, charts, the frame and the look.

Values go in; escaped HTML and inline SVG come out, without scripts, fonts or links to elsewhere.
A model's page and the reports of runs are made of them. Never imports Keras or the pipeline.
"""

__all__ = ["charts", "frame", "markup", "svg"]
