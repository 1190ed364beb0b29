"""Static quantisation of ONNX graphs to 8 bits, calibrated on training images."""

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fairexit.errors import UserError, reason, short
from fairexit.runtime.graphs import Floats, open_graph, run

BATCH = 32


class _Reader:
    """Gives calibration inputs to onnxruntime, batch by batch.

    Args:
        name: of the graph's input.
        inputs: images or features, (N, ...).
    """

    def __init__(self, name: str, inputs: Floats) -> None:
        self._batches: Iterator[dict[str, Floats]] = (
            {name: inputs[start : start + BATCH]} for start in range(0, len(inputs), BATCH)
        )

    def get_next(self) -> dict[str, Floats] | None:
        return next(self._batches, None)


def quantise(folder: Path, names: Sequence[str], images: Floats) -> None:
    """Replace graphs in running order by 8-bit ones.

    Weights are stored in 8 bits for each channel, of which 7 are used, so that sums do not
    overflow on processors without VNNI and every machine gives the same answers. Activations have
    8 bits, with the ranges that the float graphs have on the images.

    Args:
        folder: where the graphs lie.
        names: their files.
        images: training images as the network takes them, (N, 3, H, W).
    Raises:
        UserError: onnxruntime cannot quantise a graph.
    """
    values = images
    for name in names:
        file = folder / name
        graph = open_graph(file, file.read_bytes(), None)
        reader = _Reader(graph.get_inputs()[0].name, values)
        outputs = [
            run(graph, values[start : start + BATCH]) for start in range(0, len(values), BATCH)
        ]
        values = np.concatenate([output[0] for output in outputs])
        try:
            _quantise(file, reader)
        except Exception as error:  # any layer may fail in many ways
            raise UserError(
                f"onnxruntime cannot quantise {name}: {short(reason(error), 200)}; export it "
                "without int8"
            ) from None


def _quantise(file: Path, reader: _Reader) -> None:
    """Replace a graph by its 8-bit form."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as name:
        prepared, result = Path(name, "prepared.onnx"), Path(name, "int8.onnx")
        # Merges batch norms into convolutions, which have then one range in place of two.
        quant_pre_process(str(file), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(result),
            reader,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
        file.write_bytes(result.read_bytes())
