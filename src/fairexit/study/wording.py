"""How the messages of a study name options: as the settings that its user has written."""

from collections.abc import Callable
from dataclasses import fields

from fairexit.data.prepare import PrepareOptions


def run_setting(parameter: str) -> str:
    """What a message on one run of a study or search calls a parameter."""
    return {"device": "train.device", "out": "folder"}.get(parameter, f"'{parameter}'")


def preparation_setting(dataset: str) -> Callable[[str], str]:
    """What messages on the preparation of a study's dataset call a parameter."""
    common = {field.name for field in fields(PrepareOptions)}
    section = f"datasets.{dataset}.prepare"

    def setting(parameter: str) -> str:
        if parameter == "out":
            return "data.path"
        return f"{section}.{parameter}" if parameter in common else f"{section}.options.{parameter}"

    return setting
