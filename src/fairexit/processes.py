"""Which of the processes of a training on several devices this one is. Does not import torch."""

import os


def is_first() -> bool:
    """Whether this is the only process of a command, or the first of a training on several devices.

    Each process runs the whole command, but only the first one writes and prints.
    """
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"
