"""Settings of a monitor."""

from dataclasses import dataclass

from fairexit.errors import UserError, option


@dataclass(frozen=True)
class MonitorSettings:
    """Settings of a monitor.

    Attributes:
        alpha: allowed probability of any false alarm, however often one looks.
        tolerance: difference from BASE that is not called worse.
        time: the column of time; None if the rows are in the order of time.
        every: clusters between two looks; None for a look after each time or each table.
    Raises:
        UserError: a value is out of range.
    """

    alpha: float = 0.05
    tolerance: float = 0.05
    time: str | None = None
    every: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise UserError(f"{option('alpha')} is {self.alpha}; it must be between 0 and 1")
        if not 0 <= self.tolerance < 1:
            raise UserError(
                f"{option('tolerance')} is {self.tolerance}; it must be at least 0 and below 1"
            )
        if self.every is not None and self.every < 1:
            raise UserError(f"{option('every')} is {self.every}; it must be at least 1")
        if self.every is not None and self.time is not None:
            raise UserError(
                f"{option('time')} and {option('every')} both say when to look; give one of them"
            )
