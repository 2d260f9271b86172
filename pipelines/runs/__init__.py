"""The content of the output root: paths, manifests, and the ledger of scored files.

Takes an output root; produces typed manifests and the files that earlier runs have scored. This
package publishes and deletes nothing. Import its modules: this file stays free of Beam, because
`python -m pipelines.runs` starts here.
"""

__all__ = ["baseline", "commands", "gates", "history", "layout", "ledger", "manifest"]
