"""Cost of augmentation per image, beside torchvision v2 on one PIL image at a time.

    python benchmarks/augmentation.py

Prints a Markdown table. Both sides start from the same memory-mapped bytes and end with a float
batch. Rounds alternate, the fastest counts. Ours runs with one thread and with all.
"""

from collections.abc import Callable
from time import perf_counter

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from fairexit.data.augment import POLICIES, Augment

BATCH, ROUNDS = 128, 7


def peer(policy: str, size: int) -> v2.Compose:
    """The same steps with torchvision's transforms, in the order of the authors' scripts."""
    steps = {
        "none": [],
        "flips": [v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()],
        "paper": [
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomAffine(180, scale=(0.8, 1.2), interpolation=v2.InterpolationMode.BILINEAR),
            v2.AutoAugment(),
        ],
        "released": [
            v2.Resize(round(1.125 * size)),
            v2.RandomCrop(size),
            v2.RandomHorizontalFlip(),
            v2.RandomVerticalFlip(),
            v2.RandomAffine(
                180, scale=(0.8, 1.2), shear=10, interpolation=v2.InterpolationMode.BILINEAR
            ),
            v2.ColorJitter(brightness=32 / 255, saturation=0.5),
            v2.AutoAugment(),
        ],
    }[policy]
    last = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    if policy == "released":
        last.append(v2.RandomErasing(p=1, scale=(1 / 64, 1 / 64), ratio=(1, 1)))
    return v2.Compose([*steps, *last])


def seconds(call: Callable[[int], object], round_number: int, threads: int) -> float:
    torch.set_num_threads(threads)
    start = perf_counter()
    call(round_number)
    return perf_counter() - start


def measure(policy: str, size: int) -> list[float]:
    """Milliseconds per image: torchvision, ours with one thread, ours with all."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (BATCH, 8, 8, 3), dtype=np.uint8)
    array = np.stack([np.asarray(Image.fromarray(c).resize((size, size))) for c in coarse])
    images = torch.from_numpy(array).permute(0, 3, 1, 2)
    transform, augment = peer(policy, size), Augment(policy, 0)
    positions = np.arange(BATCH)
    all_threads = torch.get_num_threads()

    def theirs(epoch: int) -> torch.Tensor:
        return torch.stack([transform(Image.fromarray(pixels)) for pixels in array])

    def ours(epoch: int) -> torch.Tensor:
        return augment(images, positions, epoch)

    rivals = ((theirs, 1), (ours, 1), (ours, all_threads))
    times = [[seconds(call, r, n) for call, n in rivals] for r in range(ROUNDS)]
    torch.set_num_threads(all_threads)
    return [1e3 * fastest / BATCH for fastest in np.min(times, axis=0)]


def main() -> None:
    threads = torch.get_num_threads()
    print(
        f"| policy | px | torchvision v2, PIL | ours, 1 thread | ours, {threads} threads | ratio |"
    )
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for size in (64, 84):
        for policy in POLICIES:
            peer_ms, one, every = measure(policy, size)
            cells = f"{peer_ms:.3f} | {one:.3f} | {every:.3f} | {every / peer_ms:.2f}"
            print(f"| {policy} | {size} | {cells} |", flush=True)
    print(f"\nMilliseconds per image, batches of {BATCH}; ratio: ours with all threads to theirs.")


if __name__ == "__main__":
    main()
