"""Warnings of the libraries that decode images; our own processes do without them."""

import warnings


def silence_decoders() -> None:
    """Ignore the warnings of Pillow and pydicom in this process, from now on.

    For processes that are ours (the command line and its workers). In another program the filters
    are its own, and they cannot be changed for the length of a call: they belong to all threads.
    """
    warnings.filterwarnings("ignore", module=r"(PIL|pydicom)\.")
