"""The JSON of the server, as its OpenAPI description shows it."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from fairexit.evaluation.certificate import Certificate
from fairexit.evaluation.sets import PredictionSets


class ExitAnswer(BaseModel):
    """What one exit said."""

    exit: str = Field(description="Name of the exit; 'f' is the final one.")
    exit_name: str = Field(description="The exit in words.")
    confidence: float = Field(description="What the policy compares with the threshold.")
    threshold: float | None = Field(
        description="Confidence from which an image leaves; null where none leaves, and at the "
        "final exit, where all do."
    )
    probabilities: dict[str, float] = Field(description="Class -> probability.")


class ImageAnswer(BaseModel):
    """The answer for one image, or the problem with it; all that is unknown is null."""

    id: int = Field(description="Position of the image in the request, from 0.")
    filename: str = Field(description="Name of the file as it was sent.")
    prediction: str | None = Field(default=None, description="The predicted class.")
    confidence: float | None = Field(
        default=None, description="Confidence of the exit that answers."
    )
    exit: str | None = Field(default=None, description="Name of that exit; 'f' is the final one.")
    exit_name: str | None = Field(default=None, description="That exit in words.")
    cost: float | None = Field(
        default=None, description="Multiply-adds as a share of the full network's."
    )
    why: str | None = Field(default=None, description="Why that exit answers, as a sentence.")
    exits: list[ExitAnswer] = Field(
        default_factory=list, description="Every exit that was computed, in order."
    )
    set: list[str] | None = Field(
        default=None, description="The prediction set; null if the policy has no sets."
    )
    refer: bool | None = Field(
        default=None, description="Whether a person should look; null if the policy has no sets."
    )
    problem: str | None = Field(default=None, description="Why the image cannot be read.")


EXAMPLE: Any = {
    "answers": [
        {
            "id": 0,
            "filename": "lesion.jpg",
            "prediction": "NV",
            "confidence": 0.91,
            "exit": "2",
            "exit_name": "exit 2",
            "cost": 0.46,
            "why": "The confidence of exit 2 is 0.91, which reaches its threshold of 0.85.",
            "exits": [
                {
                    "exit": "1",
                    "exit_name": "exit 1",
                    "confidence": 0.62,
                    "threshold": 0.85,
                    "probabilities": {"MEL": 0.38, "NV": 0.62},
                },
                {
                    "exit": "2",
                    "exit_name": "exit 2",
                    "confidence": 0.91,
                    "threshold": 0.85,
                    "probabilities": {"MEL": 0.09, "NV": 0.91},
                },
            ],
            "set": ["NV"],
            "refer": False,
            "problem": None,
        }
    ]
}


class Answers(BaseModel):
    """One answer for each image, in the order of the request."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    answers: list[ImageAnswer]


class Failure(BaseModel):
    """Why a request was refused."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"detail": "the body has more than 10,000,000 bytes"}]}
    )

    detail: str


class Health(BaseModel):
    """The server runs."""

    status: Literal["ok"] = "ok"


class PolicyInfo(BaseModel):
    """By which rule images leave."""

    model_config = ConfigDict(from_attributes=True)

    theta: float | list[float | None] | None = Field(
        description="Confidence from which an image leaves, for all exits or one for each; null: "
        "every image is answered by the final exit."
    )
    confidence_measure: str
    fallback: str = Field(description="Which exit answers if none reaches its threshold.")
    rule: str = Field(description="The rule that chose theta.")
    split: str | None = Field(description="The split on which it was chosen.")
    group: str | None = Field(description="The attribute for which it was chosen.")
    reason: str = Field(description="Why the rule chose it.")
    certificate: Certificate | None = Field(description="What is promised about theta.")
    sets: PredictionSets | None = Field(description="How prediction sets are made.")


class LimitsInfo(BaseModel):
    """What a request may hold."""

    model_config = ConfigDict(from_attributes=True)

    max_bytes: int = Field(description="Bytes of a request.")
    max_pixels: int = Field(description="Pixels of an image.")
    max_files: int = Field(description="Images of a request.")


class Version(BaseModel):
    """What is served."""

    fairexit: str = Field(description="Version of the software.")
    model: str = Field(description="Name of the model's folder.")
    form: str = Field(description="'run', or the form of the export.")
    classes: list[str]
    exits: list[str] = Field(description="Names of the exits; 'f' is the final one.")
    size: int = Field(description="Side of the network's images in pixels.")
    fit: str = Field(description="How images are brought to that size: squash or crop.")
    weights: dict[str, str] = Field(description="File of weights -> SHA-256.")
    policy: PolicyInfo
    limits: LimitsInfo


BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["files"],
                "properties": {
                    "files": {
                        "type": "array",
                        "items": {"type": "string", "format": "binary"},
                        "description": "One or several images; every part that is a file counts, "
                        "whatever its name.",
                    }
                },
            }
        },
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        "image/*": {"schema": {"type": "string", "format": "binary"}},
    },
}
"""The body of `POST /predict`, which is read by hand so that it never touches the disk."""
