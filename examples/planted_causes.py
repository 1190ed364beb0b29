"""Plant each known cause into drawn lesions, and show what was planted as pictures.

Run: python planted_causes.py
Writes planted-prevalence.png and so on: images of two classes in training and test. A red frame
marks a wrong label.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import fairexit
from fairexit.data.prepared import Prepared

COLUMNS, SIDE, MARGIN = 12, 44, 120
CLASSES = ("nevus", "melanoma")


def sheet(data: Prepared) -> Image.Image:
    """The first images of two true classes in train and test, a row for each."""
    rows = [(split, label) for split in ("train", "test") for label in CLASSES]
    page = Image.new("RGB", (MARGIN + COLUMNS * SIDE, len(rows) * SIDE), "white")
    pen, frame = ImageDraw.Draw(page), data.frame
    for y, (split, label) in enumerate(rows):
        pen.text((4, y * SIDE + SIDE // 2 - 6), f"{split}, {label}", fill="black")
        wanted = (frame["split"] == split) & (frame["original_label"] == label)
        # One image of a lesion, so that more lesions are seen.
        shown = np.flatnonzero(wanted & ~frame["cluster"].duplicated())[:COLUMNS]
        for x, row in enumerate(shown):
            corner = (MARGIN + x * SIDE, y * SIDE)
            page.paste(Image.fromarray(data.images[row]).resize((SIDE - 2, SIDE - 2)), corner)
            if frame["label"].iloc[row] != label:
                end = (corner[0] + SIDE - 3, corner[1] + SIDE - 3)
                pen.rectangle((corner, end), outline="red", width=3)
    return page.quantize(128)


def main() -> None:
    options = {"images": 1500, "noise": 0.02}
    drawn = fairexit.prepare("synthetic", out="drawn", size=48, options=options)
    for cause in ("prevalence", "representation", "presentation", "annotation"):
        planted = fairexit.plant(drawn, Path("planted") / cause, cause=cause)
        sheet(planted).save(f"planted-{cause}.png", optimize=True)
        recipe = planted.info["planted"]
        print(f"{cause}, strength {recipe['strength']}: {recipe['counts']}")


if __name__ == "__main__":
    main()
