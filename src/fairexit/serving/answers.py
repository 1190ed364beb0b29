"""Answers of a network in the form of the server's JSON."""

import math

import numpy as np

from fairexit.evaluation.sets import referred
from fairexit.evaluation.theta import ALWAYS, exit_name, exit_thetas
from fairexit.predictions.confidence import check_confidence_measure
from fairexit.runtime.early_exit import Traced
from fairexit.serving.schema import ExitAnswer, ImageAnswer
from fairexit.serving.served import Served


def image_answer(served: Served, number: int, filename: str, traced: Traced) -> ImageAnswer:
    """The answer for one image.

    Args:
        served: the model.
        number: position of the image in its request.
        filename: its name as it was sent.
        traced: what the network says, as a batch of one.
    """
    answer = traced.answers
    index, probabilities = int(answer.exit[0]), answer.probabilities[0]
    exits = _exits(served, traced)
    sets = served.policy.sets
    members = None if sets is None else sets.members(probabilities)
    return ImageAnswer(
        id=number,
        filename=filename,
        prediction=served.classes[int(probabilities.argmax())],
        confidence=float(answer.confidence[0]),
        exit=served.exits[index],
        exit_name=exit_name(served.exits[index]),
        cost=served.costs[index] / served.costs[-1],
        why=_why(served, exits, index),
        exits=exits,
        set=None if members is None else [served.classes[k] for k in np.flatnonzero(members)],
        refer=None if members is None else bool(referred(members)),
    )


def _exits(served: Served, traced: Traced) -> list[ExitAnswer]:
    """What each exit said that was computed."""
    measure = check_confidence_measure(served.policy.confidence_measure).function
    thetas = exit_thetas(served.policy.theta, len(served.exits) - 1, np.float64).tolist()
    rows = []
    for name, theta, probabilities in zip(
        served.exits, [*thetas, math.inf], traced.exits[0], strict=True
    ):
        if np.isnan(probabilities).any():
            continue
        rows.append(
            ExitAnswer(
                exit=name,
                exit_name=exit_name(name),
                confidence=float(measure(probabilities)),
                threshold=None if math.isinf(theta) else theta,
                probabilities=dict(zip(served.classes, map(float, probabilities), strict=True)),
            )
        )
    return rows


def _why(served: Served, exits: list[ExitAnswer], index: int) -> str:
    """Why an exit answers, as a sentence."""
    name = served.exits[index]
    leaving = next(exit for exit in exits if exit.exit == name)
    if len(served.exits) == 1:
        return "The network has no other exit."
    if served.policy.theta is None:
        return "The policy sends every image to the final exit."
    if leaving.exit == exits[-1].exit and name != "f":
        if leaving.threshold == ALWAYS:
            return f"The policy lets every image that reaches {leaving.exit_name} leave there."
        return (
            f"The confidence of {leaving.exit_name} is {leaving.confidence:.4f}, which reaches its "
            f"threshold of {leaving.threshold:.4f}."
        )
    if served.policy.fallback == "most_confident":
        article = "the " if name == "f" else ""
        return (
            f"No exit reached its threshold, so the most confident one answers: {article}"
            f"{leaving.exit_name}."
        )
    return "No exit before reached its threshold, so the final exit answers."
