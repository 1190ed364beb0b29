"""Random predictions, and settings of properties, for the tests of this folder."""

import numpy as np
from hypothesis import settings

from fairexit.predictions.files import Predictions

FEW = settings(deadline=None, max_examples=40)
"""For properties whose single check is slow."""


def make(
    n: int = 60,
    exits: int = 3,
    classes: int = 4,
    groups: int = 2,
    seed: int = 0,
    split: str = "val",
    unknown: bool = True,
) -> Predictions:
    """Predictions with two attributes, unsure enough that thresholds matter."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, exits, classes)) * 2
    labels = rng.integers(0, classes, n)
    logits[np.arange(n), :, labels] += 1
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    names = tuple("abcdefgh"[:groups])
    return Predictions(
        ids=np.array([f"img-{i}" for i in range(n)]),
        clusters=np.array([f"lesion {i // 2}" if i % 3 else "" for i in range(n)]),
        split=np.full(n, split),
        labels=labels,
        attributes={
            "sex": rng.integers(-1 if unknown else 0, groups, n),
            "skin tone": rng.integers(0, 2, n),
        },
        group_names={"sex": names, "skin tone": ("dark", "light")},
        classes=tuple(f"class/{c}, ü" for c in reversed(range(classes))),
        probabilities=probabilities.astype(np.float32),
        exit_names=(*(str(e + 1) for e in range(exits - 1)), "f"),
    )
