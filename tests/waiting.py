"""Waiting with an end, for tests that start processes."""

import time


def wait_until(happened, alive, seconds=120):
    """Wait until something has happened; fail if what should do it has ended, or takes too long.

    Args:
        happened: called again and again.
        alive: whether the process that should make it happen still runs.
        seconds: how long to wait at most.
    """
    end = time.monotonic() + seconds
    while not happened():
        assert alive(), "the process has ended"
        assert time.monotonic() < end, f"nothing has happened in {seconds} s"
        time.sleep(0.02)
