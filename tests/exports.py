"""A run with a policy, and its exports."""

import shutil

import numpy as np
import pytest

import fairexit
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.sets import GroupCut, PredictionSets
from fairexit.extras import is_installed
from fairexit.predictions.files import read_predictions
from fairexit.runs import Run

CARD = "# A card\n"


@pytest.fixture(scope="session")
def judged(tiny_run, tmp_path_factory):
    """A run whose images leave at every exit; tests must not change it."""
    run = Run(shutil.copytree(tiny_run.path, tmp_path_factory.mktemp("judged") / "run"))
    confidence = read_predictions(run.predictions("test")).confidence()
    third = len(confidence) // 3
    first, second = np.sort(confidence[:, 0]), np.sort(confidence[:, 1])
    # Between two confidences, so that rounding moves none across.
    thetas = float(first[-third - 1 : -third + 1].mean()), float(second[third : third + 2].mean())
    cuts = (GroupCut("dark", 9, 9, 0.75), GroupCut("light", 9, 9, 0.6))
    Policy(thetas, sets=PredictionSets(0.8, "skin_tone", cuts)).save(run.policy)
    return run


@pytest.fixture(scope="session")
def card(tmp_path_factory):
    """A model card, so that no audit is made."""
    file = tmp_path_factory.mktemp("card") / "card.md"
    file.write_text(CARD)
    return file


@pytest.fixture(scope="session")
def exported(judged, card, tmp_path_factory):
    """Form -> an export of the run; tests must not change them."""
    if not is_installed("export"):
        pytest.skip("the extra 'export' is not installed")
    folder = tmp_path_factory.mktemp("exports")
    return {
        form: fairexit.export(judged, folder / form, form=form, card=card)
        for form in ("staged", "all-exits", "torch-export")
    }


@pytest.fixture
def staged(exported, tmp_path):
    """The folder of an export in stages, which a test may change."""
    return shutil.copytree(exported["staged"].path, tmp_path / "export")
