"""The plugin files with which a run was trained, recorded as file name -> SHA-256."""

from collections.abc import Iterable, Mapping

from fairexit.errors import UserError, option
from fairexit.plugins import differs, loaded_files

HOW_TO_GIVE = f"give that file with {option('plugins')}, see docs/methods.md"


def checksums(entries: Iterable[object]) -> dict[str, str]:
    """File name -> SHA-256 of the plugin files that define entries of registries.

    The files that define the bases of a class count too.
    """
    classes = (cls for entry in entries for cls in getattr(entry, "__mro__", (entry,)))
    modules = {cls.__module__ for cls in classes}
    return {file.name: file.sha256 for file in loaded_files() if file.module in modules}


def missing(recorded: Mapping[str, str]) -> list[str]:
    """A phrase for each recorded plugin file (name -> SHA-256) that is not imported at all."""
    names, digests = _names_and_digests()
    return [
        f"the plugin {name} (SHA-256 {digest})"
        for name, digest in recorded.items()
        if digest not in digests and name not in names
    ]


def changed(recorded: Mapping[str, str]) -> list[str]:
    """A phrase for each recorded plugin file (name -> SHA-256) that has other content now."""
    names, digests = _names_and_digests()
    return [
        f"plugin {name} has changed: {differs(digest, names[name])}"
        for name, digest in recorded.items()
        if digest not in digests and name in names
    ]


def require(recorded: Mapping[str, str], subject: str) -> None:
    """Check that recorded plugin files are imported, with the recorded content.

    Args:
        recorded: file name -> SHA-256.
        subject: what needs the plugins, as the first words of the message.
    Raises:
        UserError: a file is not imported, or its content is another.
    """
    if absent := missing(recorded):
        raise UserError(f"{subject} needs {absent[0]}; {HOW_TO_GIVE}")
    if different := changed(recorded):
        raise UserError(f"{subject}: {different[0]}; give the file that has the first checksum")


def _names_and_digests() -> tuple[dict[str, str], set[str]]:
    """File name -> SHA-256 of the imported plugin files, and the set of these checksums."""
    files = loaded_files()
    return {file.name: file.sha256 for file in files}, {file.sha256 for file in files}
