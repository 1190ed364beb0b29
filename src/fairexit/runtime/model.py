"""An exported model and its answers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fairexit.data.images import AnyPicture, is_picture, to_pixels
from fairexit.errors import UserError, option, reason, short
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.theta import theta_name
from fairexit.extras import require
from fairexit.runtime.early_exit import EarlyExit, Rule, Traced, all_exits, early_exit
from fairexit.runtime.graphs import Floats, Pass, StagedPass, WholePass, open_graph, run
from fairexit.runtime.manifest import EXPORT_AGAIN, POLICY, Manifest, open_manifest

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

ACCEPTED = "give files, Pillow images, or uint8 arrays (H, W, 3) or (N, H, W, 3)"


@dataclass(frozen=True, eq=False)
class Answers:
    """The answers for N images.

    Attributes:
        prediction: names of the predicted classes, (N,); "" for an image that cannot be read.
        probabilities: class probabilities at the exit that answers, (N, C); NaN likewise.
        exit: names of the exits that answer, (N,); "" likewise.
        confidence: what the policy compares with theta, (N,); NaN likewise.
        problem: why an image cannot be read, (N,); "" if it can.
        classes: C names.
    """

    prediction: NDArray[np.str_]
    probabilities: Floats
    exit: NDArray[np.str_]
    confidence: Floats
    problem: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.prediction)


@dataclass(frozen=True, eq=False)
class Model:
    """An exported model, which `load` returns.

    Attributes:
        manifest: classes, exits and preprocessing.
        policy: the rule by which an image leaves at an exit.
        graphs: the graphs in running order.
    """

    manifest: Manifest
    policy: Policy
    graphs: tuple["InferenceSession", ...]

    def __repr__(self) -> str:
        m = self.manifest
        return (
            f"Model({m.form}, exits {', '.join(m.exits)}; {len(m.classes)} classes, images of "
            f"{m.size} px, theta {theta_name(self.policy.theta)})"
        )

    def __call__(self, images: AnyPicture | Iterable[AnyPicture], batch_size: int = 64) -> Answers:
        """Classify images.

        Args:
            images: one or several: paths of files, Pillow images, or uint8 arrays (H, W, 3) or
                (N, H, W, 3), of any size.
            batch_size: images per batch; this changes only speed and memory.
        Raises:
            UserError: an item is not an image.
        """
        parts = list(self.classify(images, batch_size))
        problems = tuple(text for _, texts in parts for text in texts)
        read = np.array([not text for text in problems], bool)
        m = self.manifest
        probabilities = np.full((len(read), len(m.classes)), np.nan, np.float32)
        confidence = np.full(len(read), np.nan, np.float32)
        prediction, exits = np.full(len(read), "", object), np.full(len(read), "", object)
        if read.any():
            batches = [answers for answers, _ in parts if answers is not None]
            values = [np.concatenate(column) for column in zip(*batches, strict=True)]
            probabilities[read], numbers, confidence[read] = values
            prediction[read] = np.array(m.classes)[values[0].argmax(1)]
            exits[read] = np.array(m.exits)[numbers]
        return Answers(
            prediction.astype(str),
            probabilities,
            exits.astype(str),
            confidence,
            problems,
            m.classes,
        )

    def classify(
        self, images: AnyPicture | Iterable[AnyPicture], batch_size: int = 64
    ) -> Iterator[tuple[EarlyExit | None, list[str]]]:
        """Classify images batch by batch; arguments and errors as for a call.

        Yields:
            The answers for those images of a batch that can be read, None if none can; and for
            each image why it cannot be read, "" if it can.
        """
        items = as_list(images)
        for start in range(0, len(items), batch_size):
            decoded = [
                to_pixels(image, self.manifest.size, self.manifest.fit)
                for image in items[start : start + batch_size]
            ]
            pixels = [image.pixels for image in decoded if image.pixels is not None]
            answers = self.answer(np.stack(pixels)) if pixels else None
            yield answers, [image.reason for image in decoded]

    def answer(self, pixels: NDArray[np.uint8]) -> EarlyExit:
        """Answer images that have the network's size, (B, size, size, 3), at least one."""
        return early_exit(self.begin(pixels), len(pixels), self.rule)

    def trace(self, pixels: NDArray[np.uint8]) -> Traced:
        """Answer images as `answer` does, with the probabilities of every exit on the way."""
        shape = len(pixels), len(self.manifest.exits), len(self.manifest.classes)
        exits = np.full(shape, np.nan, np.float32)

        def note(number: int, rows: NDArray[np.int64], probabilities: Floats) -> None:
            exits[rows, number] = probabilities

        answers = early_exit(self.begin(pixels), len(pixels), self.rule, note)
        return Traced(answers, exits)

    @cached_property
    def rule(self) -> Rule:
        """The policy in the form that is applied to each batch."""
        return Rule.of(self.policy, len(self.manifest.exits))

    def probabilities(self, pixels: NDArray[np.uint8]) -> Floats:
        """Class probabilities of every exit, (B, E, C), of images of the network's size."""
        return all_exits(self.begin(pixels), len(self.manifest.exits))

    def begin(self, pixels: NDArray[np.uint8]) -> Pass:
        """Begin a pass of images (B, size, size, 3) through the network."""
        images = to_input(pixels)
        if self.manifest.form == "staged":
            return StagedPass(self.graphs, images)
        return WholePass(run(self.graphs[0], images))


def to_input(pixels: NDArray[np.uint8]) -> Floats:
    """Images (B, H, W, 3) as the network takes them: (B, 3, H, W), from 0 to 1."""
    values = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2), np.float32)
    values /= np.float32(255)
    return values


def as_list(images: Any) -> Sequence[AnyPicture]:
    """A list of single images, from one image, several, or a batch in one array.

    Raises:
        UserError: an item is not an image.
    """
    is_single = isinstance(images, str | Path | Image.Image) or getattr(images, "ndim", 4) != 4
    if not is_single and not isinstance(images, Iterable):
        raise UserError(f"{type(images).__name__} is not an image; {ACCEPTED}")
    items = [images] if is_single else list(images)
    for image in items:
        if not is_picture(image):
            shape = f" {image.dtype} {image.shape}" if isinstance(image, np.ndarray) else ""
            raise UserError(f"{type(image).__name__}{shape} is not an image; {ACCEPTED}")
    return items


def load(path: str | Path, *, threads: int | None = None, sha256: str | None = None) -> Model:
    """Load a folder that `fairexit export` wrote.

    All checksums are verified. Only graphs and JSON are read, so no code comes from the folder.

    Args:
        path: the folder.
        threads: number of threads; by default onnxruntime takes one for each core.
        sha256: the manifest's SHA-256, which the export printed. Given from elsewhere, it shows
            deliberate changes too.
    Raises:
        UserError: the folder is not an ONNX export, or a file is damaged or was changed.
    """
    require("onnx-run", "fairexit.runtime.load")
    if threads is not None and threads < 1:
        raise UserError(f"{option('threads')} is {threads}; it must be at least 1")
    manifest = open_manifest(Path(path), sha256)
    if manifest.form == "torch-export":
        raise UserError(
            f"{path} is a program of torch.export, which PyTorch loads with pickle, so it is not "
            "opened here; export the run in the form 'staged' or 'all-exits'"
        )
    file = manifest.path / POLICY
    policy = Policy.load(file)
    try:
        Rule.of(policy, len(manifest.exits))
    except UserError as error:
        raise error.at(str(file)) from None
    graphs = tuple(
        open_graph(manifest.path / name, manifest.read(name), threads) for name in manifest.graphs
    )
    model = Model(manifest, policy, graphs)
    _check_answers(model)
    return model


def _check_answers(model: Model) -> None:
    """Raise a UserError if the graphs do not fit each other or the manifest.

    One black image is classified.
    """
    m = model.manifest
    try:
        shape = model.probabilities(np.zeros((1, m.size, m.size, 3), np.uint8)).shape
    except Exception as error:  # of onnxruntime, or of NumPy where a graph has other outputs
        raise UserError(
            f"{m.path}: the graphs do not fit each other ({short(reason(error), 200)}); "
            f"{EXPORT_AGAIN}"
        ) from None
    if shape[1:] != (len(m.exits), len(m.classes)):
        raise UserError(
            f"{m.path}: the graphs have {shape[2]} classes, but the manifest names "
            f"{len(m.classes)}; {EXPORT_AGAIN}"
        )
