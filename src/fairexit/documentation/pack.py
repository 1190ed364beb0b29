"""The documentation pack of a run: one folder, written completely or not at all."""

from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from fairexit.auditing.results import AuditResults
from fairexit.auditing.source import described
from fairexit.data.folder import new_folder
from fairexit.data.prepared import Prepared, open_prepared
from fairexit.data.verify import sha256
from fairexit.documentation.croissant import croissant
from fairexit.documentation.data_card import data_card
from fairexit.documentation.open_items import INTRODUCTION, TITLE, item_sections, overview
from fairexit.documentation.record import run_environment, run_settings
from fairexit.documentation.sbom import bill_of_materials
from fairexit.errors import UserError, option
from fairexit.evaluation.entanglement import read_entanglement
from fairexit.files import json_text
from fairexit.report.audit_page import render_audit
from fairexit.report.document import Section, document, page
from fairexit.report.guidelines import items
from fairexit.report.guidelines.items import evidence
from fairexit.report.model_card import render_card
from fairexit.runs import Run
from fairexit.tables import Table
from fairexit.version import __version__

INDEX, ITEMS, ITEMS_PAGE = "index.html", "items.md", "items.html"
CONTENTS = {
    ITEMS_PAGE: "Which items of guidelines and laws are answered where, and which are left.",
    ITEMS: "The same as Markdown.",
    items.CARD: "The model card, in the form of the Hugging Face Hub.",
    items.AUDIT: "The audit: gaps between groups with intervals, compared with chance.",
    items.DATA: "The data card: source, splits, groups, unknown values, leaks.",
    items.CROISSANT: "The data as Croissant 1.1 with its responsible-AI part, for machines.",
    items.SETTINGS: "Every setting of the training.",
    items.ENVIRONMENT: "Versions of the training and of this documentation, and checksums.",
    items.SBOM: "Software bill of materials of the installed packages, as CycloneDX 1.6.",
}
"""File -> what it holds, in the order of the index."""


@dataclass(frozen=True)
class Documentation:
    """A documentation pack.

    Attributes:
        path: its folder.
        overview: how many items of each guideline are answered, and how many are left.
    """

    path: Path
    overview: Table

    def __repr__(self) -> str:
        return f"Documentation({str(self.path)!r}, {len(self.overview.rows)} guidelines)"


def open_data(run: Run, path: Path | None) -> Prepared:
    """The prepared data that a run was trained on.

    Args:
        run: a finished run.
        path: their folder, if they were moved; None for the folder that the run names.
    Raises:
        UserError: they are not there, are damaged, or are not the data of the run.
    """
    folder = path or run.config.data.path
    if path is None and not folder.is_dir():
        raise UserError(
            f"the data of {run.path} are not at {folder}; name their folder with {option('data')}"
        )
    data = open_prepared(folder)
    if data.info["checksums"] != run.description["data"]["checksums"]:
        raise UserError(
            f"{folder} does not hold the data that {run.path} was trained on; name those with "
            f"{option('data')}"
        )
    return data


def write_documentation(run: Run, data: Prepared, audit: AuditResults, out: Path) -> Documentation:
    """Write the pack; `out` is never incomplete.

    Args:
        run: a finished run.
        data: the data that it was trained on.
        audit: the audit of the run.
        out: the folder to make.
    Raises:
        UserError: the folder cannot be written; no file is left behind.
    """
    # The data may have been moved, and a path may name people.
    facts = replace(audit.facts, dataset=described(data.info), source="")
    audit = replace(audit, facts=facts)
    known, texts = evidence(audit), _texts(run, data, audit)
    with new_folder(out) as folder:
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
        digests = {name: sha256(folder / name) for name in CONTENTS}
        (folder / INDEX).write_text(_index(audit, digests), encoding="utf-8")
    return Documentation(out, overview(known))


def _texts(run: Run, data: Prepared, audit: AuditResults) -> dict[str, str]:
    """File -> content, without the index."""
    sections = item_sections(evidence(audit))
    environment = run_environment(run, data)
    weights = environment["weights"][run.weights.name]
    file = run.path / "entanglement.json"
    entanglement = read_entanglement(file) if file.is_file() else None
    return {
        # Without images, since a pack is passed on.
        items.AUDIT: render_audit(audit, entanglement),
        items.CARD: render_card(audit),
        items.DATA: data_card(data, run.config.data.fold),
        items.CROISSANT: json_text(croissant(data)) + "\n",
        items.SETTINGS: yaml.safe_dump(run_settings(run), sort_keys=False, allow_unicode=True),
        items.ENVIRONMENT: json_text(environment) + "\n",
        items.SBOM: json_text(bill_of_materials(run.path.name, weights)) + "\n",
        ITEMS: document(TITLE, INTRODUCTION, sections),
        ITEMS_PAGE: page(TITLE, INTRODUCTION, sections, CONTENTS),
    }


def _index(audit: AuditResults, digests: dict[str, str]) -> str:
    """The page that lists the files."""
    facts = audit.facts
    rows = [[name, content, digests[name]] for name, content in CONTENTS.items()]
    files = Table("The files of this folder", ["File", "What it holds", "SHA-256"], rows, 3)
    introduction = [
        f"Made on {facts.date} by fairexit {__version__}. It holds what can be measured or was "
        f"recorded. What only the authors can state is listed in {ITEMS_PAGE}.",
    ]
    sections = [
        Section("Files", (), (files,)),
        Section("Items of guidelines and laws", (), (overview(evidence(audit)),)),
    ]
    return page(f"Documentation of {facts.name}", introduction, sections, CONTENTS)
