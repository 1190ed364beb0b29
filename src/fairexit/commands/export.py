"""fairexit export."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fairexit.commands.common import OtherData, Plugins, RunPath
from fairexit.terminal import note, say

if TYPE_CHECKING:
    from fairexit.exporting.folder import Export

EXAMPLE = "fairexit export runs/me --out exports/me"


def export(
    run: RunPath,
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder of the exported model.")],
    form: Annotated[
        Literal["staged", "all-exits", "torch-export"],
        typer.Option(
            help="One ONNX graph for each exit, so that images that have left cost nothing more "
            "(staged); one ONNX graph with all exits; or a program of torch.export."
        ),
    ] = "staged",
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Quantise the ONNX graphs to 8 bits, calibrated on training images, and audit "
            "what that does to each group on validation.",
        ),
    ] = False,
    card: Annotated[
        Path | None,
        typer.Option(
            help="A model card to include, such as one completed by hand.",
            show_default="made from an audit of the run's test split",
        ),
    ] = None,
    data: OtherData = None,
    plugins: Plugins = None,
) -> None:
    """Export a run as ONNX graphs, checked against PyTorch, to run without torch.

    The result is checked against PyTorch on all validation images and refused if a probability
    differs by more than 0.0001 or an image leaves at another exit; see docs/export.md.
    """
    from fairexit.api.sharing import export as export_run

    _show(export_run(run, out, form=form, int8=int8, card=card, data=data))


def _show(exported: "Export") -> None:
    manifest = exported.manifest
    check = manifest["check"]
    say(
        f"checked in float32 on all {check['images']} validation images: the same exits as "
        f"PyTorch, probabilities within {check['largest_difference']:.1e}"
    )
    if "int8" in manifest:
        audit = manifest["int8"]
        say(
            f"8 bits: {100 * audit['exits_equal']:.2f} % of the validation images leave at the "
            f"same exit, {100 * audit['answers_equal']:.2f} % get the same answer; by "
            f"{audit['attribute']} see {exported.path / 'README.md'}"
        )
    for warning in exported.warnings:
        note(f"warning: {warning}")
    say(f"SHA-256 of the manifest: {exported.sha256}")
    say(f"exported: {exported.path} (next: fairexit predict {exported.path})")
