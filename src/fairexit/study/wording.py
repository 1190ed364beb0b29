"""How messages of a study name parameters: as the settings in its file."""

from collections.abc import Callable
from dataclasses import fields

from fairexit.data.prepare import PrepareOptions


def run_setting(parameter: str) -> str:
    """The name of a parameter in messages on one run of a study or search."""
    return {"device": "train.device", "out": "folder"}.get(parameter, f"'{parameter}'")


def preparation_setting(dataset: str) -> Callable[[str], str]:
    """A function that names parameters in messages on the preparation of a study's dataset."""
    common = {field.name for field in fields(PrepareOptions)}
    section = f"datasets.{dataset}.prepare"

    def setting(parameter: str) -> str:
        if parameter == "out":
            return "data.path"
        return f"{section}.{parameter}" if parameter in common else f"{section}.options.{parameter}"

    return setting
