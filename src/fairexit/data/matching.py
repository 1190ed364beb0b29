"""Matching of the names in a table to the image files of a folder."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import normpath

from fairexit.data.dicom import MAGIC
from fairexit.data.dicom import SUFFIXES as DICOM_SUFFIXES
from fairexit.errors import UserError, short
from fairexit.terminal import path_text

IMAGE_SUFFIXES = {
    *(".jpg", ".jpeg", ".jfif", ".jpe", ".png", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".webp"),
    *(".jp2", ".j2k", ".pgm", ".ppm"),
    *DICOM_SUFFIXES,
}
"""Endings of the files that are read. A DICOM file may also have none, or the end of a number."""

SPELLING = "matched in another spelling (slashes, blanks, case or Unicode form)"
ENDING = "matched with another ending than the table's"
NUMBER = "matched without the '.0' of a number"
PLACE = "matched by the end of a longer path"

Index = dict[str, list[str]]


@dataclass(frozen=True)
class ImageFiles:
    """The image files of a folder that the names in a table mean.

    Attributes:
        paths: name -> path of its image.
        reasons: name -> why it has no image.
        matched: how names that are no exact path or file name were matched -> number of names.
        unlisted: number of images in the folder that no name means.
    """

    paths: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    matched: dict[str, int] = field(default_factory=dict)
    unlisted: int = 0


def image_files(folder: Path) -> list[Path]:
    """Every image file below a folder, in alphabetical order."""
    return [path for path in _files(folder) if is_image(path)]


def find_images(folder: Path, names: Iterable[str]) -> ImageFiles:
    """Find the images that names mean.

    A name is a path relative to the folder or a file name, each with or without its ending. Names
    that fit no image so are also compared without regard to slashes, blanks, case and Unicode
    form, then with another ending, without the ".0" of a number, and by the end of a path that is
    absolute or begins with the folder's name. What was matched so is counted.

    Raises:
        UserError: a name fits two images, or two names fit the same image, both loosely.
    """
    files = image_files(folder)
    images = [path.relative_to(folder).as_posix() for path in files]
    finder = _Finder(images, folder.absolute().name)
    others = sorted(set(_files(folder)) - set(files))
    kinds = {_canonical(name): path.suffix for path in others for name in (path.stem, path.name)}
    paths: dict[str, str] = {}
    ways: dict[str, str] = {}
    names = list(names)
    for name in names:
        image, way = finder.find(name)
        if image:
            paths[name], ways[name] = image, way
    _settle(paths, ways)
    reasons = {name: _reason(name, kinds) for name in names if name not in paths}
    counts = Counter(way for way in ways.values() if way)
    absolute = {name: str(folder / image) for name, image in paths.items()}
    unlisted = len(images) - len(set(paths.values()))
    return ImageFiles(absolute, reasons, dict(sorted(counts.items())), unlisted)


class _Finder:
    """Finds the image that a name means, by ever looser rules."""

    def __init__(self, images: list[str], folder: str) -> None:
        self.folder = _canonical(folder)
        self.exact_paths = set(images)
        self.exact = _index(images, lambda image: (_last(image), _last(_bare(image)), _bare(image)))
        self.paths = _index(images, lambda image: (_canonical(image), _bare(_canonical(image))))
        self.names = _index(
            images, lambda image: (_last(_canonical(image)), _last(_bare(_canonical(image))))
        )

    def find(self, name: str) -> tuple[str, str]:
        """The image ("" if there is none) and how it was matched ("" if exactly).

        Raises:
            UserError: the name fits two images.
        """
        for way, matches in self._matches(name):
            if len(matches) > 1:
                raise UserError(
                    f"id '{short(name)}' fits both {path_text(matches[0])} and "
                    f"{path_text(matches[1])}; use the path as the id"
                )
            if matches:
                return matches[0], way
        return "", ""

    def _matches(self, name: str) -> Iterator[tuple[str, list[str]]]:
        """The images that fit a name by each rule, from the strictest to the loosest."""
        yield "", [name] if name in self.exact_paths else self.exact.get(name, [])
        key = _canonical(name)
        bare = _bare(key)
        yield SPELLING, self._look_up(key)
        yield ENDING, self._look_up(bare)
        if re.fullmatch(r"\d+\.0+", key):
            yield NUMBER, self._look_up(key.partition(".")[0])
        for tail in self._tails(key):
            yield PLACE, self.paths.get(tail, []) or self.paths.get(_bare(tail), [])

    def _look_up(self, key: str) -> list[str]:
        return self.paths.get(key, []) or ([] if "/" in key else self.names.get(key, []))

    def _tails(self, key: str) -> Iterator[str]:
        """What may follow the folder in a path from elsewhere, the longest first."""
        parts = key.split("/")
        is_absolute = key.startswith("/") or re.match(r"[a-z]:/", key) is not None
        for i in range(1, len(parts)):
            if is_absolute or parts[i - 1] == self.folder:
                yield "/".join(parts[i:])


def _files(folder: Path) -> list[Path]:
    """Every file below a folder, in alphabetical order."""
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def is_image(path: Path) -> bool:
    """Whether a file's ending or, for a DICOM file without one, its content is an image's."""
    ending = path.suffix.lower()
    if ending in IMAGE_SUFFIXES:
        return True
    if (ending and not ending[1:].isdigit()) or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == MAGIC
    except OSError:
        return False


def _index(images: list[str], keys: Callable[[str], Iterable[str]]) -> Index:
    """Key -> the images that have it, each once."""
    index: Index = {}
    for image in images:
        for key in set(keys(image)):
            index.setdefault(key, []).append(image)
    return index


def _canonical(name: str) -> str:
    """A path in one spelling: slashes, no blanks around it, no `.`, one case and Unicode form."""
    text = unicodedata.normalize("NFC", name.strip().replace("\\", "/"))
    return normpath(text).casefold() if text else ""


def _bare(image: str) -> str:
    """The path without the ending of an image; the end of a number (1.2.840) is none."""
    trunk, dot, ending = image.rpartition(".")
    return trunk if dot + ending.lower() in IMAGE_SUFFIXES else image


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _reason(name: str, kinds: dict[str, str]) -> str:
    """Why a name has no image: a file of a kind that is not read, or none at all."""
    key = _last(_canonical(name))
    kind = kinds.get(key, kinds.get(_bare(key)))
    if kind is None:
        return "missing file"
    return f"a kind that is not read ({path_text(kind.lower()) or 'no ending'})"


def _settle(paths: dict[str, str], ways: dict[str, str]) -> None:
    """Leave an image that one name fits exactly to that name, in place.

    Raises:
        UserError: two names fit the same image, both exactly or both loosely.
    """
    exact = {image for name, image in paths.items() if not ways[name]}
    first: dict[str, str] = {}
    for name, image in list(paths.items()):
        if ways[name] and image in exact:
            del paths[name], ways[name]
        elif first.setdefault(image, name) != name:
            raise UserError(
                f"ids '{short(first[image])}' and '{short(name)}' both fit {path_text(image)}; "
                "use the path as the id"
            )
