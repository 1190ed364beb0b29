"""Which quantities a monitor watches, and the values of each."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fairexit.monitoring.results import GAP, MIX, PERFORMANCE, Quantity
from fairexit.monitoring.stream import Ints, Stream
from fairexit.types import UNKNOWN


def quantities(
    base: Stream,
    new: Stream,
    *,
    groups: Mapping[str, Sequence[str]],
    classes: Sequence[str],
    exits: Sequence[str],
) -> Iterator[Quantity]:
    """All quantities that both streams allow; without labels, the mix only.

    Args:
        base, new: the streams.
        groups: attribute -> its groups.
        classes, exits: names.
    """
    for attribute, names in groups.items():
        for group in _free(names):
            yield Quantity(MIX, "group", attribute, group)
    if new.labels is not None:
        yield from (Quantity(MIX, "class", name=name) for name in _free(classes))
    yield from (Quantity(MIX, "answer", name=name) for name in _free(classes))
    if base.exits is not None and new.exits is not None:
        yield from (Quantity(MIX, "exit", name=name) for name in _free(exits))
    if base.confidence is not None and new.confidence is not None:
        yield Quantity(MIX, "confidence")
    if new.labels is None:
        return
    yield Quantity(PERFORMANCE, "accuracy")
    yield from (Quantity(PERFORMANCE, "tpr", name=name) for name in classes)
    for attribute, names in groups.items():
        yield from (Quantity(PERFORMANCE, "accuracy", attribute, group) for group in names)
    for attribute, names in groups.items():
        # With two groups, one gap is the other with its sign changed.
        for group in names if len(names) > 2 else names[:1]:
            yield Quantity(GAP, "accuracy", attribute, group)
            yield from (Quantity(GAP, "tpr", attribute, group, name) for name in classes)


def _free(names: Sequence[str]) -> Sequence[str]:
    """The names whose shares are watched; of two, one share is 1 minus the other."""
    return names if len(names) > 2 else names[1:]


def tallies(
    stream: Stream,
    quantity: Quantity,
    *,
    groups: Mapping[str, Sequence[str]],
    classes: Sequence[str],
    exits: Sequence[str],
) -> list[Ints]:
    """How often each value has occurred, see `Stream.tally`; of a gap, for both of its sides."""
    images: Any = np.ones(len(stream), bool)
    values = images
    if quantity.measure == "group":
        index = stream.groups[quantity.attribute]
        images = index != UNKNOWN
        values = index == groups[quantity.attribute].index(quantity.group)
    elif quantity.measure in ("class", "answer"):
        column = stream.labels if quantity.measure == "class" else stream.answers
        values = column == classes.index(quantity.name)
    elif quantity.measure == "exit":
        values = stream.exits == exits.index(quantity.name)
    elif quantity.measure == "confidence":
        assert stream.confidence is not None
        return [stream.tally(images, stream.confidence)]
    else:
        values = stream.answers == stream.labels
        if quantity.measure == "tpr":
            images = stream.labels == classes.index(quantity.name)
        if quantity.group:
            return [
                stream.tally(images & side, values)
                for side in _sides(stream, quantity, groups[quantity.attribute])
            ]
    return [stream.tally(images, values)]


def _sides(
    stream: Stream, quantity: Quantity, groups: Sequence[str]
) -> tuple[NDArray[np.bool_], ...]:
    """The images of the group and, for a gap, of all other groups."""
    index = stream.groups[quantity.attribute]
    g = groups.index(quantity.group)
    own = index == g
    return (own, (index != g) & (index != UNKNOWN)) if quantity.question == GAP else (own,)
