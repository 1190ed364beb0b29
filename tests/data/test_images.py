import numpy as np
import pytest
from PIL import Image

from fairexit.data import images
from fairexit.data.images import decode, near_pairs, perceptual_hash


def picture(side=40):
    ramp = np.linspace(0, 255, side)
    return np.stack(
        [ramp[:, None] + 0 * ramp, 0 * ramp[:, None] + ramp, np.full((side, side), 90)], 2
    )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK", "L", "P", "1", "LA"])
def test_modes_become_rgb(tmp_path, mode):
    suffix = "tif" if mode == "CMYK" else "png"
    Image.fromarray(picture().astype(np.uint8)).convert(mode).save(tmp_path / f"x.{suffix}")
    found = decode(tmp_path / f"x.{suffix}", 20, "squash")
    assert found.pixels.shape == (20, 20, 3)
    assert found.pixels.dtype == np.uint8
    assert len(found.digest) == 64


def test_colours_and_places_survive(tmp_path):
    Image.fromarray(picture().astype(np.uint8)).save(tmp_path / "x.png")
    pixels = decode(tmp_path / "x.png", 40, "squash").pixels
    assert np.abs(pixels - picture()).max() <= 1


def test_sixteen_bits_are_scaled(tmp_path):
    grey = np.linspace(0, 65535, 400).reshape(20, 20).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "x.png")
    pixels = decode(tmp_path / "x.png", 20, "squash").pixels
    assert np.abs(pixels[..., 0] - grey / 257).max() <= 1


def test_orientation_is_applied(tmp_path):
    upright = Image.fromarray(picture().astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    upright.save(tmp_path / "x.png", exif=exif)
    turned = decode(tmp_path / "x.png", 40, "squash").pixels
    assert np.abs(turned.astype(int) - np.rot90(picture(), -1)).max() <= 1


def test_crop_keeps_the_aspect(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 255
    Image.fromarray(wide).save(tmp_path / "x.png")
    assert decode(tmp_path / "x.png", 20, "crop").pixels.min() == 255
    assert decode(tmp_path / "x.png", 20, "squash").pixels.min() == 0


def test_what_cannot_be_read_says_why(tmp_path, monkeypatch):
    Image.fromarray(picture().astype(np.uint8)).save(tmp_path / "whole.jpg")
    content = (tmp_path / "whole.jpg").read_bytes()
    (tmp_path / "half.jpg").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "text.jpg").write_text("not an image")
    Image.fromarray(np.zeros((9, 9), np.float32)).save(tmp_path / "float.tif")
    reasons = {
        "float.tif": "a floating-point image has no known white",
        "half.jpg": "unreadable image",
        "empty.jpg": "the file is empty",
        "text.jpg": "not an image format",
        "absent.jpg": "unreadable file: No such file",
    }
    for name, reason in reasons.items():
        found = decode(tmp_path / name, 20, "squash")
        assert found.pixels is None
        assert reason in found.reason
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    assert (
        "40 x 40 pixels are more than 1,000" in decode(tmp_path / "whole.jpg", 20, "squash").reason
    )


def test_a_decoder_that_raises_anything_is_a_reason(tmp_path, monkeypatch):
    def broken(*_):
        raise NotImplementedError

    Image.fromarray(picture().astype(np.uint8)).save(tmp_path / "x.png")
    monkeypatch.setattr(images, "_to_rgb", broken)
    assert decode(tmp_path / "x.png", 20, "squash").reason == (
        "unreadable image: NotImplementedError"
    )


def test_a_dark_sixteen_bit_image_stays_dark(tmp_path):
    Image.fromarray(np.full((9, 9), 200, np.uint16)).save(tmp_path / "x.png")
    assert decode(tmp_path / "x.png", 20, "squash").pixels.max() == 0


def test_copies_are_found_and_others_not():
    rng = np.random.default_rng(0)
    from PIL import ImageFilter

    many = []
    for _ in range(8):
        noise = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).resize((64, 64))
        many.append(np.asarray(noise.filter(ImageFilter.GaussianBlur(2))))
    brighter = (many[3].astype(float) * 0.8).astype(np.uint8)
    hashes = perceptual_hash(np.stack([*many, many[0], brighter]))
    pairs = near_pairs(hashes, 10)
    assert {tuple(p) for p in pairs.tolist()} == {(0, 8), (3, 9)}


def test_pairs_equal_the_slow_twin():
    rng = np.random.default_rng(1)
    hashes = rng.integers(0, 2**63, (40, 4), np.uint64)
    hashes[7] = hashes[3]
    hashes[9, 0] ^= np.uint64(0b111)
    hashes[20] = hashes[9]
    hashes[20, 2] ^= np.uint64(1)
    slow = [
        (i, j)
        for i in range(40)
        for j in range(i + 1, 40)
        if sum(int(a ^ b).bit_count() for a, b in zip(hashes[i], hashes[j], strict=True)) <= 3
    ]
    assert near_pairs(hashes, 3).tolist() == [list(p) for p in slow]
    assert slow == [(3, 7), (9, 20)]
