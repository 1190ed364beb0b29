"""The settings that a search of hyper-parameters tries."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Axis:
    """A setting that is searched.

    Attributes:
        key: name of the setting, such as `method.weight`.
        values: the values to try, or the two ends of a range.
        log: whether a range is searched on a logarithmic scale; None where the values are a list.
    """

    key: str
    values: tuple[Any, ...]
    log: bool | None = None

    def __str__(self) -> str:
        """The axis as the command line takes it.

        >>> str(Axis("method.weight", (0.01, 100), log=True))
        'method.weight=0.01:100:log'
        """
        if self.log is None:
            return f"{self.key}={','.join(map(str, self.values))}"
        low, high = self.values
        return f"{self.key}={low:g}:{high:g}" + (":log" if self.log else "")
