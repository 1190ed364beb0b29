"""Links that leave docs/ work on the site as they do in the repository.

Pages link to examples and source files by relative paths. The site has no such files of its own, so
each one that is linked is copied into it, and the link leads to the copy.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((\.\./[^)#\s]+)")
COPIES = "files"


def outside(source: str, link: str) -> str | None:
    """The file that a link leads to, from the project's root; None if it lies in docs/.

    >>> outside("results/gpu.md", "../../examples/own_loop.py")
    'examples/own_loop.py'
    >>> outside("results/gpu.md", "../metrics.md")
    """
    target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(source), link))
    return None if target.startswith("docs/") else target


def on_files(files: Files, *, config: Any) -> Files:
    """Add every file outside docs/ that a page links to."""
    for page in files.documentation_pages():
        for link in LINK.findall(page.content_string):
            target = outside(page.src_uri, link)
            copy = f"{COPIES}/{target}"
            if target is None or files.get_file_from_path(copy):
                continue
            if not (ROOT / target).is_file():
                raise PluginError(f"docs/{page.src_uri} links to {target}, which does not exist")
            files.append(File.generated(config, copy, abs_src_path=str(ROOT / target)))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Lead links that leave docs/ to the copies."""

    def replace(match: re.Match[str]) -> str:
        target = outside(page.file.src_uri, match[1])
        if target is None:
            return match[0]
        up = "../" * page.file.src_uri.count("/")
        return f"]({up}{COPIES}/{target}"

    return LINK.sub(replace, markdown)
