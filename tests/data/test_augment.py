"""Augmentation: draws, colour operations and maps against slow or foreign twins."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms import AutoAugment, AutoAugmentPolicy
from torchvision.transforms.v2 import functional as V

from fairexit.data.augment import POLICIES, Augment, AugmentationPolicy
from fairexit.data.colour import COLOUR, jitter
from fairexit.data.draws import (
    OPERATIONS,
    SUBPOLICIES,
    Channel,
    autoaugment,
    uniforms,
)
from fairexit.data.geometry import rotation, shear, warp
from fairexit.errors import UserError


def photos(count: int, height: int = 24, width: int = 24, seed: int = 0) -> Tensor:
    """Smooth images with some noise, so that equalize and autocontrast have work to do."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / max(height, width)
    phase = rng.uniform(0, 6, (count, 3, 1, 1))
    waves = 120 + 70 * np.sin(5 * x + phase) * np.cos(4 * y + phase)
    noisy = waves + rng.normal(0, 6, waves.shape)
    return torch.from_numpy(noisy.clip(0, 255).astype(np.uint8))


def column(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None, None]


def reference(name: str, image: Tensor, magnitude: float) -> Tensor:
    """One image through torchvision's operation of that name, on floats where it then rounds."""
    values = image.double() / 255
    operations = {
        "color": lambda: 255 * V.adjust_saturation(values, 1 + magnitude),
        "contrast": lambda: 255 * V.adjust_contrast(values, 1 + magnitude),
        "sharpness": lambda: 255 * V.adjust_sharpness(values, 1 + magnitude),
        "autocontrast": lambda: 255 * V.autocontrast(values),
        "posterize": lambda: V.posterize(image, int(magnitude)),
        "solarize": lambda: V.solarize(image, magnitude),
        "invert": lambda: V.invert(image),
        "equalize": lambda: V.equalize(image),
    }
    return operations[name]()


# --- draws ---------------------------------------------------------------------------------


def splitmix64(state: int) -> int:
    """The published generator with Python's integers: one step from `state`."""
    mask = 2**64 - 1
    state = (state + 0x9E3779B97F4A7C15) & mask
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return state ^ (state >> 31)


@given(st.integers(-(2**63), 2**64), st.integers(0, 10**6), st.integers(0, 2**62))
def test_uniforms_equal_the_scalar_generator(seed: int, epoch: int, position: int) -> None:
    assert splitmix64(0) == 0xE220A8397B1DCDAF  # published first output for seed 0
    stream = 0
    for part in (seed, epoch, position):
        stream = splitmix64(stream ^ (part & (2**64 - 1)))
    golden = 0x9E3779B97F4A7C15
    expected = [(splitmix64((stream + k * golden) & (2**64 - 1)) >> 11) / 2**53 for k in range(5)]
    assert uniforms(seed, epoch, [position], 5)[0].tolist() == expected


def test_uniforms_are_uniform_and_uncorrelated() -> None:
    u = uniforms(3, 7, np.arange(20_000), len(Channel))
    assert u.min() >= 0
    assert u.max() < 1
    for k in range(len(Channel)):
        counts = np.histogram(u[:, k], bins=20, range=(0, 1))[0]
        assert ((counts - 1000) ** 2 / 1000).sum() < 50  # chi-square, 19 degrees: p = 1e-4
    correlation = np.corrcoef(np.hstack([u[:-1], u[1:]]).T) - np.eye(2 * len(Channel))
    assert np.abs(correlation).max() < 0.035


def test_seed_epoch_and_position_each_change_all_numbers() -> None:
    base = uniforms(0, 0, [0], 16)
    for other in (uniforms(1, 0, [0], 16), uniforms(0, 1, [0], 16), uniforms(0, 0, [1], 16)):
        assert (other != base).all()


def test_autoaugment_draws_every_operation_at_its_rate() -> None:
    u = uniforms(0, 0, np.arange(50_000), len(Channel))
    operation, magnitude = autoaugment(u)
    for slot in range(2):
        expected = dict.fromkeys(OPERATIONS, 0.0)
        for subpolicy in SUBPOLICIES:
            name, probability, _ = subpolicy[slot]
            expected[name] += probability / 25
            expected["identity"] += (1 - probability) / 25
        share = np.bincount(operation[:, slot], minlength=len(OPERATIONS)) / len(u)
        assert share == pytest.approx([expected[name] for name in OPERATIONS], abs=0.01)
    assert set(np.unique(operation)) == set(range(len(OPERATIONS)))
    turns = magnitude[operation == OPERATIONS.index("rotate")]
    assert set(np.abs(turns).round(3)) == {10.0, 26.667, 30.0}
    assert (turns > 0).mean() == pytest.approx(0.5, abs=0.02)
    assert set(magnitude[operation == OPERATIONS.index("posterize")]) == {4, 5, 6}
    assert set(magnitude[operation == OPERATIONS.index("solarize")].round()) == {
        28,
        57,
        113,
        142,
        170,
    }


def test_policy_is_the_published_one() -> None:
    published = AutoAugment(AutoAugmentPolicy.IMAGENET)
    ours = [
        tuple((name.replace("_", ""), probability, level) for name, probability, level in subpolicy)
        for subpolicy in SUBPOLICIES
    ]
    theirs = [
        tuple((name.lower(), probability, level or 0) for name, probability, level in subpolicy)
        for subpolicy in published.policies
    ]
    assert ours == theirs
    space = published._augmentation_space(10, (24, 24))
    meta = {name.lower(): values for name, values in space.items()}
    u = uniforms(0, 0, np.arange(5_000), len(Channel))
    operation, magnitude = autoaugment(u)
    chosen = (u[:, Channel.SUBPOLICY] * 25).astype(int)
    for slot in range(2):
        for i in np.flatnonzero(operation[:, slot]):
            name, _, level = theirs[chosen[i]][slot]
            values, signed = meta[name]
            strength = float(values[level]) if values.ndim else 0.0
            found = magnitude[i, slot]
            assert (abs(found) if signed else found) == pytest.approx(strength, abs=1e-4)


# --- colour --------------------------------------------------------------------------------

MAGNITUDES = {
    "color": (-0.9, -0.2, 0.0, 0.4, 0.9),
    "contrast": (-0.9, -0.2, 0.0, 0.4, 0.9),
    "sharpness": (-0.9, -0.2, 0.0, 0.4, 0.9),
    "posterize": (4.0, 5.0, 6.0, 7.0, 8.0),
    "solarize": (28.3, 113.3, 141.67, 170.0, 255.0),
}


@pytest.mark.parametrize("name", sorted(COLOUR))
def test_colour_operation_equals_torchvision(name: str) -> None:
    images = photos(5, 24, 30)
    images[4, 0] = 77  # a flat channel
    images[3, :, :3] = 255
    magnitudes = MAGNITUDES.get(name, (0.0,) * 5)
    ours = COLOUR[name](images, column(*magnitudes))
    theirs = torch.stack(
        [reference(name, image, m) for image, m in zip(images, magnitudes, strict=True)]
    )
    # torchvision's weights of grey add up to 0.9999; its smoothed image is not rounded here
    rounding = {"color": 0.53, "autocontrast": 0.501, "contrast": 0.55, "sharpness": 1.0}
    assert (ours.double() - theirs).abs().max() <= rounding.get(name, 0)
    assert ours.dtype == torch.uint8
    changed = (ours != images).flatten(1).any(1)
    assert changed.sum() >= 4 - (name == "solarize")


def test_equalize_leaves_images_of_few_pixels_and_flat_ones() -> None:
    images = torch.tensor([[[[5, 9], [9, 200]]] * 3, [[[7, 7], [7, 7]]] * 3], dtype=torch.uint8)
    assert torch.equal(COLOUR["equalize"](images, column(0, 0)), images)


def test_jitter_equals_torchvision_where_nothing_is_clipped() -> None:
    images = (photos(4) // 4 + 80).to(torch.uint8)
    brightness, saturation = column(0.9, 1.0, 1.1, 1.0), column(0.5, 1.5, 1.2, 1.0)
    ours = jitter(images, brightness, saturation)
    for image, result, b, s in zip(images, ours, brightness, saturation, strict=True):
        theirs = V.adjust_brightness(V.adjust_saturation(image.double() / 255, s.item()), b.item())
        assert (result - 255 * theirs).abs().max() <= 0.53
    assert torch.equal(ours[3], images[3])


# --- geometry ------------------------------------------------------------------------------


def test_warp_equals_explicit_bilinear_sampling() -> None:
    values = photos(2, 6, 8).float()
    inverse = shear(np.array([0.2, -0.1])) @ rotation(np.array([25.0, 200.0]))
    inverse[:, :2, 2] = [[0.1, -0.2], [0.0, 0.3]]
    result = warp(values, inverse)
    for b in range(2):
        for row in range(6):
            for col in range(8):
                place = np.array([(col - 3.5) / 3, (row - 2.5) / 3, 1.0])
                x, y, _ = inverse[b] @ place * 3 + [3.5, 2.5, 0]
                expected = torch.zeros(3)
                for i in (math.floor(y), math.floor(y) + 1):
                    for j in (math.floor(x), math.floor(x) + 1):
                        if 0 <= i < 6 and 0 <= j < 8:
                            weight = (1 - abs(y - i)) * (1 - abs(x - j))
                            expected += weight * values[b, :, i, j]
                assert torch.allclose(result[b, :, row, col], expected, atol=1e-2)


@settings(max_examples=20, deadline=None)
@given(st.floats(-180, 180), st.floats(-0.3, 0.3))
def test_composed_map_equals_one_after_another(degrees: float, slope: float) -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    smooth = (torch.sin(x / 9) + torch.cos(y / 11))[None, None]
    first, second = rotation(np.array([degrees])), shear(np.array([slope]))
    at_once = warp(smooth, first @ second)
    in_turn = warp(warp(smooth, first), second)
    middle = slice(24, 40)
    assert torch.allclose(
        at_once[..., middle, middle], in_turn[..., middle, middle], atol=0.01, rtol=0
    )
    assert (at_once[..., middle, middle] - smooth[..., middle, middle]).abs().max() > 1e-3 or (
        abs(degrees) < 1 and abs(slope) < 0.01
    )


def test_rotation_by_a_quarter_is_rot90() -> None:
    values = photos(1).float()
    assert torch.allclose(
        warp(values, rotation(np.array([90.0]))), values.rot90(1, (2, 3)), atol=1e-2
    )


def without_colour(policy: str, positions: np.ndarray) -> np.ndarray:
    """Positions whose sub-policy drew no colour operation."""
    u = uniforms(0, 0, positions, len(Channel))
    names = np.array(OPERATIONS)[autoaugment(u)[0]]
    return positions[~np.isin(names, list(COLOUR)).any(1)]


@pytest.mark.parametrize(
    "policy", [POLICIES["paper"], AugmentationPolicy(angle=90, scale=0.3, shear=25)]
)
def test_geometry_follows_torchvisions_order(
    policy: AugmentationPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Flips, one affine map, AutoAugment's shear and rotation, each sampled on its own."""
    for name in COLOUR:
        monkeypatch.setitem(COLOUR, name, lambda images, magnitude: images)
    u = uniforms(0, 0, np.arange(80), len(Channel))
    operations, magnitudes = autoaugment(u)
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(96.0), indexing="ij")
    image = (120 + 50 * torch.sin(x / 13) + 60 * torch.cos(y / 17 + 1)).expand(3, -1, -1).byte()
    augment = Augment("none", 0)
    augment.policy = policy
    ours = augment(image.expand(len(u), -1, -1, -1), np.arange(80), 0)
    for i, draw in enumerate(u):
        expected = image.float() / 255
        for axis, channel in ((2, Channel.FLIP_X), (1, Channel.FLIP_Y)):
            if policy.flips and draw[channel] < 0.5:
                expected = expected.flip(axis)
        angle, slant = (
            limit * (2 * draw[channel] - 1)
            for limit, channel in ((policy.angle, Channel.ANGLE), (policy.shear, Channel.SHEAR))
        )
        scale = 1 + policy.scale * (2 * draw[Channel.SCALE] - 1)
        bilinear = V.InterpolationMode.BILINEAR
        # torchvision's positive shear moves the lower half to the left
        expected = V.affine(expected, angle, [0, 0], scale, [-slant, 0.0], bilinear)
        for operation, magnitude in zip(operations[i], magnitudes[i], strict=True):
            if policy.autoaugment and OPERATIONS[operation] == "rotate":
                expected = V.affine(expected, magnitude, [0, 0], 1.0, [0.0, 0.0], bilinear)
            if policy.autoaugment and OPERATIONS[operation] == "shear_x":
                degrees = math.degrees(math.atan(magnitude))
                shift = [-degrees, 0.0]
                expected = V.affine(expected, 0.0, [0, 0], 1.0, shift, bilinear, center=[0, 0])
        middle = slice(36, 60)
        error = (ours[i, :, middle, middle] - expected[:, middle, middle]).abs().max()
        assert error < 0.02, (i, operations[i], magnitudes[i])
    for name in ("rotate", "shear_x"):
        assert (operations == OPERATIONS.index(name)).any()


# --- Augment -------------------------------------------------------------------------------


def test_none_scales_only() -> None:
    images = photos(3)
    result = Augment("none", 0)(images, np.arange(3), 0)
    assert torch.equal(result, images.float() / 255)


def test_flips_are_exact() -> None:
    images = photos(64)
    u = uniforms(5, 2, np.arange(64), len(Channel))
    result = Augment("flips", 5)(images, np.arange(64), 2)
    kinds = set()
    for image, found, draw in zip(images, result, u, strict=True):
        axes = [a for a, c in ((2, Channel.FLIP_X), (1, Channel.FLIP_Y)) if draw[c] < 0.5]
        kinds.add(tuple(axes))
        assert torch.equal(found, image.flip(axes).float() / 255)
    assert len(kinds) == 4


def test_colour_operations_follow_the_subpolicys_order() -> None:
    augment = Augment("none", 0)
    augment.policy = AugmentationPolicy(autoaugment=True)
    images = photos(300)
    original = images.clone()
    operations, magnitudes = autoaugment(uniforms(0, 0, np.arange(300), len(Channel)))
    result = augment(images, np.arange(300), 0)
    assert torch.equal(images, original)
    geometric = [OPERATIONS.index(name) for name in ("rotate", "shear_x")]
    for i in np.flatnonzero(~np.isin(operations, geometric).any(1)):
        expected = images[i : i + 1]
        for operation, magnitude in zip(operations[i], magnitudes[i], strict=True):
            if operation:
                expected = COLOUR[OPERATIONS[operation]](expected, column(magnitude))
        assert torch.allclose(result[i], expected[0] / 255, atol=1e-4), operations[i]


def test_jitter_covers_its_ranges() -> None:
    augment = Augment("none", 0)
    augment.policy = AugmentationPolicy(brightness=0.25, saturation=0.5)
    u = uniforms(0, 0, np.arange(500), len(Channel))
    pixel = torch.tensor([140, 100, 60], dtype=torch.uint8)[:, None, None]
    red, _, blue = 255 * augment(pixel.expand(500, 3, 4, 4), np.arange(500), 0)[..., 0, 0].T
    brightness = torch.from_numpy(0.75 + 0.5 * u[:, Channel.BRIGHTNESS])
    saturation = torch.from_numpy(0.5 + u[:, Channel.SATURATION])
    assert (red - blue - 80 * brightness * saturation).abs().max() < 1.01
    grey = 0.299 * 140 + 0.587 * 100 + 0.114 * 60
    expected = brightness * (saturation * 140 + (1 - saturation) * grey)
    assert (red - expected).abs().max() < 0.51


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_result_depends_on_neither_batch_size_nor_order_of_calls(policy: str) -> None:
    images, positions = photos(47, 21, 21), torch.arange(100, 147)
    original = images.clone()
    augment = Augment(policy, 1)
    whole = augment(images, positions, 4)
    assert torch.equal(images, original)
    for size in (1, 3, 20):
        pieces = [
            augment(images[i : i + size], positions[i : i + size], 4)
            for i in reversed(range(0, 47, size))
        ]
        assert torch.equal(torch.cat(pieces[::-1]), whole)
    shuffled = torch.randperm(47, generator=torch.Generator().manual_seed(0))
    assert torch.equal(
        Augment(policy, 1)(images[shuffled], positions[shuffled], 4), whole[shuffled]
    )
    last = images.contiguous(memory_format=torch.channels_last)
    result = augment(last, positions.numpy(), 4)
    assert result.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(result, whole)


@pytest.mark.parametrize("policy", ["paper", "released"])
def test_one_image_never_comes_out_twice_the_same(policy: str) -> None:
    images = photos(1).expand(32, -1, -1, -1)
    first = Augment(policy, 0)(images, np.arange(32), 0)
    assert len(first.flatten(1).unique(dim=0)) == 32
    for other in (
        Augment(policy, 1)(images, np.arange(32), 0),
        Augment(policy, 0)(images, np.arange(32), 1),
    ):
        assert (other != first).flatten(1).any(1).all()


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(sorted(POLICIES)),
    st.integers(1, 40),
    st.integers(4, 40),
    st.integers(4, 40),
    st.sampled_from([0, 255, None]),
)
def test_result_is_float_in_unit_range(
    policy: str, count: int, height: int, width: int, value: int | None
) -> None:
    images = photos(count, height, width)
    if value is not None:
        images.fill_(value)
    result = Augment(policy, 9)(images, np.arange(count), 3)
    assert result.shape == images.shape
    assert result.dtype == torch.float32
    assert result.min() >= 0
    assert result.max() <= 1


def test_cutout_is_a_black_square_of_an_eighth() -> None:
    positions = without_colour("released", np.arange(200))
    u = uniforms(0, 0, positions, len(Channel))
    white = torch.full((len(u), 3, 64, 64), 255, dtype=torch.uint8)
    result = Augment("released", 0)(white, positions, 0)
    for image, draw in zip(result, u, strict=True):
        top, left = int(draw[Channel.CUT_Y] * 64) - 4, int(draw[Channel.CUT_X] * 64) - 4
        inside = np.zeros((64, 64), bool)
        inside[max(top, 0) : top + 8, max(left, 0) : left + 8] = True
        assert (image[:, inside] == 0).all()
        centre = image[:, 24:40, 24:40]
        assert (centre[:, ~inside[24:40, 24:40]] > 0.8).all()


def test_crop_shifts_within_the_enlarged_image() -> None:
    """Only what the crop may leave is missing: no black comes in from a shift alone."""
    augment = Augment("none", 0)
    augment.policy = AugmentationPolicy(crop=0.125)
    white = torch.full((200, 3, 16, 32), 255, dtype=torch.uint8)
    assert augment(white, np.arange(200), 0).min() > 0.94  # half a pixel beyond the last centre
    ramp = torch.arange(0, 256, 8, dtype=torch.uint8).expand(200, 3, 16, 32)
    left = augment(ramp, np.arange(200), 0)[:, 0, 8, 0] * 255
    assert left.min() < 2
    assert left.max() == pytest.approx(255 * 0.125 / 1.125, abs=4)


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(
        UserError, match="unknown augmentation 'realeased'; did you mean 'released'"
    ):
        Augment("realeased", 0)
    with pytest.raises(
        UserError, match=r"must be \(B, 3, H, W\) uint8, not \(2, 3, 8, 8\) float32"
    ):
        Augment("none", 0)(torch.zeros(2, 3, 8, 8), np.arange(2), 0)
    with pytest.raises(
        UserError, match=r"one position per image, but the shape is \(3,\) for 2 images"
    ):
        Augment("none", 0)(torch.zeros(2, 3, 8, 8, dtype=torch.uint8), np.arange(3), 0)
