import numpy as np
import pytest
from PIL import Image

from fairexit.data import images
from fairexit.data.images import decode


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
        "text.jpg": "not an image of a format that is read",
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
    monkeypatch.setattr(images, "small_rgb", broken)
    assert decode(tmp_path / "x.png", 20, "squash").reason == (
        "unreadable image: NotImplementedError"
    )
