"""No file blocks, starts a program, takes the memory or stops the others."""

import os
import socket
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from fairexit.data import images
from fairexit.data.images import decode
from fairexit.data.matching import find_images, image_files
from fairexit.terminal import path_text

PICTURE = Image.new("RGB", (12, 12), (10, 200, 30))


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    (tmp_path / "folder.png").mkdir()
    PICTURE.save(tmp_path / "real.jpg")
    (tmp_path / "link.jpg").symlink_to(tmp_path / "real.jpg")
    for name in ("pipe.png", "zero.png"):
        reason = decode(tmp_path / name, 12, "squash").reason
        assert reason == "unreadable file: not a regular file", name
    assert decode(tmp_path / "folder.png", 12, "squash").reason.startswith("unreadable file: ")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.png"))
        assert decode(tmp_path / "s.png", 12, "squash").reason.startswith("unreadable file: ")
    assert decode(tmp_path / "link.jpg", 12, "squash").pixels is not None
    assert [p.name for p in image_files(tmp_path)] == [
        "link.jpg", "pipe.png", "real.jpg", "s.png", "zero.png",
    ]  # fmt: skip


def test_a_file_of_too_many_bytes_is_refused(tmp_path, monkeypatch):
    PICTURE.save(tmp_path / "x.png")
    monkeypatch.setattr(images, "MAX_BYTES", 50)
    assert "bytes are more than 50" in decode(tmp_path / "x.png", 12, "squash").reason


def test_the_list_of_formats_is_closed(tmp_path, monkeypatch):
    def ghostscript(*_, **__):
        raise AssertionError("Ghostscript was started")

    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", ghostscript)
    PICTURE.save(tmp_path / "x.eps")
    (tmp_path / "eps.png").write_bytes((tmp_path / "x.eps").read_bytes())
    PICTURE.save(tmp_path / "tga.png", format="TGA")
    for name in ("eps.png", "tga.png"):
        reason = decode(tmp_path / name, 12, "squash").reason
        assert reason.startswith("unreadable image: not an image of a format that is read")


@pytest.mark.parametrize(
    ("suffix", "format"),
    [
        *[(s, "JPEG") for s in ("jpg", "jpeg", "jfif", "jpe")],
        *[("png", "PNG"), ("bmp", "BMP"), ("dib", "DIB"), ("gif", "GIF"), ("tif", "TIFF")],
        *[("webp", "WEBP"), ("jp2", "JPEG2000"), ("j2k", "JPEG2000"), ("ppm", "PPM")],
    ],
)
def test_formats_that_are_read(tmp_path, suffix, format):
    PICTURE.save(tmp_path / f"x.{suffix}", format=format)
    assert [file.name for file in image_files(tmp_path)] == [f"x.{suffix}"]
    pixels = decode(tmp_path / f"x.{suffix}", 12, "squash").pixels
    assert np.abs(pixels[5, 5].astype(int) - (10, 200, 30)).max() <= 6


def test_a_multi_picture_jpeg_is_read(tmp_path):
    PICTURE.save(tmp_path / "x.jpg", format="MPO", save_all=True, append_images=[PICTURE])
    assert Image.open(tmp_path / "x.jpg").format == "MPO"
    assert decode(tmp_path / "x.jpg", 12, "squash").pixels is not None


MEMORY = """
import resource, sys
from pathlib import Path
from fairexit.data.images import decode
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
reason = decode(Path(sys.argv[1]), 64, "squash").reason
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024, reason)
"""


@pytest.mark.parametrize("mode", ["I;16", "RGBA"])
def test_a_hundred_megapixels_take_little_memory(tmp_path, mode):
    image = Image.new(mode, (10_000, 10_000))
    image.save(tmp_path / "x.png", compress_level=1)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MEMORY, tmp_path / "x.png"],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    megabytes, _, reason = done.stdout.strip().partition(" ")
    assert int(megabytes) < 1500
    assert not reason


def test_a_name_that_is_not_utf8_does_not_stop_the_others(tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9.png")
    PICTURE.save(odd)
    PICTURE.save(tmp_path / "plain.png")
    assert decode(odd, 12, "squash").pixels is not None
    files = find_images(tmp_path, ["plain", "other"])
    assert list(files.paths) == ["plain"]
    assert files.unlisted == 1
    assert path_text(odd.name) == "caf\\xe9.png"
    pd.DataFrame({"file": [path_text(odd)]}).to_csv(tmp_path / "answers.csv")
