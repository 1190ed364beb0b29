"""The site builds strictly, from pages whose links work in the repository as well."""

import doctest
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import fairexit.metrics
from fairexit.cli import COMMANDS

ROOT = Path(__file__).parents[2]
LOADED = re.compile(r'<(?:script|img|link)\b[^>]*\b(?:src|href)="(?:https?:)?//[^"]*"')

pytest.importorskip("mkdocs", reason="mkdocs is not installed")
pytest.importorskip("material", reason="mkdocs-material is not installed")


def build(config, out):
    command = ["mkdocs", "build", "--strict", "--config-file", config, "--site-dir", out]
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, timeout=300
    )


@pytest.mark.parametrize("hook", ["docstrings", "links"])
def test_the_examples_in_the_hooks_are_true(hook, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "docs" / "hooks")
    result = doctest.testmod(import_module(hook))
    assert (result.attempted > 0, result.failed) == (True, 0)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site."""
    out = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", out)
    assert done.returncode == 0, done.stderr
    return out


def test_the_site_loads_nothing_from_elsewhere(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 40
    for page in pages:
        assert not LOADED.findall(page.read_text()), page


def test_every_command_and_public_name_has_an_entry(site):
    commands = (site / "commands.html").read_text()
    for name in COMMANDS:
        assert f'id="{name}"' in commands
    root, metrics = (site / f"api/{name}.html" for name in ("fairexit", "metrics"))
    for name in ("UserError", "audit", "create_model", "read_predictions", "train"):
        assert f'id="fairexit.{name}"' in root.read_text()
    for name in fairexit.metrics.__all__:
        assert f'id="fairexit.metrics.{name}"' in metrics.read_text()


def test_docstrings_are_read_by_their_sections(site):
    pages = [page.read_text() for page in sorted((site / "api").glob("*.html"))]
    assert len(pages) == 3
    for text in pages:
        # A doctest that is not code would be a quotation, a section that is not read a sentence.
        assert "<blockquote>" not in text
        assert not re.search(r"(Args|Returns|Raises):\s+\w", text)


def test_what_lies_outside_docs_is_copied(site):
    assert "files/examples/own_method.py" in (site / "methods.html").read_text()
    copy = site / "files/examples/own_method.py"
    assert copy.read_bytes() == (ROOT / "examples/own_method.py").read_bytes()


@pytest.fixture
def broken(tmp_path):
    """Build a page of a given text under the rules of the real site; returns what is printed."""

    def broken(text):
        (tmp_path / "docs").mkdir(exist_ok=True)
        (tmp_path / "docs" / "index.md").write_text(text)
        config = tmp_path / "mkdocs.yml"
        hook = ROOT / "docs" / "hooks" / "links.py"
        config.write_text(
            f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: {tmp_path / 'docs'}\n"
            f"hooks: [{hook}]\nplugins: []\nnav: [index.md]\n"
        )
        done = build(config, tmp_path / "site")
        return done.returncode, done.stderr

    return broken


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("nowhere.md", "link 'nowhere.md', but the target is not found"),
        ("index.md#nowhere", "link 'index.md#nowhere', but there is no such anchor"),
        ("../examples/none.py", "docs/index.md links to examples/none.py, which does not exist"),
    ],
)
def test_a_broken_link_is_an_error(broken, link, message):
    assert broken("# Home\n\n[other](../examples/own_loop.py)\n")[0] == 0
    status, printed = broken(f"# Home\n\n[here]({link})\n")
    assert status != 0
    assert message in printed
