"""Plugins: Python files and installed packages that register methods, datasets, heads and so on.

A plugin is a module that registers classes when it is imported. This file knows no registry:
whatever is registered while a plugin is being imported is attributed to that plugin.
"""

import hashlib
import os
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
"""Entry-point group of plugins in installed packages, imported at the first look-up of a name."""


@dataclass(frozen=True)
class Origin:
    """The source of a registered class.

    Unpickling the origin of a plugin file loads that file, so that other processes have it too.

    Attributes:
        name: the origin as lists show it: `fairexit`, a file's name, or a distribution and its
            version.
        path: absolute path of a plugin file; None for a package.
        sha256: SHA-256 of a plugin file's content; empty for a package.
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
        """The name under which a plugin file is imported; it changes with the content."""
        return f"fairexit_plugin_{self.sha256[:16]}"


@dataclass
class _Loading:
    """A plugin, and the functions that undo its registrations."""

    origin: Origin
    undo: list[Callable[[], None]] = field(default_factory=list)


FAIREXIT = Origin("fairexit")

_files: dict[str, _Loading] = {}  # by the module's name
_packages: dict[EntryPoint, Origin] = {}
_loading: list[_Loading] = []
_is_importing_packages = False


def load_plugins(files: Iterable[str | Path], folder: Path | None = None) -> tuple[Origin, ...]:
    """Import plugin files, after the plugins of installed packages; each file is imported once.

    Args:
        files: Python files that register something.
        folder: the folder to which relative paths refer; by default the current one.
    Returns:
        The origin of each file.
    Raises:
        UserError: a file cannot be imported, registers nothing, or registers a name that is taken.
    """
    load_installed()
    return tuple(load_file((folder or Path()) / file) for file in files)


def load_file(path: Path, sha256: str | None = None) -> Origin:
    """Import one plugin file; a file that was edited since its import replaces the older version.

    Args:
        path: the file.
        sha256: the checksum that the file must have; None accepts any.
    Raises:
        UserError: as for `load_plugins`, or the checksum differs.
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
    for loaded in loaded_files():
        if loaded.path == origin.path:
            _forget(_files.pop(loaded.module))
        elif loaded.name == origin.name:
            raise UserError(f"two plugins are called {path.name}: {loaded} and {path}; rename one")
    with _importing(origin, origin.module, str(path)) as loading:
        module = ModuleType(origin.module)
        module.__file__ = str(path)
        sys.modules[origin.module] = module
        # Compiled from the bytes of the checksum: the file may change between two reads.
        exec(compile(source, str(path), "exec", dont_inherit=True), module.__dict__)
        if not loading.undo:
            raise UserError('it registers nothing; see "A method of your own" in docs/methods.md')
    _files[origin.module] = loading
    return origin


def load_installed() -> bool:
    """Import the plugins of installed packages that have not been imported yet.

    Returns:
        Whether all are imported; False where a plugin looks up a name while it is being imported.
    Raises:
        UserError: a plugin cannot be imported, registers nothing, or registers a name that is
            taken.
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
    """The plugin that is being imported; a registry calls this for each entry that it takes.

    Args:
        undo: removes the entry from the registry if the import fails.
    Returns:
        The plugin, or None where none is being imported.
    """
    if not _loading:
        return None
    _loading[-1].undo.append(undo)
    return _loading[-1].origin


def origin_of(thing: object) -> Origin:
    """The origin of a class or function that no plugin registered, by its module."""
    module = getattr(thing, "__module__", None) or "__main__"
    if is_within(module, "fairexit"):
        return FAIREXIT
    origins = (origin for entry, origin in _packages.items() if is_within(module, _scope(entry)))
    return next(origins, Origin(module))


def loaded_files() -> tuple[Origin, ...]:
    """The plugin files that this process has imported."""
    return tuple(loading.origin for loading in _files.values())


def loaded_paths() -> list[str]:
    """Absolute paths of the plugin files that this process has imported, for other processes."""
    return [str(origin.path) for origin in loaded_files()]


def portable(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, as another process must call it.

    Its pickle also loads this process's plugin files: a pickle is read in order, so the plugins are
    imported before the function, which may belong to an object of a class that a plugin defines.
    And it runs in this process's folder, since workers that are used again keep the folder in which
    they were started.
    """
    return partial(_call, loaded_files(), Path.cwd(), function)


def _call(
    _: tuple[Origin, ...], folder: Path, function: Callable[..., Any], *args: Any, **options: Any
) -> Any:
    os.chdir(folder)
    return function(*args, **options)


def differs(recorded: str, given: str) -> str:
    """The phrase of a message for a file whose checksum is not the recorded one."""
    return f"its SHA-256 was {recorded}, the given file's is {given}"


def _installed() -> list[EntryPoint]:
    """The entry points of all installed plugins, in a fixed order."""
    return sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))


def _load_package(entry: EntryPoint) -> None:
    """Import the plugin of an installed package."""
    name = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
    is_new = entry.module not in sys.modules
    with _importing(Origin(name), _scope(entry), name) as loading:
        entry.load()
        if is_new and not loading.undo:
            raise UserError(f"its module {entry.module} registers nothing")
    _packages[entry] = loading.origin


def _scope(entry: EntryPoint) -> str:
    """The package that contains the plugin's module, or a top-level module itself."""
    return entry.module.rpartition(".")[0] or entry.module


@contextmanager
def _importing(origin: Origin, scope: str, shown: str) -> Iterator[_Loading]:
    """Attribute all registrations in the context to `origin`, and turn an error into one line.

    A failed import is undone as a whole, so that the next attempt starts as the first did.

    Args:
        origin: the plugin.
        scope: dotted name of the plugin's module or package.
        shown: the plugin as messages show it.
    Raises:
        UserError: the import failed.
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
    """Undo the registrations of a plugin and drop its module."""
    for undo in loading.undo:
        undo()
    sys.modules.pop(loading.origin.module, None)
