"""A finished run as a classifier of image files, under its policy."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fairexit.data.augment import Augment
from fairexit.data.images import decode
from fairexit.data.records import image_files
from fairexit.errors import UserError, option
from fairexit.evaluation.policy import Policy
from fairexit.files import write_atomically
from fairexit.inference.early_exit import ANSWER, answer_table, early_exit
from fairexit.inference.predict import choose_device, stored_policy
from fairexit.models import ExitNet
from fairexit.plugins import load_plugins
from fairexit.progress import track
from fairexit.runs import Run, open_run
from fairexit.training.checkpoint import load_net


@dataclass(frozen=True, eq=False)
class Classifier:
    """What `load_model` gives.

    Attributes:
        net: the network in evaluation mode.
        policy: when an image leaves.
        classes: C names.
        size: side in pixels to which images are brought.
        fit: `squash` or `crop`, as the run's data were prepared.
    """

    net: ExitNet
    policy: Policy
    classes: tuple[str, ...]
    size: int
    fit: str

    def __call__(self, files: Sequence[str | Path], batch_size: int = 256) -> pd.DataFrame:
        """Answers for image files; they need neither labels nor groups.

        Args:
            files: of any format and mode that Pillow reads.
            batch_size: images at a time; it changes speed and memory only.
        Returns:
            A row per file: `file`, `prediction`, `confidence`, `exit`, `cost` (multiply-adds as a
            share of the full network's), and `problem` where a file cannot be read, whose other
            columns are empty.
        """
        parts = [files[i : i + batch_size] for i in range(0, len(files), batch_size)]
        tables = [self._answer(part) for part in track(iter(parts), "classifying", len(parts))]
        return pd.concat(tables, ignore_index=True) if tables else self._answer([])

    def _answer(self, files: Sequence[str | Path]) -> pd.DataFrame:
        decoded = [decode(Path(file), self.size, self.fit) for file in files]
        pixels = [image.pixels for image in decoded if image.pixels is not None]
        names = np.array([str(file) for file in files], object)
        good = np.array([image.pixels is not None for image in decoded], bool)
        table = pd.DataFrame({"file": names, "problem": [image.reason for image in decoded]})
        if not pixels:
            return table.reindex(columns=["file", *ANSWER, "problem"])
        device = next(self.net.parameters()).device
        images = torch.from_numpy(np.stack(pixels)).to(device).permute(0, 3, 1, 2)
        ready = Augment("none", 0)(images, np.arange(len(images)), 0)
        found = early_exit(self.net, ready, self.policy.theta, self.policy.fallback)
        answers = answer_table([found], self.net, self.classes, self.size)
        answers.index = pd.Index(np.flatnonzero(good))
        return table.join(answers)[["file", *ANSWER, "problem"]]


def load_model(
    path: str | Path, device: str = "auto", *, plugins: Sequence[str | Path] = ()
) -> Classifier:
    """A finished and evaluated run as a classifier.

    Args:
        path: the run's folder; `config.json`, `model.safetensors` and `policy.json` of it suffice.
        device: where to compute.
        plugins: files with the head or the backbone, if the run was trained with one of your own;
            a run itself never names code that is imported.
    Raises:
        UserError: no finished run, no policy yet, no such device, or a plugin that is missing.
    """
    load_plugins(plugins)
    run = open_run(Path(path))
    info = run.description
    return Classifier(
        load_net(run).to(choose_device(device)),
        stored_policy(run),
        tuple(info["label2id"]),
        info["preprocessing"]["size"],
        info["preprocessing"]["fit"],
    )


def classify_folder(run: Run, folder: Path, out: Path, device: str, batch_size: int) -> None:
    """Write the answers for every image below a folder as CSV, by path.

    Raises:
        UserError: no folder, or no image in it.
    """
    if not folder.is_dir():
        raise UserError(f"{option('images')} is '{folder}', which is not a folder")
    files = image_files(folder)
    if not files:
        raise UserError(f"{option('images')} is '{folder}', which holds no image")
    table = load_model(run.path, device)(files, batch_size)
    table["file"] = [file.relative_to(folder).as_posix() for file in files]
    write_atomically(out, table.to_csv(index=False, float_format="%.6g"))
