"""Perceptual hashes of images, and the pairs whose hashes are alike."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_SIDE = 16


def perceptual_hash(images: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Difference hashes of images, which differ in few bits for near-duplicates.

    Each bit says whether a cell of a small grey image is brighter than its right neighbour.

    Args:
        images: (N, H, W, 3), uint8.
    Returns:
        (N, 4), 256 bits per image.
    """
    side = HASH_SIDE
    bits = np.empty((len(images), side * side), bool)
    for i, image in enumerate(images):
        grey = Image.fromarray(image).convert("L").resize((side + 1, side), Image.Resampling.BOX)
        values = np.asarray(grey, np.int16)
        bits[i] = (values[:, 1:] > values[:, :-1]).ravel()
    return np.packbits(bits, axis=1).view(np.uint64)


def near_pairs(hashes: NDArray[np.uint64], distance: int) -> NDArray[np.int64]:
    """All pairs of rows i < j whose hashes differ in at most `distance` bits, (P, 2)."""
    pairs = []
    block = max(1, 4_000_000 // max(1, len(hashes)))
    for start in range(0, len(hashes), block):
        rows = hashes[start : start + block]
        distances = np.zeros((len(rows), len(hashes) - start), np.uint16)
        for word in range(hashes.shape[1]):
            distances += np.bitwise_count(rows[:, word, None] ^ hashes[None, start:, word])
        i, j = np.nonzero(distances <= distance)
        ordered = i < j
        pairs.append(np.stack([i[ordered], j[ordered]], axis=1) + start)
    return np.concatenate(pairs) if pairs else np.empty((0, 2), np.int64)
