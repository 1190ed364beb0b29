"""The changes of images, against loops over pixels that follow their definitions."""

import numpy as np
import pytest

from fairexit.data.marks import MARKS, cast, contrast, grey, sharpness

LUMA = (0.299, 0.587, 0.114)


def picture(seed, size=9):
    """Random pixels with the darkest and the brightest value among them."""
    image = np.random.default_rng(seed).integers(0, 256, (size, size, 3), np.uint8)
    image[0, 0], image[0, 1] = 0, 255
    return image


def pixelwise(image, change):
    """Apply a function of one pixel's three values to every pixel; rounds half up."""
    result = np.zeros(image.shape)
    for y in range(len(image)):
        for x in range(len(image)):
            result[y, x] = change([int(v) for v in image[y, x]])
    return np.floor(result + 0.5)


def luma(rgb):
    return sum(weight * value for weight, value in zip(LUMA, rgb, strict=True))


def slow_sharpness(image, strength):
    """Mean over the pixels of each area, then linear interpolation between the areas' centres."""
    size = len(image)
    small = max(round((1 - strength) * size), 1)
    scale = size / small

    def inside(k):
        """The rows (or columns) whose centres lie in an area."""
        return [y for y in range(size) if -0.5 < (y + 0.5) / scale - (k + 0.5) <= 0.5]

    reduced = np.zeros((small, small, 3))
    for i in range(small):
        for j in range(small):
            reduced[i, j] = np.mean([image[y, x] for y in inside(i) for x in inside(j)], axis=0)
    result = np.zeros(image.shape)
    for y in range(size):
        for x in range(size):
            at = [min(max((v + 0.5) / scale - 0.5, 0), small - 1) for v in (y, x)]
            low = [int(v) for v in at]
            high = [min(v + 1, small - 1) for v in low]
            part = [a - b for a, b in zip(at, low, strict=True)]
            for i, u in [(low[0], 1 - part[0]), (high[0], part[0])]:
                for j, v in [(low[1], 1 - part[1]), (high[1], part[1])]:
                    result[y, x] += u * v * reduced[i, j]
    return result


@pytest.mark.parametrize("seed", range(5))
def test_each_change_equals_its_loop(seed):
    image = picture(seed)
    slow = pixelwise(image, lambda rgb: [luma(rgb)] * 3)
    assert np.abs(grey(image, 0.5) - slow).max() <= 1  # luma may lie at a half
    gains = (160 / 256, 224 / 256, 1)
    assert np.array_equal(
        cast(image, 0.5),
        pixelwise(image, lambda rgb: [g * v for g, v in zip(gains, rgb, strict=True)]),
    )
    for strength in (0.0, 0.3, 0.75):
        mean = round(np.mean([luma(rgb) for rgb in image.reshape(-1, 3).astype(float)]))
        slow = pixelwise(
            image, lambda rgb, s=strength, m=mean: [m + (1 - s) * (v - m) for v in rgb]
        )
        assert np.abs(contrast(image, strength) - slow).max() <= 1  # a half is rounded to even
        # Pillow rounds after each axis of both steps.
        assert np.abs(sharpness(image, strength) - slow_sharpness(image, strength)).max() <= 2


@pytest.mark.parametrize("name", MARKS)
def test_a_change_changes_the_image_and_not_its_argument(name):
    image = picture(7, 16)
    before = image.copy()
    changed = MARKS[name](image, 0.75)
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert np.array_equal(image, before)
    assert np.abs(changed.astype(int) - image).mean() > 5


def test_a_strength_of_zero_changes_no_quality_and_grey_stays_grey():
    image = picture(3, 12)
    assert np.array_equal(contrast(image, 0.0), image)
    assert np.array_equal(sharpness(image, 0.0), image)
    assert np.array_equal(grey(grey(image, 0.5), 0.5), grey(image, 0.5))


def test_what_is_lost_is_the_strength():
    image = picture(4, 64)
    assert contrast(image, 0.75).std() == pytest.approx(image.std() / 4, rel=0.05)
    # Of independent pixels the mean over 4 x 4 keeps a sixteenth of the variance, and linear
    # interpolation about half of that.
    assert 0.025 < sharpness(image, 0.75).var() / image.var() < 0.04
    assert sharpness(image, 0.999).std(axis=(0, 1)).max() == 0
