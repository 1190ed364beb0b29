"""Your own dataset in one file: noise of two brightnesses, on two kinds of film.

A dataset lists its images, with label, cluster and attributes, and decodes them. Copy and change
this file, and give it to `prepare`; no other command needs it:

    fairexit prepare noise --plugin own_dataset.py --size 32 --out data/noise

Run as a script, the file shows what `prepare` reads from it:

    python own_dataset.py

For a table and a folder of images no code is needed: see `fairexit prepare table`.
"""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import PositiveInt

from fairexit.data.datasets import datasets
from fairexit.data.images import Decoded
from fairexit.data.records import Dataset, Listing


@datasets.register("noise")
class Noise(Dataset):
    """Noise of two brightnesses on two kinds of film.

    Args:
        images: number of images.
    """

    needs_source = False

    def __init__(self, *, images: PositiveInt = 400) -> None:
        self.images = images

    def read(self, source: Path) -> Listing:
        number = np.arange(self.images)
        frame = pd.DataFrame(
            {
                "id": [f"n{i}" for i in number],
                "label": np.array(["dim", "bright"])[number % 2],
                # An empty cluster: the image has no others of the same person.
                "cluster": "",
                "film": np.array(["old", "new"])[number // 2 % 2],
            }
        )
        return Listing(frame, ("dim", "bright"), {"film": ("old", "new")})

    def pixels(self, rows: pd.DataFrame, size: int, fit: str) -> list[Decoded]:
        return [self._draw(*row, size) for row in zip(rows["id"], rows["label"], strict=True)]

    def _draw(self, name: str, label: str, size: int) -> Decoded:
        darkest = 128 if label == "bright" else 0
        rng = np.random.default_rng(int(name.removeprefix("n")))
        image = rng.integers(darkest, darkest + 128, (size, size, 3), dtype=np.uint8)
        return Decoded(image, digest=hashlib.sha256(image.tobytes()).hexdigest())


def main() -> None:
    noise = Noise(images=8)
    listing = noise.read(Path())
    print(listing.frame)
    for image in noise.pixels(listing.frame.head(2), size=32, fit="crop"):
        assert image.pixels is not None
        print(f"{image.pixels.shape}, mean {image.pixels.mean():.0f}")


if __name__ == "__main__":
    main()
