"""Pixels are those that a careful viewer shows, and what was done to them is counted."""

import io
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from fairexit.data.images import convert, decode

RAMP = np.tile(np.linspace(0, 1, 32), (32, 1))


def tiff(path, values, photometric=1, bits=None, max_sample=None, sample_format=None):
    """An uncompressed grey TIFF, byte by byte."""
    height, width = values.shape
    data = values.astype(values.dtype.newbyteorder("<")).tobytes()
    bits = bits or 8 * values.dtype.itemsize
    entries = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 0)]
    entries += [(277, 1), (278, height), (279, len(data))]
    entries += [(281, max_sample)] * (max_sample is not None)
    entries += [(339, sample_format)] * (sample_format is not None)
    offset = 8 + 2 + 12 * len(entries) + 4
    out = b"II*\0" + struct.pack("<IH", 8, len(entries))
    for tag, value in entries:
        out += struct.pack("<HHII", tag, 4, 1, offset if tag == 273 else value)
    path.write_bytes(out + struct.pack("<I", 0) + data)


def deep_png(path, values):
    """A 16-bit RGB PNG, which Pillow cannot write."""

    def chunk(kind, data):
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def grey(path):
    """The grey levels of a file, and what was done to it."""
    decoded = decode(path, 32, "squash")
    assert not decoded.reason
    assert np.array_equal(decoded.pixels[..., 0], decoded.pixels[..., 2])
    return decoded.pixels[..., 0].astype(int), decoded.adjusted


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_is_inverted(tmp_path, dtype):
    top = np.iinfo(dtype).max
    values = np.round(RAMP * top).astype(dtype)
    tiff(tmp_path / "black.tif", values)
    tiff(tmp_path / "white.tif", top - values, photometric=0)
    black, _ = grey(tmp_path / "black.tif")
    white, adjusted = grey(tmp_path / "white.tif")
    assert np.abs(black - 255 * RAMP).max() <= 1
    assert np.abs(white - 255 * RAMP).max() <= 1
    assert ("inverted, as white is zero" in adjusted) == (dtype == np.uint16)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_fewer_bits_in_sixteen_are_scaled_by_those_used(tmp_path, bits):
    values = np.round(RAMP * (2**bits - 1)).astype(np.uint16)
    Image.fromarray(values).save(tmp_path / "x.png")
    levels, adjusted = grey(tmp_path / "x.png")
    assert np.abs(levels - 255 * RAMP).max() <= 1
    assert adjusted == (f"grey of {bits} bits scaled to 8",)


def test_a_tag_says_which_bits_are_used(tmp_path):
    dark = np.round(RAMP * 200).astype(np.uint16)
    tiff(tmp_path / "x.tif", dark, max_sample=4095)
    levels, adjusted = grey(tmp_path / "x.tif")
    assert np.abs(levels - dark * 255 / 4095).max() <= 1
    assert adjusted == ("grey of 12 bits scaled to 8",)
    white = 4095 - dark
    tiff(tmp_path / "y.tif", white, photometric=0)
    assert np.abs(grey(tmp_path / "y.tif")[0] - levels).max() <= 1


def test_values_without_a_known_black_or_white_are_refused(tmp_path):
    tiff(tmp_path / "hu.tif", (RAMP * 3000 - 1000).astype(np.int16), sample_format=2)
    tiff(tmp_path / "huge.tif", (RAMP * 10**6).astype(np.int32), sample_format=2)
    deep_png(tmp_path / "twelve.png", np.stack([RAMP * 4095] * 3, 2))
    assert "values below 0 have no known black" in decode(tmp_path / "hu.tif", 9, "crop").reason
    assert "values above 65,535" in decode(tmp_path / "huge.tif", 9, "crop").reason
    assert "uses 14 bits or fewer" in decode(tmp_path / "twelve.png", 9, "crop").reason
    deep_png(tmp_path / "sixteen.png", np.stack([RAMP * 65535] * 3, 2))
    assert np.abs(grey(tmp_path / "sixteen.png")[0] - 255 * RAMP).max() <= 1


def transparent(mode):
    """Two pictures that look the same, with other colours where nothing is seen."""
    for hidden in ((0, 0, 0), (240, 30, 10)):
        pixels = np.zeros((32, 32, 4), np.uint8)
        pixels[..., :3] = hidden
        pixels[8:24, 8:24] = (190, 190, 190, 255)
        yield Image.fromarray(pixels).convert(mode)


@pytest.mark.parametrize(("mode", "suffix"), [("RGBA", "png"), ("LA", "png"), ("RGBA", "webp")])
def test_what_is_transparent_is_white(tmp_path, mode, suffix):
    for i, image in enumerate(transparent(mode)):
        image.save(tmp_path / f"{i}.{suffix}", lossless=True)
        decoded = decode(tmp_path / f"{i}.{suffix}", 32, "squash")
        assert decoded.adjusted == ("transparent parts on white",)
        assert (decoded.pixels[:7] == 255).all()
        assert (decoded.pixels[10:20, 10:20] == 190).all()


def test_half_transparent_is_mixed_and_a_colour_key_is_transparent(tmp_path):
    Image.new("RGBA", (32, 32), (200, 100, 0, 51)).save(tmp_path / "half.png")
    pixels = decode(tmp_path / "half.png", 32, "squash").pixels
    assert np.abs(pixels[0, 0].astype(int) - (244, 224, 204)).max() <= 1
    palette = Image.new("P", (32, 32), 1)
    palette.putpalette([9, 9, 9, 50, 60, 70])
    palette.paste(0, (0, 0, 32, 16))
    palette.save(tmp_path / "key.png", transparency=1)
    Image.fromarray((RAMP > 0.5).astype(np.uint16) * 65535).save(
        tmp_path / "deep.png", transparency=0
    )
    pixels = decode(tmp_path / "key.png", 32, "squash").pixels
    assert pixels[0, 0].tolist() == [9, 9, 9]
    assert pixels[-1, -1].tolist() == [255, 255, 255]
    assert "transparent parts on white" in decode(tmp_path / "deep.png", 32, "squash").adjusted
    Image.new("RGBA", (32, 32), (1, 2, 3, 255)).save(tmp_path / "full.png")
    assert decode(tmp_path / "full.png", 32, "squash").adjusted == ()


def wide_profile(red=(0.7347, 0.2653), gamma=2.2):
    """A matrix profile with wide primaries, made by changing the numbers of Pillow's sRGB."""
    content = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack(">I", content[128:132])[0]
    for i in range(count):
        tag, offset, _ = struct.unpack(">4sII", content[132 + 12 * i : 144 + 12 * i])
        if tag == b"rXYZ":
            values = struct.unpack(">3i", content[offset + 8 : offset + 20])
            wider = [values[0] + 9000, values[1] + 2000, values[2]]
            content[offset + 8 : offset + 20] = struct.pack(">3i", *wider)
    return bytes(content)


def test_a_colour_profile_is_applied(tmp_path):
    image = Image.new("RGB", (32, 32), (200, 60, 40))
    profile = wide_profile()
    image.save(tmp_path / "wide.png", icc_profile=profile)
    image.save(tmp_path / "wide.jpg", icc_profile=profile, quality=95)
    expected = ImageCms.profileToProfile(
        image,
        ImageCms.ImageCmsProfile(io.BytesIO(profile)),
        ImageCms.createProfile("sRGB"),
    ).getpixel((0, 0))
    assert abs(expected[0] - 200) > 10
    for name in ("wide.png", "wide.jpg"):
        decoded = decode(tmp_path / name, 32, "squash")
        assert decoded.adjusted == ("colour profile applied",)
        assert np.abs(decoded.pixels[5, 5].astype(int) - expected).max() <= 2


def test_a_profile_that_changes_nothing_is_not_counted(tmp_path):
    image = Image.new("RGB", (32, 32), (200, 60, 40))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image.save(tmp_path / "x.png", icc_profile=srgb)
    decoded = decode(tmp_path / "x.png", 32, "squash")
    assert decoded.adjusted == ()
    assert decoded.pixels[0, 0].tolist() == [200, 60, 40]


def test_a_profile_that_cannot_be_used_is_ignored_and_counted(tmp_path):
    Image.new("RGB", (9, 9), (200, 60, 40)).save(tmp_path / "broken.png", icc_profile=b"x" * 300)
    Image.new("L", (9, 9), 99).save(tmp_path / "grey.png", icc_profile=wide_profile())
    Image.new("CMYK", (9, 9), (9, 99, 99, 0)).save(tmp_path / "c.jpg", icc_profile=wide_profile())
    for name in ("broken.png", "grey.png", "c.jpg"):
        adjusted = decode(tmp_path / name, 9, "squash").adjusted
        assert adjusted == ("colour profile ignored, as it is broken or of another kind",)
    assert decode(tmp_path / "broken.png", 9, "squash").pixels[0, 0].tolist() == [200, 60, 40]


def test_the_profile_of_a_transparent_image_changes_its_colours_only(tmp_path):
    image = Image.new("RGBA", (32, 32), (200, 60, 40, 255))
    image.paste((200, 60, 40, 0), (0, 0, 32, 16))
    image.save(tmp_path / "x.png", icc_profile=wide_profile())
    decoded = decode(tmp_path / "x.png", 32, "squash")
    assert decoded.adjusted == ("colour profile applied", "transparent parts on white")
    assert decoded.pixels[0, 0].tolist() == [255, 255, 255]
    assert decoded.pixels[-1, -1, 0] > 210


def test_the_orientation_is_counted(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3
    Image.fromarray((RAMP * 255).astype(np.uint8)).save(tmp_path / "x.png", exif=exif)
    levels, adjusted = grey(tmp_path / "x.png")
    assert adjusted == ("turned as their EXIF orientation says",)
    assert levels[0, 0] == 255


def test_an_opened_image_is_read_alike(tmp_path):
    deep = Image.fromarray(np.round(RAMP * 4095).astype(np.uint16))
    assert convert(deep, 32, "squash").adjusted == ("grey of 12 bits scaled to 8",)


def test_warning_filters_stay_as_they_were(tmp_path):
    exif_broken = Image.new("RGB", (64, 64))
    exif_broken.save(tmp_path / "x.jpg", exif=b"Exif\0\0II*\0" + b"\xff" * 40)
    before = list(warnings.filters)
    threads = [
        threading.Thread(target=lambda: [decode(tmp_path / "x.jpg", 16, "crop") for _ in range(20)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before
