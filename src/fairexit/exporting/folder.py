"""The folder of an exported model: graphs, manifest, policy, description and model card."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fairexit.data.folder import new_folder
from fairexit.data.prepared import Prepared
from fairexit.errors import UserError
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.thresholds import answering_exits
from fairexit.exporting.card import export_section
from fairexit.exporting.check import Answered, Begin, answer, check_same
from fairexit.exporting.graphs import write_graphs, write_program
from fairexit.exporting.group_loss import check_groups, group_changes
from fairexit.exporting.quantise import quantise
from fairexit.files import MANIFEST, json_text
from fairexit.inference.inputs import open_data, stored_policy
from fairexit.inference.predict import predict_rows
from fairexit.models import ExitNet
from fairexit.predictions.data import Predictions
from fairexit.runs import Run
from fairexit.runtime import load
from fairexit.runtime.graphs import Pass, WholePass
from fairexit.runtime.manifest import CARD, DIGEST, FORMAT, POLICY
from fairexit.runtime.model import to_input
from fairexit.training.checkpoint import load_net
from fairexit.version import __version__

CALIBRATION = 512
"""Largest number of training images on which ranges for 8 bits are measured."""
DESCRIPTION = "config.json"
PROGRAM = "model.pt2"
PACKAGES = ("torch", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True)
class Export:
    """An exported model.

    Attributes:
        path: its folder.
        sha256: checksum of its manifest, which `fairexit.runtime.load` can verify.
        manifest: the content of its manifest.
        warnings: groups that may lose by 8 bits, one line each.
    """

    path: Path
    sha256: str
    manifest: Mapping[str, Any]
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Export({str(self.path)!r}, {self.manifest['form']}, {self.manifest['precision']})"


@dataclass(frozen=True)
class _Reference:
    """A run and what its network answers for the validation images."""

    run: Run
    net: ExitNet
    policy: Policy
    data: Prepared
    predictions: Predictions
    rows: Any

    def answer(self, begin: Begin) -> Answered:
        """What an exported model answers for the same images."""
        return answer(begin, self.net.num_exits, self.policy, data=self.data, rows=self.rows)


def export(
    run: Run, out: Path, *, form: str, int8: bool, card: str, data: Path | None = None
) -> Export:
    """Export a run, check the result on all validation images, and write its folder.

    Args:
        run: a finished run with a policy.
        out: the folder to make; `check_request` has passed.
        form: `staged`, `all-exits` or `torch-export`.
        int8: whether to quantise the graphs to 8 bits.
        card: the model card in Markdown.
        data: prepared data in place of the run's own.
    Raises:
        UserError: the run has no policy, its data are missing, the network cannot be converted,
            the export does not answer as PyTorch does, or a group loses by 8 bits. No files are
            left behind.
    """
    reference = _reference(run, data)
    with new_folder(out) as folder:
        (folder / POLICY).write_bytes(run.policy.read_bytes())
        (folder / DESCRIPTION).write_bytes((run.path / DESCRIPTION).read_bytes())
        graphs, begin = _convert(reference, folder, form)
        largest = check_same(reference.answer(begin), reference.predictions, reference.policy)
        facts: dict[str, Any] = {
            "precision": "float32",
            "check": {
                "split": "val",
                "images": len(reference.rows),
                "largest_difference": largest,
                "exits_equal": 1.0,
            },
        }
        warnings: list[str] = []
        if int8:
            facts["precision"] = "int8"
            facts["int8"], warnings = _to_int8(reference, folder, form, graphs)
        (folder / CARD).write_text(
            card.rstrip("\n") + "\n\n" + export_section(form, facts, warnings), encoding="utf-8"
        )
        manifest, digest = _write_manifest(folder, reference, form, graphs, **facts)
    return Export(out, digest, manifest, tuple(warnings))


def _reference(run: Run, data: Path | None) -> _Reference:
    """Open a run and answer its validation images with PyTorch, on the CPU."""
    prepared = open_data(run, data)
    rows = prepared.rows("val", run.config.data.fold if "fold" in prepared.frame else None)
    if not len(rows):
        raise UserError(f"{prepared.path} has no validation images to check the export on")
    net = load_net(run)
    predictions = predict_rows(net, prepared, rows, "val", batch_size=64)
    return _Reference(run, net, stored_policy(run), prepared, predictions, rows)


def _convert(reference: _Reference, folder: Path, form: str) -> tuple[list[str], Begin]:
    """Write the network in float32; the names of its files, and how a pass through it begins."""
    size = reference.data.size
    if form == "torch-export":
        write_program(reference.net, size, folder / PROGRAM)
        return [PROGRAM], _program_begin(folder / PROGRAM)
    graphs = write_graphs(reference.net, form, size, folder)
    _write_manifest(folder, reference, form, graphs)
    return graphs, load(folder).begin


def _program_begin(file: Path) -> Begin:
    """How a pass through a program of torch.export begins."""
    module = torch.export.load(file).module()

    @torch.inference_mode()
    def begin(pixels: Any) -> Pass:
        return WholePass([part.numpy() for part in module(torch.from_numpy(to_input(pixels)))])

    return begin


def _to_int8(
    reference: _Reference, folder: Path, form: str, graphs: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    """Quantise the graphs of a folder and audit what that does to each group.

    Returns:
        The audit for the manifest, and the warnings.
    """
    data, policy, predictions = reference.data, reference.policy, reference.predictions
    train = data.rows("train", reference.run.config.data.fold if "fold" in data.frame else None)
    if not len(train):
        raise UserError(f"{data.path} has no training images to calibrate 8 bits on")
    chosen = np.random.default_rng(0).permutation(train)[:CALIBRATION]
    quantise(folder, graphs, to_input(data.images[np.sort(chosen)]))
    _write_manifest(folder, reference, form, graphs)
    answered = reference.answer(load(folder).begin)
    exits = answering_exits(predictions, policy)
    attribute = reference.run.description["group"]
    before, after = predictions.answers_at(exits), answered.chosen.argmax(1)
    changes = group_changes(predictions, attribute, before, after)
    audit = {
        "calibration": {"split": "train", "images": len(chosen)},
        "split": "val",
        "images": len(predictions),
        "exits_equal": float((exits == answered.exits).mean()),
        "answers_equal": float((before == after).mean()),
        "attribute": attribute,
        "changes": [change.to_dict() for change in changes],
    }
    return audit, check_groups(changes)


def _write_manifest(
    folder: Path, reference: _Reference, form: str, graphs: Sequence[str], **facts: Any
) -> tuple[dict[str, Any], str]:
    """Write the manifest and its checksum.

    Returns:
        The manifest's content and SHA-256.
    """
    info = reference.run.description
    files = sorted(file.name for file in folder.iterdir() if file.name not in (MANIFEST, DIGEST))
    manifest = {
        "format": FORMAT,
        "fairexit": __version__,
        "form": form,
        "graphs": list(graphs),
        "classes": list(info["label2id"]),
        "exits": reference.net.exit_names,
        "exit_costs": list(reference.run.exit_costs),
        "preprocessing": {
            "size": info["preprocessing"]["size"],
            "fit": info["preprocessing"]["fit"],
            "resampling": "bilinear",
            "channels": "RGB",
            "layout": "NCHW",
            "scale": 1 / 255,
            "normalisation": info["preprocessing"].get("normalisation"),
        },
        "policy": POLICY,
        **facts,
        "files": {name: _sha256(folder / name) for name in files},
        "versions": {name: version(name) for name in PACKAGES},
    }
    text = json_text(manifest) + "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    (folder / MANIFEST).write_bytes(text.encode())
    (folder / DIGEST).write_text(f"{digest}  {MANIFEST}\n", encoding="ascii")
    return manifest, digest


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
