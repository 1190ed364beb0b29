"""What a request may cost, and what the server holds at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from fairexit.data.images import MAX_PIXELS
from fairexit.errors import UserError, option

MEGA = 1_000_000


@dataclass(frozen=True)
class Limits:
    """The limits of a server.

    Attributes:
        max_bytes: of a request's body.
        max_pixels: of an image, whose size is read before it is decoded.
        max_files: images of a request.
        body_seconds: time in which the body of a request must have arrived.
        max_waiting: images that are read, decoded or computed at a time.
        max_buffered: bytes of request bodies that are in memory at a time.
        max_batch: images that the network answers in one pass.
        max_wait: seconds that an image waits for others that are being decoded.
    """

    max_bytes: int = 10 * MEGA
    max_pixels: int = 50 * MEGA
    max_files: int = 32
    body_seconds: float = 30.0
    max_waiting: int = 256
    max_buffered: int = 160 * MEGA
    max_batch: int = 32
    max_wait: float = 0.005

    @classmethod
    def of(cls, *, max_mb: float, max_megapixels: float, max_files: int) -> "Limits":
        """The limits that a person sets; the others follow from them.

        Raises:
            UserError: a limit is not above 0, or larger than what is ever decoded.
        """
        if not max_mb > 0:
            raise UserError(f"{option('max_mb')} is {max_mb:g}; it must be above 0")
        if not 0 < max_megapixels * MEGA <= MAX_PIXELS:
            raise UserError(
                f"{option('max_megapixels')} is {max_megapixels:g}; it must be above 0 and at most "
                f"{MAX_PIXELS // MEGA}"
            )
        if not 1 <= max_files <= cls.max_waiting:
            raise UserError(
                f"{option('max_files')} is {max_files}; it must be between 1 and {cls.max_waiting}"
            )
        max_bytes = int(max_mb * MEGA)
        return cls(
            max_bytes=max_bytes,
            max_pixels=int(max_megapixels * MEGA),
            max_files=max_files,
            max_buffered=16 * max_bytes,
        )


class FullError(Exception):
    """The server holds as much as it may; the client should try again a little later."""


class Load:
    """Counts what the server holds.

    Args:
        limits: the most that it may hold.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.bytes = 0
        self.images = 0

    @contextmanager
    def request(self) -> "Iterator[Held]":
        """What one request holds, which is released at the end."""
        held = Held(self)
        try:
            yield held
        finally:
            self.bytes -= held.bytes
            self.images -= held.images


class Held:
    """What one request holds of a server's load."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.bytes = 0
        self.images = 0

    def add_bytes(self, count: int) -> None:
        """Count bytes of the body; raises a FullError if the server has no room for them."""
        if self._load.bytes + count > self._load.limits.max_buffered:
            raise FullError
        self._load.bytes += count
        self.bytes += count

    def add_images(self, count: int) -> None:
        """Count images; raises a FullError if the server has no room for them."""
        if self._load.images + count > self._load.limits.max_waiting:
            raise FullError
        self._load.images += count
        self.images += count
