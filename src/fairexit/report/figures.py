"""Colours of the Matplotlib figures, and how they are saved."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from fairexit.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The palette of Okabe and Ito, which readers with colour blindness can distinguish.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def save_figure(figure: "Figure", path: Path) -> list[Path]:
    """Write `<path>.png` and `<path>.svg`; equal figures give identical files."""
    import matplotlib as mpl

    files = []
    with mpl.rc_context({"svg.hashsalt": "fairexit"}):
        for form, metadata in (("png", {"Software": None}), ("svg", {"Date": None})):
            content = io.BytesIO()
            figure.savefig(content, format=form, dpi=150, metadata=metadata)
            files.append(path.with_name(f"{path.name}.{form}"))
            write_atomically(files[-1], content.getvalue())
    return files
