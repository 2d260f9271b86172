"""The network as it was trained, by Keras on TensorFlow."""

from __future__ import annotations

from penguin_model import bundle
from penguin_model.card import ModelCard
from penguin_model.errors import ModelError, needs
from penguin_model.model_checks import Predict


class KerasEngine:
    """Loads the model file itself, in Keras' safe mode."""

    name = "keras"
    packages = ("keras", "tensorflow", "tensorflow-cpu")

    def file_of(self, model_path: str) -> str:
        """The model file."""
        return model_path

    def sha256_of(self, card: ModelCard) -> str:
        """The model file's."""
        return card.sha256

    def load(self, content: bytes, card: ModelCard, shown: str) -> Predict:
        """See `bundle.load_content`; a slim image has no Keras."""
        try:
            return bundle.load_content(content, card, shown).predict
        except ModuleNotFoundError as error:
            raise ModelError(f"{needs(error)}, or score with --engine=onnx") from error
