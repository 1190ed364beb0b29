"""fairexit: image classifiers that are fair across groups of people.

Names load when they are first used, so that what works on tables neither imports nor needs torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

from fairexit.version import __version__ as __version__

if TYPE_CHECKING:
    from fairexit.api.choice import choose as choose
    from fairexit.api.data import plant as plant
    from fairexit.api.data import prepare as prepare
    from fairexit.api.documenting import document as document
    from fairexit.api.judgement import audit as audit
    from fairexit.api.judgement import evaluate as evaluate
    from fairexit.api.judgement import monitor as monitor
    from fairexit.api.prediction import predict as predict
    from fairexit.api.sharing import export as export
    from fairexit.api.sharing import push as push
    from fairexit.api.training import prune as prune
    from fairexit.api.training import refit as refit
    from fairexit.api.training import rerun as rerun
    from fairexit.api.training import train as train
    from fairexit.errors import UserError as UserError
    from fairexit.inference.classifier import Classifier as Classifier
    from fairexit.inference.classifier import load_model as load_model
    from fairexit.inference.early_exit import early_exit as early_exit
    from fairexit.inference.own_loop import save_run as save_run
    from fairexit.models import create_model as create_model
    from fairexit.models import list_models as list_models
    from fairexit.predictions.files import read_predictions as read_predictions

_HOMES = {
    "Classifier": "fairexit.inference.classifier",
    "UserError": "fairexit.errors",
    "audit": "fairexit.api.judgement",
    "choose": "fairexit.api.choice",
    "create_model": "fairexit.models",
    "document": "fairexit.api.documenting",
    "early_exit": "fairexit.inference.early_exit",
    "evaluate": "fairexit.api.judgement",
    "export": "fairexit.api.sharing",
    "list_models": "fairexit.models",
    "load_model": "fairexit.inference.classifier",
    "monitor": "fairexit.api.judgement",
    "plant": "fairexit.api.data",
    "predict": "fairexit.api.prediction",
    "prepare": "fairexit.api.data",
    "prune": "fairexit.api.training",
    "push": "fairexit.api.sharing",
    "read_predictions": "fairexit.predictions.files",
    "refit": "fairexit.api.training",
    "rerun": "fairexit.api.training",
    "save_run": "fairexit.inference.own_loop",
    "train": "fairexit.api.training",
}
_NEED_TORCH = {
    "Classifier",
    "create_model",
    "early_exit",
    "list_models",
    "load_model",
    "save_run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fairexit' has no attribute '{name}'")
    if name in _NEED_TORCH:
        from fairexit.extras import require

        require("train", f"fairexit.{name}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    from fairexit.extras import is_installed

    # help(fairexit) gets every name that is listed here.
    absent = set() if is_installed("train") else _NEED_TORCH
    return sorted({*globals(), *_HOMES} - absent)
