"""The extras of the package, and a clear message where one is not installed.

Their names are those of `[project.optional-dependencies]`.
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
_RUNTIME = ("onnxruntime",)
EXTRAS = {
    "figures": _FIGURES,
    "train": _TRAIN,
    "search": (*_TRAIN, "optuna"),
    "ray": (*_TRAIN, "ray"),
    "excel": ("openpyxl",),
    "dicom": ("pydicom",),
    "export": (*_TRAIN, "onnx", "onnxscript", *_RUNTIME),
    "onnx-run": _RUNTIME,
    "serve": ("fastapi", "uvicorn", "python_multipart"),
    "hub": ("huggingface_hub",),
    "mlflow": ("mlflow",),
    "wandb": ("wandb",),
    "trackio": ("trackio",),
}
"""Extra -> the packages that it installs, by their import names."""


def is_installed(extra: str) -> bool:
    """Whether all packages of an extra are installed; none of them is imported."""
    return all(find_spec(name) is not None for name in EXTRAS[extra])


def require(extra: str, caller: str) -> None:
    """Check that an extra is installed, before anything slow is imported.

    Args:
        extra: a name in EXTRAS.
        caller: the command or public function that needs it, as the first words of the message.
    Raises:
        UserError: a package of the extra is not installed.
    """
    if not is_installed(extra):
        raise UserError(f"{caller} needs the extra '{extra}': pip install 'fairexit[{extra}]'")
