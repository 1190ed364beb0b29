"""Plugins: Python files and installed packages that register methods, datasets, heads and so on.

A plugin is a module that enters classes in a registry when it is imported. This file knows no
registry: whatever is registered while a plugin is imported comes from that plugin.
"""

import hashlib
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from fairexit.errors import UserError, reason

GROUP = "fairexit.plugins"
"""Entry points of this group are modules that are imported at the first look-up of a name."""


@dataclass(frozen=True)
class Origin:
    """Where a registered class comes from.

    A plugin file that is sent to another process is loaded there.

    Attributes:
        name: as lists show it: `fairexit`, a file's name, or a distribution and its version.
        path: of a plugin file, absolute.
        sha256: of a plugin file's content.
    """

    name: str
    path: Path | None = None
    sha256: str = ""

    def __str__(self) -> str:
        return str(self.path or self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.path is None:
            return Origin, (self.name,)
        return load_file, (self.path, self.sha256)

    @property
    def module(self) -> str:
        """The name under which a plugin file is imported; other content is another module."""
        return f"fairexit_plugin_{self.sha256[:16]}"


@dataclass
class _Loading:
    """A plugin that is being imported, and how each of its registrations is undone."""

    origin: Origin
    undo: list[Callable[[], None]] = field(default_factory=list)


FAIREXIT = Origin("fairexit")

_files: dict[str, _Loading] = {}  # by the module's name
_packages: dict[EntryPoint, Origin] = {}
_loading: list[_Loading] = []
_is_importing_packages = False


def load_plugins(files: Iterable[str | Path], folder: Path | None = None) -> tuple[Origin, ...]:
    """Import plugin files, after those of installed packages; a file is imported only once.

    Args:
        files: Python files that register something.
        folder: what relative paths refer to; by default the current folder.
    Raises:
        UserError: a file cannot be imported, registers nothing, or registers a name that is taken.
    """
    load_installed()
    return tuple(load_file((folder or Path()) / file) for file in files)


def load_file(path: Path, sha256: str | None = None) -> Origin:
    """Import one plugin file; one that has been edited since takes the place of its old self.

    Args:
        path: the file.
        sha256: the checksum that it must have, if it is known.
    Raises:
        UserError: as for `load_plugins`, or the file has another checksum.
    """
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UserError(f"plugin {path} cannot be read: {error.strerror}") from None
    origin = Origin(path.name, path.resolve(), hashlib.sha256(source).hexdigest())
    if sha256 is not None and origin.sha256 != sha256:
        raise UserError(f"plugin {path} has changed: {_differs(sha256, origin.sha256)}")
    if origin.module in _files:
        return _files[origin.module].origin
    for other in loaded_files():
        if other.path == origin.path:
            _forget(_files.pop(other.module))
        elif other.name == origin.name:
            raise UserError(f"two plugins are called {path.name}: {other} and {path}; rename one")
    with _importing(origin, lambda file: file == str(path), shown=path) as loading:
        module = ModuleType(origin.module)
        module.__file__ = str(path)
        sys.modules[origin.module] = module
        try:
            # Compiled here, so that what runs is what the checksum was taken of.
            exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
            if not loading.undo:
                raise UserError('it registers nothing; see docs/methods.md for "register"')
        except BaseException:
            _forget(loading)
            raise
    _files[origin.module] = loading
    return origin


def load_installed() -> bool:
    """Import the plugins of installed packages that have not been imported yet.

    Returns:
        Whether all are imported; False for a plugin that looks up a name while it is imported.
    Raises:
        UserError: one cannot be imported, registers nothing, or registers a name that is taken.
    """
    global _is_importing_packages
    if _is_importing_packages:
        return False
    _is_importing_packages = True
    try:
        for entry in _installed():
            if entry not in _packages:
                _load_package(entry)
    finally:
        _is_importing_packages = False
    return True


def owner(undo: Callable[[], None]) -> Origin | None:
    """The plugin that is being imported, for a registry that takes an entry from it.

    Args:
        undo: removes the entry, should the import fail.
    """
    if not _loading:
        return None
    _loading[-1].undo.append(undo)
    return _loading[-1].origin


def origin_of(thing: object) -> Origin:
    """Where a class or function comes from that no plugin registered, by its module."""
    module = getattr(thing, "__module__", None) or "__main__"
    package = module.partition(".")[0]
    if package == "fairexit":
        return FAIREXIT
    origins = (o for entry, o in _packages.items() if entry.module.partition(".")[0] == package)
    return next(origins, Origin(module))


def loaded_files() -> tuple[Origin, ...]:
    """The plugin files that this process has imported."""
    return tuple(loading.origin for loading in _files.values())


def checksums(classes: Iterable[type]) -> dict[str, str]:
    """File name -> SHA-256 of the plugin files that hold these classes or a base of them."""
    modules = {base.__module__ for cls in classes for base in cls.__mro__}
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
        f"plugin {name} has changed: {_differs(digest, names[name])}"
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


HOW_TO_GIVE = "give that file as a plugin, see docs/methods.md"


def portable(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; sent to another process, it brings the plugin files along.

    Pickles are read in order: the plugins are imported before the function, which may belong to an
    object of a class of theirs.
    """
    return partial(_call, loaded_files(), function)


def _call(_: tuple[Origin, ...], function: Callable[..., Any], *args: Any) -> Any:
    return function(*args)


def _names_and_digests() -> tuple[dict[str, str], set[str]]:
    files = loaded_files()
    return {file.name: file.sha256 for file in files}, {file.sha256 for file in files}


def _differs(recorded: str, given: str) -> str:
    return f"its SHA-256 was {recorded}, the given file's is {given}"


def _installed() -> Iterable[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))


def _load_package(entry: EntryPoint) -> None:
    origin, package = Origin(_distribution(entry)), entry.module.partition(".")[0]
    is_new = entry.module not in sys.modules

    def inside(file: str) -> bool:
        return package in (*Path(file).parts, Path(file).stem)

    with _importing(origin, inside) as loading:
        entry.load()
        if is_new and not loading.undo:
            raise UserError(f"its module {entry.value} registers nothing")
    _packages[entry] = origin


def _distribution(entry: EntryPoint) -> str:
    if entry.dist is None:
        return entry.value
    return f"{entry.dist.name} {entry.dist.version}"


@contextmanager
def _importing(
    origin: Origin, inside: Callable[[str], bool], shown: Path | None = None
) -> Iterator[_Loading]:
    """Name `origin` as the owner of what is registered; any error becomes one line."""
    loading = _Loading(origin)
    _loading.append(loading)
    try:
        yield loading
    except (Exception, SystemExit) as error:
        where = _place(error, inside)
        if where and shown is None:
            place = f", {where[0]}, line {where[1]}"
        else:
            place = f", line {where[1]}" if where else ""
        what = str(error) if isinstance(error, UserError) else _what(error)
        raise UserError(f"plugin {shown or origin}{place}: {what}") from error
    finally:
        _loading.remove(loading)


def _what(error: BaseException) -> str:
    kind = type(error).__name__
    if isinstance(error, SyntaxError):
        return f"{kind}: {error.msg}"
    text = reason(Exception(*error.args))
    return f"{kind}: {text}" if error.args else kind


def _place(error: BaseException, inside: Callable[[str], bool]) -> tuple[str, int] | None:
    """File and line of the plugin where an error was raised, the innermost."""
    if isinstance(error, SyntaxError) and error.lineno and inside(error.filename or ""):
        return str(error.filename), error.lineno
    frames = [f for f in traceback.extract_tb(error.__traceback__) if inside(f.filename)]
    return (frames[-1].filename, frames[-1].lineno or 0) if frames else None


def _forget(loading: _Loading) -> None:
    for undo in loading.undo:
        undo()
    sys.modules.pop(loading.origin.module, None)
