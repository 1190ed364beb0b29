"""Time of augmentation per image, compared with torchvision v2 on one Pillow image at a time.

    python benchmarks/augmentation.py

Prints a Markdown table. Both start from the same array of bytes and end with a batch of floats.
They take turns, and each one's fastest round is reported. fairexit runs with one thread and with
all.
"""

from collections.abc import Callable, Iterator
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import v2

from fairexit.data.augment import POLICIES, Augment
from timing import Row

BATCH, ROUNDS = 128, 7


def peer(policy: str, size: int) -> v2.Compose:
    """The same steps as torchvision transforms, in the order of the authors' scripts."""
    flips = [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()]
    bilinear = v2.InterpolationMode.BILINEAR
    affine = [*flips, v2.RandomAffine(180, scale=(0.8, 1.2), interpolation=bilinear)]
    steps = {
        "none": [],
        "flips": flips,
        "affine": affine,
        "paper": [*affine, v2.AutoAugment()],
        "released": [
            v2.Resize(round(1.125 * size)),
            v2.RandomCrop(size),
            *flips,
            v2.RandomAffine(180, scale=(0.8, 1.2), shear=10, interpolation=bilinear),
            v2.ColorJitter(brightness=32 / 255, saturation=0.5),
            v2.AutoAugment(),
        ],
    }[policy]
    last = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    if policy == "released":
        last.append(v2.RandomErasing(p=1, scale=(1 / 64, 1 / 64), ratio=(1, 1)))
    return v2.Compose([*steps, *last])


def seconds(call: Callable[[int], object], round_number: int, threads: int) -> float:
    """Seconds of one call with a number of threads."""
    torch.set_num_threads(threads)
    start = perf_counter()
    call(round_number)
    return perf_counter() - start


def measure(policy: str, size: int, rounds: int = ROUNDS) -> NDArray[np.float64]:
    """Seconds of a batch in each round: torchvision, fairexit with one thread and with all."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (BATCH, 8, 8, 3), dtype=np.uint8)
    array = np.stack([np.asarray(Image.fromarray(c).resize((size, size))) for c in coarse])
    images = torch.from_numpy(array).permute(0, 3, 1, 2)
    transform, augment = peer(policy, size), Augment(policy, 0)
    positions = np.arange(BATCH)
    all_threads = torch.get_num_threads()

    def with_torchvision(epoch: int) -> torch.Tensor:
        return torch.stack([transform(Image.fromarray(pixels)) for pixels in array])

    def with_fairexit(epoch: int) -> torch.Tensor:
        return augment(images, positions, epoch)

    calls = ((with_torchvision, 1), (with_fairexit, 1), (with_fairexit, all_threads))
    times = [[seconds(call, r, n) for call, n in calls] for r in range(rounds)]
    torch.set_num_threads(all_threads)
    return np.array(times)


def compare(quick: bool) -> Iterator[Row]:
    """Rows of `make bench`, at 64 px with all threads."""
    for policy in list(POLICIES)[-1:] if quick else POLICIES:
        times = measure(policy, 64, 1 if quick else ROUNDS)
        what = f"augmentation {policy}, 64 px, per image"
        yield Row(what, times[:, 2].tolist(), "torchvision", times[:, 0].tolist(), BATCH)


def main() -> None:
    threads = torch.get_num_threads()
    print(
        "| policy | px | torchvision v2, Pillow | fairexit, 1 thread "
        f"| fairexit, {threads} threads | ratio |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for size in (64, 84):
        for policy in POLICIES:
            peer_ms, single_ms, threaded_ms = 1e3 * measure(policy, size).min(0) / BATCH
            cells = (
                f"{peer_ms:.3f} | {single_ms:.3f} | {threaded_ms:.3f} | {threaded_ms / peer_ms:.2f}"
            )
            print(f"| {policy} | {size} | {cells} |", flush=True)
    print(
        f"\nMilliseconds per image in batches of {BATCH}. The ratio is that of fairexit with all "
        "threads to torchvision."
    )


if __name__ == "__main__":
    main()
