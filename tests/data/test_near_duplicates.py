import numpy as np
from PIL import Image, ImageFilter

from fairexit.data.near_duplicates import near_pairs, perceptual_hash


def test_copies_are_found_and_others_not():
    rng = np.random.default_rng(0)
    many = []
    for _ in range(8):
        noise = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).resize((64, 64))
        many.append(np.asarray(noise.filter(ImageFilter.GaussianBlur(2))))
    brighter = (many[3].astype(float) * 0.8).astype(np.uint8)
    hashes = perceptual_hash(np.stack([*many, many[0], brighter]))
    pairs = near_pairs(hashes, 10)
    assert {tuple(p) for p in pairs.tolist()} == {(0, 8), (3, 9)}


def test_pairs_equal_the_slow_twin():
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**63, (40, 4), np.uint64)
    hashes[7] = hashes[3]
    hashes[9, 0] ^= np.uint64(0b111)
    hashes[20] = hashes[9]
    hashes[20, 2] ^= np.uint64(1)
    slow = [
        (i, j)
        for i in range(40)
        for j in range(i + 1, 40)
        if sum(int(a ^ b).bit_count() for a, b in zip(hashes[i], hashes[j], strict=True)) <= 3
    ]
    assert near_pairs(hashes, 3).tolist() == [list(p) for p in slow]
    assert slow == [(3, 7), (9, 20)]
