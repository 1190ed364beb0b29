"""Which plugin files a run was trained with, as it records them: file name -> SHA-256."""

from collections.abc import Iterable, Mapping

from fairexit.errors import UserError, option
from fairexit.plugins import differs, loaded_files

HOW_TO_GIVE = f"give that file with {option('plugins')}, see docs/methods.md"


def checksums(entries: Iterable[object]) -> dict[str, str]:
    """File name -> SHA-256 of the plugin files that entries of registries come from.

    A class comes from the files of all its bases.
    """
    parts = (part for entry in entries for part in getattr(entry, "__mro__", (entry,)))
    modules = {part.__module__ for part in parts}
    return {file.name: file.sha256 for file in loaded_files() if file.module in modules}


def missing(recorded: Mapping[str, str]) -> list[str]:
    """A phrase for each recorded plugin file (name -> SHA-256) of which no version is imported."""
    names, digests = _names_and_digests()
    return [
        f"the plugin {name} (SHA-256 {digest})"
        for name, digest in recorded.items()
        if digest not in digests and name not in names
    ]


def changed(recorded: Mapping[str, str]) -> list[str]:
    """A phrase for each recorded plugin file (name -> SHA-256) imported with other content."""
    names, digests = _names_and_digests()
    return [
        f"plugin {name} has changed: {differs(digest, names[name])}"
        for name, digest in recorded.items()
        if digest not in digests and name in names
    ]


def require(recorded: Mapping[str, str], who: str) -> None:
    """Check that recorded plugin files (name -> SHA-256) are imported, with the same content.

    Raises:
        UserError: one is not.
    """
    if absent := missing(recorded):
        raise UserError(f"{who} needs {absent[0]}; {HOW_TO_GIVE}")
    if other := changed(recorded):
        raise UserError(f"{who}: {other[0]}; give the file that has the first checksum")


def _names_and_digests() -> tuple[dict[str, str], set[str]]:
    files = loaded_files()
    return {file.name: file.sha256 for file in files}, {file.sha256 for file in files}
