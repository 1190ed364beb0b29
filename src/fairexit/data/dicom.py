"""Reading of DICOM files: the first frame as grey or colour of 8 bits, as a viewer shows it."""

import io
from collections.abc import Callable
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    from pydicom import Dataset

SUFFIXES = {".dcm", ".dicom"}
MAGIC = b"DICM"
"""Stands at byte 128 of a DICOM file."""

ROWS = 256
"""Rows that are converted at a time, to need little memory."""


def is_dicom(path: PurePath, content: bytes) -> bool:
    """Whether a file is DICOM by its magic bytes or, failing that, should be by its name."""
    return content[128:132] == MAGIC or path.suffix.lower() in SUFFIXES


def read_dicom(
    content: bytes, check_size: Callable[[int, int], None]
) -> tuple[Image.Image, list[str]]:
    """Read the first frame of a DICOM file.

    Grey values pass the modality LUT (or rescale slope and intercept) and the first VOI LUT or
    window; without one, the range of the stored bits becomes black to white. MONOCHROME1 is
    inverted. YBR and palettes become RGB.

    Args:
        content: the bytes of the file.
        check_size: raises an error if an image of this width and height is too large.
    Returns:
        The image in mode L or RGB, and what was done to it besides the decoding.
    Raises:
        ValueError: there is no picture, or it is none that can be shown.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError
    from pydicom.pixels import apply_color_lut, pixel_array

    try:
        dataset = dcmread(io.BytesIO(content))
    except InvalidDicomError:
        raise ValueError("not a DICOM file, though its name says so") from None
    if "PixelData" not in dataset or "Rows" not in dataset or "Columns" not in dataset:
        raise ValueError("a DICOM file without a picture")
    check_size(dataset.Columns, dataset.Rows)
    values = pixel_array(dataset, index=0)
    notes = []
    if int(dataset.get("NumberOfFrames") or 1) > 1:
        notes.append("first of several frames")
    photometric = dataset.PhotometricInterpretation
    if photometric.startswith("MONOCHROME"):
        grey = _grey(dataset, values, notes)
        if photometric == "MONOCHROME1":
            np.subtract(255, grey, out=grey)
            notes.append("inverted, as white is zero")
        return Image.fromarray(grey), notes
    bits = int(dataset.BitsStored)
    if photometric == "PALETTE COLOR":
        values = apply_color_lut(values, dataset)
        bits = 8 * values.dtype.itemsize
    if values.ndim != 3 or values.shape[2] not in (3, 4):
        raise ValueError(f"a DICOM file with the photometric interpretation {photometric}")
    image = Image.fromarray(_to_bytes(values[..., :3], 0, 2**bits - 1))
    if profile := dataset.get("ICCProfile"):
        image.info["icc_profile"] = bytes(profile)
    return image, notes


def _grey(dataset: "Dataset", values: NDArray[Any], notes: list[str]) -> NDArray[np.uint8]:
    """Apply the modality and VOI transforms of a grey image, (H, W) uint8."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    low, high = _modality_range(dataset)
    has_lut = bool(dataset.get("VOILUTSequence"))
    has_window = dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None
    if has_lut:
        low, high = 0, 2 ** int(dataset.VOILUTSequence[0].LUTDescriptor[2]) - 1
    if has_lut or has_window:
        notes.append("DICOM window applied")
    else:
        notes.append("DICOM without a window, scaled by its stored bits")
    grey = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), ROWS):
        block = apply_modality_lut(values[start : start + ROWS], dataset)
        if has_lut or has_window:
            block = apply_voi_lut(block, dataset)
        grey[start : start + ROWS] = _to_bytes(block, low, high)
    return grey


def _modality_range(dataset: "Dataset") -> tuple[float, float]:
    """Smallest and largest value that the stored bits can have after the modality transform."""
    if dataset.get("ModalityLUTSequence"):
        return 0, 2 ** int(dataset.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    bits, slope, intercept = int(dataset.BitsStored), 1.0, 0.0
    if dataset.get("RescaleSlope") is not None and dataset.get("RescaleIntercept") is not None:
        slope, intercept = float(dataset.RescaleSlope), float(dataset.RescaleIntercept)
    offset = 2 ** (bits - 1) if dataset.PixelRepresentation else 0
    return -offset * slope + intercept, (2**bits - 1 - offset) * slope + intercept


def _to_bytes(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Scale values from low ... high to 0 ... 255."""
    if values.dtype == np.uint8 and (low, high) == (0, 255):
        return values
    if not high > low:
        raise ValueError("its values have no range, as the slope or the window is 0")
    scale = 255 / (high - low)
    return ((values - low) * scale + 0.5).clip(0, 255).astype(np.uint8)
