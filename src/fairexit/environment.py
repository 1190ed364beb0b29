"""What a run was made with: versions of packages, the machine and the number of threads."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "torchvision", "timm", "lightning", "numpy", "scikit-learn", "scipy")
"""Packages whose version may change the last digits of a run."""


def environment(threads: int | None = None) -> dict[str, str]:
    """Names and versions that may explain a difference between two runs of the same settings.

    Args:
        threads: number of threads that PyTorch computes with.
    """
    names = {"python": platform.python_version(), "machine": platform.machine()}
    for package in PACKAGES:
        try:
            names[package] = version(package)
        except PackageNotFoundError:
            continue
    names["processor"] = _processor()
    if threads is not None:
        names["threads"] = str(threads)
    return names


def differences(recorded: Mapping[str, Any], now: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    """Names whose recorded value is another one now, with both values.

    What only one of the two states, such as the number of threads, is no difference.
    """
    return {
        name: (str(value), now[name])
        for name, value in recorded.items()
        if name in now and str(value) != now[name]
    }


def _processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if "model name" in line]
    return (names or [platform.processor() or "unknown"])[0] + f", {os.cpu_count()} cores"
