"""Cells of a study made of drawn answers: what a claim's tests compare."""

from pathlib import Path

import numpy as np
from fake_runs import draw

from fairexit.evaluation.policy import Policy
from fairexit.runs import Run
from fairexit.study.claims import claims
from fairexit.study.collect import Pooled
from fairexit.study.deciding import Design
from fairexit.study.drawn import draw_study, exit_names
from fairexit.study.paper import row_names
from fairexit.study.verdicts import judge

IMAGES = 900


def pooled(row, seed, skill, exits=("f",), theta=None, drawn_as=None, images=IMAGES):
    """One row and seed; `drawn_as` is the row and seed whose answers they are."""
    name = drawn_as or f"{row} {seed}"
    predictions = draw(name, "test", images=images, classes=3, exits=exits, skill=skill)
    order = np.argsort(predictions.ids)
    return Pooled(row, seed, (Run(Path(row)),), (predictions,), (Policy(theta),), order, "sex")


def names_in(study):
    return row_names(cell.row for cell in study)


def drawn_from(study, paper=None, dataset="isic2019"):
    """The claims, and the draws of a study."""
    listed = claims(paper, dataset, exit_names(study), names_in(study))
    return listed, draw_study(study, listed, paper)


def judged(study, paper=None, dataset="isic2019", total=None, drawn=None):
    """Number of a claim -> its outcome; `total` is the number of all images, if at hand."""
    listed, drawn = drawn or drawn_from(study, paper, dataset)
    design = Design(len(study[0].ids), total, len(study[0].runs))
    results = judge(study, listed, drawn, paper=paper, design=design, names=names_in(study))
    return {v.claim.number: v for v in results}


def by_text(results):
    """Text of a secondary comparison -> its outcome, None where it was not run."""
    return {
        str(c): o
        for v in results.values()
        for c, o in zip(v.claim.comparisons, v.outcomes, strict=True)
    }
