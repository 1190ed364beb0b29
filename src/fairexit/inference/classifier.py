"""A finished run as a classifier of images, with early exit by its policy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from fairexit.data.images import name_of
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.theta import theta_name
from fairexit.inference.answers import answer_columns, answer_table, with_problems
from fairexit.inference.early_exit import answer_early
from fairexit.inference.exported import ExportedClassifier
from fairexit.inference.exported import load_model as load_exported
from fairexit.inference.images import AnyImage, as_list, to_network, to_tensor
from fairexit.inference.inputs import stored_policy
from fairexit.inference.predict import choose_device
from fairexit.models import ExitNet
from fairexit.plugins import load_plugins
from fairexit.progress import track
from fairexit.runs import open_run
from fairexit.runtime.early_exit import EarlyExit, Traced
from fairexit.training.checkpoint import load_net


@dataclass(frozen=True, eq=False)
class Classifier:
    """A classifier of images, which `load_model` returns.

    Attributes:
        net: the network in evaluation mode.
        policy: the rule by which an image leaves at an exit.
        classes: C names.
        costs: multiply-adds of one image that leaves at each exit, the final one last.
        size: side of the network's images in pixels.
        fit: how images are brought to that size, `squash` or `crop`, as in the run's data.
    """

    net: ExitNet
    policy: Policy
    classes: tuple[str, ...]
    costs: tuple[float, ...]
    size: int
    fit: str

    def __repr__(self) -> str:
        exits, theta = ", ".join(self.net.exit_names), theta_name(self.policy.theta)
        return (
            f"Classifier({self.net.config['name']} with exits {exits}; "
            f"{len(self.classes)} classes, images of {self.size} px, theta {theta})"
        )

    def __call__(
        self, images: AnyImage | Iterable[AnyImage], batch_size: int = 256
    ) -> pd.DataFrame:
        """Classify images, which need neither labels nor groups.

        Args:
            images: one or several: paths of files (JPEG, PNG, TIFF and so on; DICOM with the extra
                `dicom`), Pillow images, uint8 arrays (H, W, 3) or (N, H, W, 3), or tensors
                (3, H, W) or (N, 3, H, W). Tensors are uint8, or floating point from 0 to 1 and
                then already of the network's size; everything else is brought to that size.
            batch_size: images per batch; this changes only speed and memory.
        Returns:
            One row per image: `id` (the path, or the position of an image that is not a file),
            `prediction`, `confidence` (what the policy compares with theta), `exit`, `cost`
            (multiply-adds as a share of the full network's), `set` (a JSON list) and `refer` where
            the policy has prediction sets, `p/<class>` (the probabilities at that exit) and
            `problem`. If an image cannot be read, `problem` says why, and the columns of the answer
            are empty.
        Raises:
            UserError: an item is not an image.
        """
        items = as_list(images)
        batches = [items[i : i + batch_size] for i in range(0, max(len(items), 1), batch_size)]
        tables = [self._answer(batch) for batch in track(batches, "classifying", len(batches))]
        table = pd.concat(tables, ignore_index=True)
        table.insert(0, "id", [name_of(image, i) for i, image in enumerate(items)])
        return table

    def trace(self, pixels: NDArray[np.uint8]) -> Traced:
        """Answer images of the network's size, with the probabilities of every exit on the way.

        Args:
            pixels: (B, size, size, 3), at least one.
        """
        device = next(self.net.parameters()).device
        images = torch.stack([to_tensor(image) for image in pixels]).to(device)
        shape = len(pixels), len(self.net.exit_names), len(self.classes)
        exits = np.full(shape, np.nan, np.float32)

        def note(number: int, rows: Tensor, probabilities: Tensor) -> None:
            exits[rows.cpu().numpy(), number] = probabilities.cpu().numpy()

        answers = answer_early(self.net, images, self.policy, note)
        return Traced(EarlyExit(*answers.arrays()), exits)

    def _answer(self, images: Sequence[AnyImage]) -> pd.DataFrame:
        """The answers for one batch: all columns but `id`."""
        inputs = [to_network(image, self.size, self.fit) for image in images]
        tensors = [image for image in inputs if isinstance(image, Tensor)]
        problems = ["" if isinstance(image, Tensor) else image for image in inputs]
        columns = answer_columns(self.classes, self.policy.sets)
        if not tensors:
            return with_problems(pd.DataFrame(), problems, columns)
        device = next(self.net.parameters()).device
        answers = answer_early(self.net, torch.stack(tensors).to(device), self.policy)
        table = answer_table(
            *answers.arrays(),
            classes=self.classes,
            exit_names=self.net.exit_names,
            costs=self.costs,
            sets=self.policy.sets,
        )
        return with_problems(table, problems, columns)


def load_model(
    path: str | Path, device: str = "auto", *, plugins: Sequence[str | Path] = ()
) -> Classifier | ExportedClassifier:
    """Load a finished and evaluated run, or an export of one, as a classifier.

    Args:
        path: the run's folder; of its files, `config.json`, `model.safetensors` and `policy.json`
            are needed. Or the folder of an export in ONNX.
        device: where to compute: `auto`, `cpu`, `cuda` and so on.
        plugins: Python files that define the head or backbone, if the run was trained with your
            own. Code that a run's files name is never imported.
    Raises:
        UserError: the run is not finished or has no policy yet, there is no such device, a plugin
            is missing, or a file of an export is not the one that was exported.
    """
    load_plugins(plugins)
    run = open_run(Path(path))
    if run.is_export:
        return load_exported(run.path, device)
    info = run.description
    return Classifier(
        net=load_net(run).to(choose_device(device)),
        policy=stored_policy(run),
        classes=tuple(info["label2id"]),
        costs=run.exit_costs,
        size=info["preprocessing"]["size"],
        fit=info["preprocessing"]["fit"],
    )
