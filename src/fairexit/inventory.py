"""Tables of everything that is chosen by name, with options, defaults and origin."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, get_args, get_origin

from fairexit.errors import UserError, nearest, short
from fairexit.extras import is_installed, require
from fairexit.registry import Registry
from fairexit.tables import Table

NEED_TORCH = ("methods", "pruning", "heads", "backbones")


def inventory(kind: str | None = None) -> list[Table]:
    """Tables of everything that is chosen by name, or of one kind.

    Where torch is not installed, one table names the lists that need it, in place of these lists.

    Raises:
        UserError: an unknown kind, or one that needs torch where torch is not installed.
    """
    kinds: dict[str, Callable[[], Table]] = {
        "methods": _methods,
        "pruning": _pruning,
        "heads": _heads,
        "datasets": _datasets,
        "metrics": _metrics,
        "backbones": _backbones,
        "trackers": _trackers,
    }
    if kind is None:
        absent = () if is_installed("train") else NEED_TORCH
        tables = [make() for name, make in kinds.items() if name not in absent]
        return [*tables, _not_shown(absent)] if absent else tables
    if kind not in kinds:
        raise UserError(f"there is no list '{short(kind)}'; {nearest(kind, kinds)}")
    if kind in NEED_TORCH:
        require("train", f"the list of {kind}")
    return [kinds[kind]()]


def _not_shown(kinds: Sequence[str]) -> Table:
    rows = [[kind, "pip install 'fairexit[train]'"] for kind in kinds]
    return Table("Not shown: these lists need torch", ["List", "Install with"], rows, names=2)


def _of_registry(title: str, registry: Registry[Any]) -> Table:
    rows = []
    for name in registry.names():
        texts = [
            f"{option.name}: {_hint(option.hint)}"
            + ("" if option.required else f" = {option.default}")
            for option in registry.options(name).values()
        ]
        summary, options = _first_line(registry[name]), ", ".join(texts) or "-"
        rows.append([name, summary, options, registry.origin(name).name])
    return Table(title, ["Name", "What it is", "Options", "Origin"], rows, names=4)


def _methods() -> Table:
    from fairexit.methods import methods

    return _of_registry("Methods (method.name)", methods)


def _pruning() -> Table:
    from fairexit.config_prune import DEFAULTED
    from fairexit.pruning.criteria import criteria

    rows = []
    for name in criteria.names():
        traits = criteria[name].traits
        defaults = {key: getattr(traits, key) for key in DEFAULTED}
        shown = ", ".join(f"{k} = {v:.3g}" for k, v in defaults.items() if v is not None)
        origin = criteria.origin(name).name
        rows.append([name, _first_line(criteria[name]), shown, origin])
    columns = ["Name", "What it does to a trained network", "Defaults", "Origin"]
    return Table("Pruning methods (prune.method)", columns, rows, names=4)


def _heads() -> Table:
    from fairexit.models import heads

    return _of_registry("Heads (model.head)", heads)


def _datasets() -> Table:
    from fairexit.data.datasets import datasets

    return _of_registry("Datasets (fairexit prepare)", datasets)


def _metrics() -> Table:
    from fairexit.metrics import METRICS

    rows = [
        [name, record.label, record.summary, METRICS.registry.origin(name).name]
        for name, record in METRICS.items()
    ]
    return Table("Metrics of the counts", ["Name", "Label", "What it is", "Origin"], rows, names=4)


def _backbones() -> Table:
    from fairexit.models import backbones

    rows = []
    for key in backbones.names():
        family, origin = backbones.create(key), backbones.origin(key).name
        names = family.names()
        if family.prefix:
            summary = f"{len(names)} names; networks that run in stages can be cut into exits"
            rows.append([f"{family.prefix}<name>", summary, origin])
        else:
            rows += [[name, _first_line(type(family)), origin] for name in names]
    return Table("Backbones (model.backbone)", ["Name", "What it is", "Origin"], rows, names=3)


def _trackers() -> Table:
    from fairexit.training.trackers.base import trackers

    return _of_registry("Trackers of experiments", trackers)


def _first_line(entry: object) -> str:
    return (inspect.getdoc(entry) or "").split("\n")[0]


def _hint(hint: Any) -> str:
    """A type as text, without its module and without annotations."""
    if hasattr(hint, "__metadata__"):
        return _hint(get_args(hint)[0])
    if get_origin(hint) is None and isinstance(hint, type):
        return hint.__name__
    return str(hint).replace("typing.", "").replace("pathlib._local.", "").replace("pathlib.", "")
