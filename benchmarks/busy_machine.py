"""A training step while other programs use the processor: threads that wait in a loop, or asleep.

    python benchmarks/busy_machine.py

Each step is one of a ResNet-18 with exits, 32 images of 32 px, on all cores, in a process of its
own. Beside it run as many processes that only count as there are cores, or none. The commands of
fairexit set OMP_WAIT_POLICY=PASSIVE, unless the environment says otherwise.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from timing import machine, table

STEP = """
import json, sys, time
import torch
from fairexit.models import create_model
net = create_model("resnet18", num_classes=8, image_size=32).train()
images, seconds = torch.rand(32, 3, 32, 32), []
began = time.perf_counter()
while len(seconds) < 3 or time.perf_counter() - began < 10:
    start = time.perf_counter()
    sum(exit.logits.sum() for exit in net(images)).backward()
    seconds.append(time.perf_counter() - start)
print(json.dumps(seconds[1:]))
"""
POLICIES = {"waiting in a loop": {}, "asleep (PASSIVE)": {"OMP_WAIT_POLICY": "PASSIVE"}}
ROUNDS = 3


@contextmanager
def others(number: int) -> Iterator[None]:
    """As many processes that use a core each."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def step(policy: dict[str, str]) -> float:
    """The median seconds of a step in a new process."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("OMP_")} | policy
    made = subprocess.run(
        [sys.executable, "-c", STEP], env=variables, capture_output=True, text=True, check=True
    )
    return statistics.median(json.loads(made.stdout))


def main() -> None:
    print(machine())
    cores, rows = os.cpu_count() or 1, []
    for number in (0, cores):
        with others(number):
            rounds = [
                {name: step(policy) for name, policy in POLICIES.items()} for _ in range(ROUNDS)
            ]
        ratios = [r["waiting in a loop"] / r["asleep (PASSIVE)"] for r in rounds]
        cells = [
            f"{1000 * statistics.median(r[name] for r in rounds):,.0f} ms" for name in POLICIES
        ]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
        rows.append([str(number), *cells, f"{statistics.median(ratios):.2f}", spread])
    print(table(["Busy processes beside it", *POLICIES, "Ratio", "Its range"], rows))


if __name__ == "__main__":
    main()
