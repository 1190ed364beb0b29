"""The parts of a run's `config.json` that others rely on, and their types."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fairexit.errors import UserError, problem, short

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")


class _Preprocessing(_Part):
    size: Annotated[int, Field(ge=1, le=4096)]
    fit: Literal["squash", "crop"]


class _Data(_Part):
    name: str
    checksums: dict[str, str]


class _Normalisation(_Part):
    mean: Annotated[list[float], Field(min_length=3, max_length=3)]
    std: Annotated[list[Positive], Field(min_length=3, max_length=3)]


class _Model(_Part):
    num_classes: int | None = None
    image_size: Annotated[int, Field(ge=1, le=4096)] | None = None
    mixture: Annotated[int, Field(ge=1, le=1000)] | None = None
    normalisation: Literal["none"] | _Normalisation = "none"


class _Run(_Part):
    plugins: dict[str, str] | None = None


class _Description(_Part):
    data: _Data
    group: str
    label2id: Annotated[dict[str, int], Field(min_length=2)]
    model: _Model
    preprocessing: _Preprocessing
    run: _Run
    exit_costs: Annotated[list[Positive], Field(min_length=1)] | None = None
    penalty_ratio: float | None = None


def check_description(info: dict[str, Any], file: Path) -> None:
    """Raise a UserError that names the first part of a run's description that is missing or wrong.

    Args:
        info: the content of `config.json`.
        file: the file, for the message.
    """
    try:
        parts = _Description.model_validate(info)
    except ValidationError as error:
        first = error.errors()[0]
        where = short(".".join(map(str, first["loc"])))
        if first["type"] == "missing":
            raise UserError(f"{file} lacks '{where}'; train the run again") from None
        raise UserError(
            f"{file} is damaged: '{where}' is {short(repr(first['input']))}; {problem(first)}; "
            "train the run again"
        ) from None
    count = len(parts.label2id)
    if list(parts.label2id.values()) != list(range(count)):
        raise UserError(
            f"{file} is damaged: 'label2id' does not number the classes from 0; train the run again"
        )
    if parts.model.num_classes not in (None, count):
        raise UserError(
            f"{file} is damaged: the model has {parts.model.num_classes} classes, but 'label2id' "
            f"names {count}; train the run again"
        )
