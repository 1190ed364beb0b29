"""The choices that `auto` leaves to the machine: the device, and the precision by measurement."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from fairexit.config import RunConfig
from fairexit.config_files import build_config
from fairexit.config_train import Precision
from fairexit.errors import UserError
from fairexit.files import read_json
from fairexit.methods import Method
from fairexit.runs import RETRAIN
from fairexit.terminal import note
from fairexit.training.setup import build, emulates_bfloat16, untrained
from fairexit.types import Batch, Task

FULL: Precision = "32-true"
HALF: Precision = "bf16-mixed"
IMAGES = 32
"""Largest number of images in a measured step."""
ROUNDS = 3
GAIN = 1.1
"""Speed-up from which half precision is taken; a smaller one may be noise."""


def auto_device(device: torch.device) -> str:
    """What `auto` has taken and why, in one line for the user."""
    if device.type == "cuda":
        return f"device auto: {device.type} ({torch.cuda.get_device_name(device)})"
    if device.type != "cpu":
        return f"device auto: {device.type}"
    built = torch.version.cuda or torch.version.hip
    why = "torch finds no GPU" if built else f"torch {torch.__version__} is built for CPUs only"
    return f"device auto: cpu, because {why}"


def stored_precision(folders: Sequence[Path]) -> Precision | None:
    """The precision that a run in one of the folders was started with; None if there is none.

    Raises:
        UserError: the record of a run is damaged.
    """
    for folder in folders:
        if (file := folder / "started.json").is_file():
            try:
                precision = build_config(read_json(file, RETRAIN)["run"]).train.precision
            except (LookupError, TypeError):
                raise UserError(f"{file} is damaged; {RETRAIN}") from None
            if precision != "auto":  # as a loop of one's own may have it
                return precision
    return None


def measured_precision(config: RunConfig, task: Task, size: int, device: torch.device) -> Precision:
    """The faster precision for a network on a device: `32-true` or `bf16-mixed`; says it.

    A few steps of plain training are timed in both, in turns.

    Args:
        config: the settings.
        task: the classes and groups.
        size: side of the images in pixels.
        device: where the training computes.
    """
    if why := _lacks_half(device):
        note(f"train.precision auto: {FULL}, because {why}")
        return FULL
    images = min(config.train.batch_size, IMAGES)
    plain = untrained(replace(config, method={"name": "erm"}))
    train = replace(plain.train, exit_weights="equal", class_weights="none")
    method = build(replace(plain, train=train), task, size).to(device).train()
    seconds = _times(_step(method.to(memory_format=torch.channels_last), images, size, device))
    fastest = HALF if seconds[HALF] * GAIN < seconds[FULL] else FULL
    timed = ", ".join(f"{1000 * seconds[name]:.0f} ms in {name}" for name in seconds)
    note(f"train.precision auto: {fastest}; a step of {images} images takes {timed}")
    return fastest


def _lacks_half(device: torch.device) -> str | None:
    """Why a device cannot compute in bfloat16 at speed; None if it may."""
    if device.type == "cpu":
        return "this processor emulates bfloat16" if emulates_bfloat16() else None
    if device.type == "cuda":
        fits = torch.cuda.is_bf16_supported(including_emulation=False)
        return None if fits else "this GPU emulates bfloat16"
    return f"bfloat16 is not measured on {device.type}"


def _step(method: Method, images: int, size: int, device: torch.device) -> Callable[[str], None]:
    """A training step, up to the gradients, on random images; its argument is the precision."""
    x = torch.rand(images, 3, size, size, device=device).to(memory_format=torch.channels_last)
    zeros = torch.zeros(images, dtype=torch.long, device=device)

    def step(precision: str) -> None:
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == HALF):
            total = method(Batch(x, zeros, zeros)).total
        total.backward()
        method.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return step


def _times(step: Callable[[str], None]) -> dict[str, float]:
    """Least seconds of a step in each precision, after one that warms up."""
    seconds: dict[str, list[float]] = {FULL: [], HALF: []}
    for number in range(ROUNDS + 1):
        for precision, times in seconds.items():
            began = time.perf_counter()
            step(precision)
            if number:
                times.append(time.perf_counter() - began)
    return {precision: min(times) for precision, times in seconds.items()}
