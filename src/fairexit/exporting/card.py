"""The part of a model card that an export adds: its form, its check, and 8 bits by group."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fairexit.tables import Table, markdown

FORMS = {
    "staged": "one ONNX graph for each exit; images that have left are not computed further",
    "all-exits": "one ONNX graph with all exits",
    "torch-export": "a program of torch.export with all exits",
}


def export_section(form: str, facts: Mapping[str, Any], warnings: Sequence[str]) -> str:
    """The section in Markdown.

    Args:
        form: one of `FORMS`.
        facts: `precision`, `check` and, for 8 bits, `int8` of the manifest.
        warnings: groups that may lose by 8 bits.
    """
    return "\n\n".join(_parts(form, facts, warnings)) + "\n"


def _parts(form: str, facts: Mapping[str, Any], warnings: Sequence[str]) -> Iterator[str]:
    check = facts["check"]
    yield "## Exported model"
    yield (
        f"- Form: {FORMS[form]}; {facts['precision']}.\n"
        f"- Checked against PyTorch on all {check['images']:,} validation images, in float32: "
        "every image leaves at the same exit, and the largest difference between two "
        f"probabilities is {check['largest_difference']:.1e}."
    )
    if "int8" not in facts:
        return
    audit = facts["int8"]
    yield (
        f"- 8 bits were calibrated on {audit['calibration']['images']:,} training images. Of the "
        f"validation images, {100 * audit['exits_equal']:.2f} % leave at the same exit as in "
        f"float32, and {100 * audit['answers_equal']:.2f} % get the same answer."
    )
    rows = [
        [
            str(c["group"]),
            str(c["measure"]),
            f"{c['before']:.4f}",
            f"{c['after']:.4f}",
            f"{c['difference']:+.4f}",
            f"{c['low']:+.4f} to {c['high']:+.4f}",
        ]
        for c in audit["changes"]
    ]
    header = [str(audit["attribute"]), "measure", "float32", "int8", "difference", "95 % interval"]
    yield Table("What 8 bits do to each group", header, rows, 2).to_markdown().strip()
    if warnings:
        yield "\n".join(f"- {markdown(warning)}" for warning in warnings)
