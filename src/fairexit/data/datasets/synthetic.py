"""Synthetic skin lesions with a known bias; this dataset needs no download."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fairexit.data.datasets import datasets
from fairexit.data.images import Decoded
from fairexit.data.records import Dataset, Listing
from fairexit.errors import UserError

Floats = NDArray[np.floating[Any]]

CLASSES = ("nevus", "melanoma", "keratosis", "vascular", "scar")
MIX = (0.4, 0.2, 0.2, 0.1, 0.1)
SKIN = {"light": (0.90, 0.72, 0.62), "dark": (0.42, 0.27, 0.20)}
APPEARANCE = np.array(
    [
        # r    g     b     elong border texture ring
        [0.45, 0.28, 0.18, 0.15, 0.05, 0.05, 0.0],
        [0.32, 0.20, 0.16, 0.35, 0.22, 0.18, 0.1],
        [0.55, 0.40, 0.26, 0.20, 0.10, 0.30, 0.0],
        [0.62, 0.14, 0.18, 0.10, 0.05, 0.10, 0.0],
        [0.80, 0.58, 0.52, 0.25, 0.08, 0.08, 0.8],
    ],
    np.float32,
)
"""Lesion colour, elongation, border irregularity, texture and ring of each class."""


def _wrong(name: str, value: float, requirement: str) -> str:
    return f"dataset 'synthetic': option '{name}' is {value}; it {requirement}"


@datasets.register("synthetic")
class Synthetic(Dataset):
    """Lesions of five classes on two skin tones; dark skin is rare and harder to classify.

    Args:
        images: number of images.
        dark_share: share of patients with dark skin.
        dark_contrast: contrast between lesion and skin on dark skin, divided by that on light skin.
        shortcut: how far the frequencies of the classes depend on the skin tone: at 0 not at all;
            at 1 the first two classes have no patient with dark skin.
        noise: standard deviation of the sensor noise, in units of full brightness.
        spread: how much lesions of the same class differ from each other.
        seed: seed of all random numbers.
    Raises:
        UserError: an option is out of range.
    """

    needs_source = False

    def __init__(
        self,
        *,
        images: int = 3000,
        dark_share: float = 0.2,
        dark_contrast: float = 0.5,
        shortcut: float = 0.0,
        noise: float = 0.06,
        spread: float = 1.0,
        seed: int = 0,
    ) -> None:
        for name, value in [("dark_share", dark_share), ("shortcut", shortcut)]:
            if not 0 <= value <= 1:
                raise UserError(_wrong(name, value, "must be between 0 and 1"))
        for name, value in [("noise", noise), ("spread", spread), ("dark_contrast", dark_contrast)]:
            if not 0 <= value < float("inf"):
                raise UserError(_wrong(name, value, "must be a finite number of at least 0"))
        if seed < 0:
            raise UserError(_wrong("seed", seed, "cannot be negative"))
        if images < 30:
            raise UserError(_wrong("images", images, "must be at least 30"))
        self.images, self.dark_share, self.dark_contrast = images, dark_share, dark_contrast
        self.shortcut, self.noise, self.spread, self.seed = shortcut, noise, spread, seed

    def read(self, source: Path) -> Listing:
        rng = np.random.default_rng(self.seed)
        lesion = np.repeat(np.arange(self.images), rng.integers(1, 4, self.images))[: self.images]
        dark = rng.random(self.images) < self.dark_share
        mix = np.array(MIX)
        tilted = mix * (1 - self.shortcut * (np.arange(len(mix)) < 2))
        light_label = rng.choice(len(mix), self.images, p=mix)
        dark_label = rng.choice(len(mix), self.images, p=tilted / tilted.sum())
        label = np.where(dark, dark_label, light_label)
        frame = pd.DataFrame(
            {
                "id": [f"synthetic_{i:06d}" for i in range(self.images)],
                "label": np.asarray(CLASSES, object)[label[lesion]],
                "skin_tone": np.where(dark[lesion], "dark", "light").astype(object),
                "cluster": [f"lesion_{k:06d}" for k in lesion],
            }
        )
        return Listing(frame, CLASSES, {"skin_tone": ("dark", "light")})

    def pixels(self, rows: pd.DataFrame, size: int, fit: str) -> list[Decoded]:
        image = rows["id"].str.rsplit("_").str[-1].astype(int).to_numpy()
        lesion = rows["cluster"].str.rsplit("_").str[-1].astype(int).to_numpy()
        label = np.array([CLASSES.index(name) for name in rows["label"]])
        tone = rows["skin_tone"].to_numpy(object)
        return [Decoded(pixels) for pixels in self.draw(image, lesion, label, tone, size=size)]

    def draw(
        self,
        image: NDArray[np.int64],
        lesion: NDArray[np.int64],
        label: NDArray[np.int64],
        tone: NDArray[np.object_],
        *,
        size: int,
    ) -> NDArray[np.uint8]:
        """Draw images of the given lesions; an image does not depend on the others.

        Args:
            image: number of each image, which determines the view and the noise, (N,).
            lesion: number of each image's lesion, which determines its appearance, (N,).
            label: class index, (N,).
            tone: skin tone, "light" or "dark", (N,).
            size: side of the images in pixels.
        Returns:
            (N, size, size, 3), uint8.
        """
        # Numbers of the lesion, the same in all its images.
        drawn = np.stack([np.random.default_rng([self.seed, 1, k]).random(20) for k in lesion])
        fixed = (2 * drawn - 1).astype(np.float32)
        # Numbers of the single image.
        rngs = [np.random.default_rng([self.seed, 2, k]) for k in image]
        view = np.stack([rng.random(4) for rng in rngs]).astype(np.float32)
        noise = np.stack([rng.standard_normal((size, size, 3), np.float32) for rng in rngs])

        appearance = APPEARANCE[label] * (1 + 0.35 * self.spread * fixed[:, :7])
        mask, brightness = _lesion(appearance, fixed, view, size)
        contrast = np.where(tone == "dark", self.dark_contrast, 1.0).astype(np.float32)
        skin = np.array([SKIN[t] for t in tone], np.float32) * (1 + 0.1 * fixed[:, 7:8])

        # On dark skin the lesion changes the colour in the same direction, but less.
        change = (appearance[:, :3] / np.array(SKIN["light"], np.float32) - 1) * contrast[:, None]
        colour = skin[:, None, None] * (1 + change[:, None, None] * brightness[..., None])
        pixels = skin[:, None, None] + mask[..., None] * (colour - skin[:, None, None])
        light = 0.85 + 0.3 * view[:, 3, None, None, None]
        pixels = pixels * light + self.noise * noise
        return (pixels.clip(0, 1) * 255).astype(np.uint8)


def _lesion(appearance: Floats, fixed: Floats, view: Floats, size: int) -> tuple[Floats, Floats]:
    """Shape and texture of lesions in the image plane.

    Args:
        appearance: rows like those of `APPEARANCE`, (N, 7).
        fixed: numbers in [-1, 1) that belong to the lesion, (N, 20).
        view: numbers in [0, 1) that belong to the image: rotation, two shifts, light, (N, 4).
        size: side of the images in pixels.
    Returns:
        Opacity of the lesion in each pixel, and brightness of its colour change, (N, size, size).
    """
    elongation, border, texture, ring = (appearance[:, 3 + i, None, None] for i in range(4))
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    angle = 2 * np.pi * view[:, 0, None, None]
    x = axis[None, None, :] - 0.4 * (view[:, 1, None, None] - 0.5)
    y = axis[None, :, None] - 0.4 * (view[:, 2, None, None] - 0.5)
    u = (np.cos(angle) * x + np.sin(angle) * y) * (1 + elongation)
    v = (np.cos(angle) * y - np.sin(angle) * x) * (1 - 0.5 * elongation)
    radius, phi = np.sqrt(u * u + v * v), np.arctan2(v, u)
    wave = np.zeros((len(view), size, size), np.float32)
    for k in range(2, 6):
        phase = np.pi * fixed[:, 6 + k, None, None]
        wave += np.cos(k * phi + phase) * (0.5 + 0.5 * fixed[:, 10 + k, None, None])
    edge = (0.5 + 0.12 * fixed[:, 16, None, None]) * (1 + border * wave)
    mask = 1 / (1 + np.exp((radius - edge) * 25))
    grain = np.sin(14 * u + 5 * fixed[:, 17, None, None]) * np.sin(
        14 * v + 5 * fixed[:, 18, None, None]
    )
    halo = np.exp(-(((radius - edge) / 0.08) ** 2)) * ring
    return mask, 1 + texture * grain - 0.4 * halo
