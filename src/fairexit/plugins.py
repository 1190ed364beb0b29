"""Plugins: Python files and installed packages that register methods, datasets, heads and so on.

A plugin is a module that enters classes in a registry when it is imported. This file knows no
registry: whatever is registered while a plugin is imported comes from that plugin.
"""

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from fairexit.errors import UserError
from fairexit.plugin_errors import describe, is_within

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
        raise UserError(f"plugin {path} has changed: {differs(sha256, origin.sha256)}")
    if origin.module in _files:
        return _files[origin.module].origin
    for other in loaded_files():
        if other.path == origin.path:
            _forget(_files.pop(other.module))
        elif other.name == origin.name:
            raise UserError(f"two plugins are called {path.name}: {other} and {path}; rename one")
    with _importing(origin, origin.module, str(path)) as loading:
        module = ModuleType(origin.module)
        module.__file__ = str(path)
        sys.modules[origin.module] = module
        # Compiled here, so that what runs is what the checksum was taken of.
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
        if not loading.undo:
            raise UserError('it registers nothing; see "A method of your own" in docs/methods.md')
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
    if is_within(module, "fairexit"):
        return FAIREXIT
    packages = (o for entry, o in _packages.items() if is_within(module, _scope(entry)))
    return next(packages, Origin(module))


def loaded_files() -> tuple[Origin, ...]:
    """The plugin files that this process has imported."""
    return tuple(loading.origin for loading in _files.values())


def portable(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function; sent to another process, it brings the plugin files along.

    Pickles are read in order: the plugins are imported before the function, which may belong to an
    object of a class of theirs.
    """
    return partial(_call, loaded_files(), function)


def _call(_: tuple[Origin, ...], function: Callable[..., Any], *args: Any, **options: Any) -> Any:
    return function(*args, **options)


def differs(recorded: str, given: str) -> str:
    """How a message says that a file is not the one of a recorded checksum."""
    return f"its SHA-256 was {recorded}, the given file's is {given}"


def _installed() -> Iterable[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))


def _load_package(entry: EntryPoint) -> None:
    name = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
    is_new = entry.module not in sys.modules
    with _importing(Origin(name), _scope(entry), name) as loading:
        entry.load()
        if is_new and not loading.undo:
            raise UserError(f"its module {entry.module} registers nothing")
    _packages[entry] = loading.origin


def _scope(entry: EntryPoint) -> str:
    """The package of the plugin's module, or the module itself."""
    return entry.module.rpartition(".")[0] or entry.module


@contextmanager
def _importing(origin: Origin, scope: str, shown: str) -> Iterator[_Loading]:
    """Name `origin` as the owner of what is registered; an error becomes one line.

    A failed import is undone as a whole, so that the next attempt is like the first.

    Args:
        origin: the plugin.
        scope: the module, or the package, that is the plugin's.
        shown: the plugin as messages name it.
    """
    loading, before = _Loading(origin), set(sys.modules)
    _loading.append(loading)
    try:
        yield loading
    except (Exception, SystemExit) as error:
        _forget(loading)
        for name in set(sys.modules) - before:
            if is_within(name, scope):
                del sys.modules[name]
        raise UserError(f"plugin {shown}{describe(error, scope, shown)}") from error
    finally:
        _loading.remove(loading)


def _forget(loading: _Loading) -> None:
    for undo in loading.undo:
        undo()
    sys.modules.pop(loading.origin.module, None)
