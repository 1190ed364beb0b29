"""The Containerfile: what it installs suffices to serve an export, and it runs a command."""

import json
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

from fairexit.cli import load_command

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Containerfile").read_text()
IMPORTS = {"pillow": "PIL", "pyyaml": "yaml", "python-multipart": "python_multipart"}

CODE = """
import sys
sys.modules |= dict.fromkeys({absent!r})
sys.argv = ["fairexit", "serve", {path!r}, "--port", "0", "--threads", "1"]
from fairexit.cli import main
main()
"""


def imports(names):
    return {IMPORTS.get(name, name.replace("-", "_")) for name in names}


def test_what_it_installs_serves_an_export(exported):
    (installed,) = re.findall(r"no-compile \\\n(.*?) \\\n", TEXT)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {re.match(r"[\w-]+", line)[0] for group in groups for line in group if "[" not in line}
    assert set(installed.split()) < names
    absent = sorted(imports(names) - imports(installed.split()) - {"rich"})  # of typer
    assert {"torch", "pandas", "scipy", "pyarrow", "filelock"} <= {*absent}
    code = CODE.format(absent=absent, path=str(exported["staged"].path))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=-1, stderr=-1, text=True)
    line = process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert "stop with Ctrl+C" in line, err
    assert (out, err, process.returncode) == ("stopped\n", "", 0)


def test_what_it_runs_is_a_command():
    program, name, *words = json.loads(re.search(r"^ENTRYPOINT (.*)$", TEXT, re.MULTILINE)[1])
    assert (program, name) == ("fairexit", "serve")
    values = load_command(name).make_context(name, words).params
    assert values["run"] == Path("/model")
    assert (values["host"], values["port"]) == ("0.0.0.0", 8000)
    assert "127.0.0.1:8000/health" in TEXT
