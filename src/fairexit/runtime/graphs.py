"""ONNX graphs as onnxruntime runs them: all exits in one graph, or one graph for each exit."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fairexit.errors import UserError, reason, short
from fairexit.runtime.manifest import EXPORT_AGAIN

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Floats = NDArray[np.float32]

_LOCATION = b"location"
"""The key under which a graph names another file."""


def open_graph(file: Path, content: bytes, threads: int | None) -> "InferenceSession":
    """Open a graph that is whole in itself.

    Args:
        file: where the content comes from, for messages.
        content: the bytes of the file.
        threads: number of threads; None leaves it to onnxruntime.
    Raises:
        UserError: it is no graph of a supported kind, or it refers to other files.
    """
    import onnxruntime

    if _names_files(content):
        raise UserError(f"{file} refers to other files, which are not read; {EXPORT_AGAIN}")
    if content[4:8] == b"ORTM":
        raise UserError(f"{file} is in onnxruntime's own format, not ONNX; {EXPORT_AGAIN}")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised, and printed once
    options.intra_op_num_threads = threads or 0
    # The graphs run in turn, and threads that wait for one would slow the next.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has an error class for each status
        raise UserError(
            f"{file} cannot be run by onnxruntime ({short(reason(error), 200)}); {EXPORT_AGAIN}"
        ) from None


def _names_files(content: bytes) -> bool:
    """Whether a graph names another file that it wants to read."""
    at = content.find(_LOCATION)
    # Before a text stands its length, 8, as a number that ends in 0 if it is longer than need be.
    while at > 0 and content[at - 1] not in (0, len(_LOCATION)):
        at = content.find(_LOCATION, at + 1)
    return at > 0


class Pass(Protocol):
    """One pass of images through the network, exit by exit."""

    def logits(self, number: int) -> Floats:
        """The logits of the images that are still in, (B, C), at the exit of index `number`."""
        ...

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Drop all images but these, by their position among those still in."""
        ...


class WholePass:
    """A pass in which all exits are computed at once.

    Args:
        logits: of each exit, (B, C).
    """

    def __init__(self, logits: Sequence[Floats]) -> None:
        self._logits = logits
        self._rows = np.arange(len(logits[0]))

    def logits(self, number: int) -> Floats:
        return self._logits[number][self._rows]

    def keep(self, rows: NDArray[np.int64]) -> None:
        self._rows = self._rows[rows]


class StagedPass:
    """A pass through one graph for each exit, in which dropped images cost nothing more.

    Args:
        graphs: each takes images or features and returns features, but for the last, and logits.
        images: (B, 3, H, W), from 0 to 1.
    """

    def __init__(self, graphs: Sequence["InferenceSession"], images: Floats) -> None:
        self._graphs, self._features = graphs, images

    def logits(self, number: int) -> Floats:
        *features, logits = run(self._graphs[number], self._features)
        if features:
            (self._features,) = features
        return logits

    def keep(self, rows: NDArray[np.int64]) -> None:
        self._features = self._features[rows]


def run(graph: "InferenceSession", values: Floats) -> list[Any]:
    """The outputs of a graph with a single input."""
    return graph.run(None, {graph.get_inputs()[0].name: values})
