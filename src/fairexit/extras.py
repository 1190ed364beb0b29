"""The optional parts of the package: what each extra brings, and one clear line where it is absent.

The names are those of `[project.optional-dependencies]`.
"""

from importlib.util import find_spec

from fairexit.errors import UserError

_FIGURES = ("matplotlib",)
_TRAIN = (
    *_FIGURES,
    "torch",
    "torchvision",
    "timm",
    "lightning",
    "torchmetrics",
    "safetensors",
    "tensorboard",
    "joblib",
)
EXTRAS = {
    "figures": _FIGURES,
    "train": _TRAIN,
    "search": (*_TRAIN, "optuna"),
}
"""Extra -> the packages that it installs, by the names under which they are imported."""


def is_installed(extra: str) -> bool:
    """Whether all packages of an extra can be found; none of them is imported."""
    return all(find_spec(name) is not None for name in EXTRAS[extra])


def require(extra: str, what: str) -> None:
    """Check that an extra is installed, before anything slow is imported.

    Args:
        extra: a name in EXTRAS.
        what: what needs it, as the first word of the message: a command or a public name.
    Raises:
        UserError: a package of the extra cannot be found.
    """
    if not is_installed(extra):
        raise UserError(f"{what} needs the extra '{extra}': pip install 'fairexit[{extra}]'")
