"""Rate of `fairexit predict --images` against decoding and the network alone, in one process.

Both classify the same JPEG files in batches of the same size. "Alone" decodes the files of each
batch and passes them through the network with early exit, and does nothing else: no list of files,
no table, no CSV. The weights are random and the images are drawn; neither changes the work.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fairexit.evaluation.policy import Policy
from fairexit.files import json_text
from fairexit.inference.classifier import Classifier
from fairexit.inference.image_list import list_images
from fairexit.inference.stream import CHANGES, batch_texts, stream_answers
from fairexit.models import create_model
from fairexit.runs import Run
from timing import alternate, machine, ratio, table

GOAL = 0.9


def draw_photos(folder: Path, count: int, side: int) -> None:
    """Smooth random photos as JPEG, so that a file has the size of a real one."""
    rng = np.random.default_rng(0)
    for i in range(count):
        coarse = rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
        image.save(folder / f"{i:06d}.jpg", quality=90)


def classifier(size: int, folder: Path) -> Classifier:
    """A ResNet-18 with random weights, of whose images some leave early."""
    torch.manual_seed(0)
    net = create_model("resnet18", num_classes=8, image_size=size).eval()
    return Classifier(
        net=net,
        policy=Policy(0.2),
        classes=tuple("abcdefgh"),
        costs=tuple(net.exit_costs(size)),
        size=size,
        fit="squash",
        run=Run(folder),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=2000, help="number of files")
    parser.add_argument("--side", type=int, default=600, help="their width and height in pixels")
    parser.add_argument("--size", type=int, default=64, help="side of the network's images")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "photos"
        folder.mkdir()
        draw_photos(folder, options.images, options.side)
        model = classifier(options.size, folder)
        files = sorted(folder.iterdir())
        batch = options.batch_size

        def alone() -> None:
            for start in range(0, len(files), batch):
                model.answer(files[start : start + batch])

        def stream() -> None:
            images = list_images(folder)
            stream_answers(
                model,
                images,
                Path(name) / "answers.csv",
                source=dict.fromkeys(CHANGES, ""),
                overwrite=True,
                texts=lambda done: batch_texts(model, images, done.rows, batch_size=batch),
            )

        seconds = alternate({"alone": alone, "predict": stream}, options.rounds)
    share = ratio(seconds["alone"], seconds["predict"])
    print(machine(), json_text(vars(options)).replace("\n", ""))
    rows = [
        [what, f"{options.images / float(np.median(times)):,.0f}"]
        for what, times in seconds.items()
    ]
    print(table(["", "images a second"], rows))
    print(f"predict reaches {100 * share:.1f} % of decoding and network alone (goal: {GOAL:.0%})")


if __name__ == "__main__":
    main()
