"""Four known causes of unfairness, and the options by which they are planted."""

from dataclasses import dataclass

from fairexit.errors import UserError, nearest, option, short
from fairexit.types import PROBABILITY, RESERVED

CAMERA, QUALITY = ("grey", "cast"), ("contrast", "sharpness")
ORIGINAL = "original_label"
"""The column of the records that keeps each image's label of before the planting."""


@dataclass(frozen=True)
class Cause:
    """A cause of unfairness that can be planted into images.

    Attributes:
        meaning: what the strength is.
        lowest: the smallest strength, at which nothing is planted: a control without bias.
        default: the strength by default.
        marks: the changes by which a new group can be made visible, the default first.
    """

    meaning: str
    lowest: float
    default: float
    marks: tuple[str, ...]


CAUSES = {
    "prevalence": Cause("the share of a class that has its usual camera", 0.5, 0.95, CAMERA),
    "representation": Cause("the share of the group's images that is missing", 0.0, 0.95, CAMERA),
    "presentation": Cause("the share of contrast or sharpness that is lost", 0.0, 0.75, QUALITY),
    "annotation": Cause("the share of the group's labels that is wrong", 0.0, 0.5, CAMERA),
}
"""Causes by name; except for presentation, they are planted into train and val alone."""


@dataclass(frozen=True)
class PlantOptions:
    """Options of a planting.

    Attributes:
        cause: `prevalence`, `representation`, `presentation` or `annotation`.
        strength: how strong the cause is, from its lowest value to below 1; None for its default.
        mark: how the images of the new group's second value differ: `grey` or `cast` (a colour
            cast); for presentation `contrast` or `sharpness`, also of an existing attribute's
            group. None for the first of these.
        name: name of the new attribute, whose groups are `first` and `second`.
        group: an existing attribute to use instead; not for prevalence.
        affected: the group of the existing attribute that lacks images, loses quality or is
            mislabelled.
        classes: for prevalence, the classes whose usual camera is the second; by default every
            second class that has images.
        relabel: for annotation, the true class and the wrong label; by default the first two
            classes that have images.
        independent_images: whether data without any cluster are accepted, each image being a
            cluster of its own.
        seed: seed of all random choices.
    Raises:
        UserError: an option is out of range or does not apply to the cause.
    """

    cause: str
    strength: float | None = None
    mark: str | None = None
    name: str = "camera"
    group: str | None = None
    affected: str | None = None
    classes: tuple[str, ...] = ()
    relabel: tuple[str, str] | None = None
    independent_images: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.cause not in CAUSES:
            raise UserError(
                f"{option('cause')} is '{short(self.cause)}'; {nearest(self.cause, CAUSES)}"
            )
        cause = CAUSES[self.cause]
        if not cause.lowest <= self.level < 1:
            raise UserError(
                f"{option('strength')} is {self.level:g}; for {self.cause} it must be at least "
                f"{cause.lowest:g} and below 1: {cause.meaning}"
            )
        if self.mark is not None and self.mark not in cause.marks:
            raise UserError(
                f"{option('mark')} is '{short(self.mark)}'; for {self.cause} choose "
                f"{' or '.join(cause.marks)}"
            )
        if self.seed < 0:
            raise UserError(f"{option('seed')} is {self.seed}; it cannot be negative")
        self._check_group()
        for name, given, cause_name in [
            ("classes", self.classes, "prevalence"),
            ("relabel", self.relabel, "annotation"),
        ]:
            if given and self.cause != cause_name:
                raise UserError(
                    f"{option(name)} applies only to {cause_name}; leave it out for {self.cause}"
                )

    def _check_group(self) -> None:
        """Raise a UserError if the options about the group do not fit each other or the cause."""
        if self.group is None:
            if self.affected is not None:
                raise UserError(
                    f"{option('affected')} is a group of an existing attribute; name the attribute "
                    f"with {option('group')}"
                )
            if self.name in (*RESERVED, ORIGINAL, "") or PROBABILITY.fullmatch(self.name):
                raise UserError(
                    f"{option('name')} is '{short(self.name)}', which an attribute cannot be "
                    "called; choose another name"
                )
            return
        if self.cause == "prevalence":
            raise UserError(
                f"prevalence draws a new group, because a mark is given to images of any class; "
                f"leave out {option('group')}"
            )
        if self.mark is not None and self.cause != "presentation":
            raise UserError(
                f"{option('mark')} belongs to a new group, but {option('group')} names an existing "
                "one; leave out one of them"
            )
        if self.name != PlantOptions.name:
            raise UserError(f"{option('group')} and {option('name')} exclude each other")

    @property
    def level(self) -> float:
        """The strength, given or by default."""
        return CAUSES[self.cause].default if self.strength is None else self.strength

    @property
    def edit(self) -> str | None:
        """The change of the affected group's images; None if they stay as they are."""
        if self.group is not None and self.cause != "presentation":
            return None
        return self.mark or CAUSES[self.cause].marks[0]
