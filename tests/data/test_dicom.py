"""DICOM files give the pixels that a viewer shows."""

import sys
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from fairexit.data.images import decode
from fairexit.data.matching import find_images

RAMP = np.tile(np.linspace(0, 1, 16), (16, 1))


def dicom(path, values, photometric="MONOCHROME2", **elements):
    """Write an uncompressed DICOM file."""
    dataset = Dataset()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = generate_uid()
    dataset.Rows, dataset.Columns = values.shape[-3:-1] if values.shape[-1] == 3 else values.shape
    dataset.SamplesPerPixel = 3 if values.shape[-1] == 3 else 1
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.BitsAllocated = 8 * values.dtype.itemsize
    dataset.BitsStored = elements.pop("BitsStored", dataset.BitsAllocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(values.dtype.kind == "i")
    dataset.PixelData = values.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    path.write_bytes(stream.getvalue())


def levels(path):
    decoded = decode(path, 16, "squash")
    assert not decoded.reason
    return decoded.pixels.astype(int), decoded.adjusted


def test_stored_bits_become_black_to_white(tmp_path):
    dicom(tmp_path / "x.dcm", np.round(RAMP * 4095).astype(np.uint16), BitsStored=12)
    pixels, adjusted = levels(tmp_path / "x.dcm")
    assert np.abs(pixels[..., 0] - 255 * RAMP).max() <= 1
    assert adjusted == ("DICOM without a window, scaled by its stored bits",)


def test_monochrome1_is_inverted(tmp_path):
    dicom(tmp_path / "x.dcm", np.round(255 * RAMP).astype(np.uint8), "MONOCHROME1")
    pixels, adjusted = levels(tmp_path / "x.dcm")
    assert np.abs(pixels[..., 0] - 255 * (1 - RAMP)).max() <= 1
    assert "inverted, as white is zero" in adjusted


def test_slope_intercept_and_window(tmp_path):
    hounsfield = RAMP * 2000 - 1000
    stored = np.round((hounsfield + 1024) / 2).astype(np.int16)
    dicom(
        tmp_path / "x.dcm",
        stored,
        BitsStored=12,
        RescaleSlope=2,
        RescaleIntercept=-1024,
        WindowCenter=0,
        WindowWidth=400,
    )
    pixels, adjusted = levels(tmp_path / "x.dcm")
    expected = ((hounsfield + 0.5) / 399 + 0.5).clip(0, 1) * 255
    assert np.abs(pixels[..., 0] - expected).max() <= 2
    assert adjusted == ("DICOM window applied",)


def test_a_lookup_table_is_applied(tmp_path):
    item = Dataset()
    item.LUTDescriptor = [256, 0, 16]
    item.LUTData = [65535 - 257 * i for i in range(256)]
    item["LUTData"].VR = "US"
    values = np.round(255 * RAMP).astype(np.uint8)
    dicom(tmp_path / "x.dcm", values, VOILUTSequence=[item])
    pixels, _ = levels(tmp_path / "x.dcm")
    assert np.abs(pixels[..., 0] - 255 * (1 - RAMP)).max() <= 1


def test_colour_and_ybr(tmp_path):
    image = Image.new("RGB", (16, 16), (200, 90, 30))
    dicom(tmp_path / "rgb.dcm", np.asarray(image), "RGB")
    dicom(tmp_path / "ybr.dcm", np.asarray(image.convert("YCbCr")), "YBR_FULL")
    for name in ("rgb.dcm", "ybr.dcm"):
        pixels, adjusted = levels(tmp_path / name)
        assert np.abs(pixels - (200, 90, 30)).max() <= 2
        assert adjusted == ()


def test_the_first_of_several_frames_is_read(tmp_path):
    values = np.round(255 * RAMP).astype(np.uint8)
    frames = np.concatenate([values, 255 - values])
    dicom(tmp_path / "x.dcm", frames, Rows=16, NumberOfFrames=2)
    pixels, adjusted = levels(tmp_path / "x.dcm")
    assert np.abs(pixels[..., 0] - values).max() <= 1
    assert "first of several frames" in adjusted


def test_a_file_without_an_ending_is_known_by_its_content(tmp_path):
    dicom(tmp_path / "1.2.840.113", np.zeros((16, 16), np.uint8))
    dicom(tmp_path / "IM0001", np.zeros((16, 16), np.uint8))
    (tmp_path / "README").write_text("no picture")
    files = find_images(tmp_path, ["1.2.840.113", "IM0001"])
    assert len(files.paths) == 2
    assert files.unlisted == 0
    assert decode(tmp_path / "IM0001", 16, "squash").pixels is not None


def test_what_is_no_picture_says_why(tmp_path, monkeypatch):
    (tmp_path / "text.dcm").write_text("text")
    dicom(tmp_path / "report.dcm", np.zeros((16, 16), np.uint8))
    content = (tmp_path / "report.dcm").read_bytes()
    (tmp_path / "half.dcm").write_bytes(content[:-100])
    reason = decode(tmp_path / "text.dcm", 16, "crop").reason
    assert reason == "unreadable image: not a DICOM file, though its name says so"
    assert decode(tmp_path / "half.dcm", 16, "crop").reason.startswith("unreadable image: ")
    monkeypatch.setattr("fairexit.data.images.MAX_PIXELS", 100)
    assert "16 x 16 pixels are more than" in decode(tmp_path / "report.dcm", 16, "crop").reason


@pytest.mark.parametrize(("name", "kind"), [("x.dcm", ".dcm"), ("IM1", "DICOM")])
def test_without_the_extra_the_kind_is_not_read(tmp_path, monkeypatch, name, kind):
    dicom(tmp_path / name, np.zeros((16, 16), np.uint8))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    reason = decode(tmp_path / name, 16, "crop").reason
    assert reason == f"a kind that is not read without fairexit[dicom] ({kind})"
