"""pandas and `model.predict`, as one would write it first: the whole file in one frame."""

import numpy as np
import pandas as pd

from benchmarks.peers.common import (
    CLASSES,
    FEATURES,
    KEY,
    PROBABILITIES,
    SCALES,
    arguments,
    quieten,
)


def main() -> None:
    """Scores one file."""
    given = arguments(__doc__)
    quieten()
    import keras

    read = pd.read_parquet if given.input.endswith(".parquet") else pd.read_csv
    frame = read(given.input)
    model = keras.models.load_model(given.model)
    found = model.predict((frame[FEATURES] / SCALES).astype("float32").to_numpy())
    output = frame[[KEY]].copy()
    output["species"] = np.array(CLASSES)[found.argmax(axis=1)]
    output["probability"] = found.max(axis=1)
    output[PROBABILITIES] = found
    output.to_parquet(given.output, index=False)


if __name__ == "__main__":
    main()
