"""The runtime: light, the same answers for files as for pixels, and safe against bad folders."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fairexit import runtime
from fairexit.data.prepared import open_prepared
from fairexit.errors import UserError

ROOT = Path(__file__).parents[2]

LIGHT = """
import sys
absent = {absent!r}
sys.modules |= dict.fromkeys(absent)
from fairexit import runtime
{code}
"""
IMPORTS = {
    "types-PyYAML": "yaml", "pyyaml": "yaml", "pillow": "PIL", "scikit-learn": "sklearn",
    "backpack-for-pytorch": "backpack", "pytest-xdist": "xdist",
    "axe-core-python": "axe_core_python", "python-multipart": "python_multipart",
}  # fmt: skip
NEEDED = {"numpy", "PIL", "onnxruntime"}


def all_requirements():
    """The packages that the project or one of its extras asks for, by their import names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    names = {line.split(">")[0] for group in groups for line in group if "[" not in line}
    return {IMPORTS.get(name, name) for name in names}


def run_light(code):
    """Run code in a process that has no package but those that the runtime needs."""
    absent = sorted(all_requirements() - NEEDED)
    assert {"torch", "pandas", "scipy", "typer", "filelock", "yaml", "pydantic"} <= {*absent}
    program = LIGHT.format(absent=absent, code=code)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )


def test_it_imports_only_numpy_and_pillow():
    code = "import json; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    before = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}"], capture_output=True, text=True, check=True
    )
    after = run_light(code)
    assert after.returncode == 0, after.stderr
    new = set(json.loads(after.stdout)) - set(json.loads(before.stdout)) - sys.stdlib_module_names
    assert new - all_requirements() == {"fairexit"}
    assert not new & {"torch", "onnxruntime"} or new >= {"PIL", "numpy"}


def test_an_export_runs_where_nothing_else_is_installed(exported):
    path = exported["staged"].path
    done = run_light(
        "import numpy as np\n"
        f"model = runtime.load({str(path)!r}, threads=1)\n"
        "print(model(np.zeros((2, 50, 60, 3), np.uint8)).prediction.tolist())\n"
        "assert all(sys.modules[name] is None for name in absent)"
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout.replace("'", '"'))) == 2


def test_without_onnxruntime_it_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"runtime.load needs the extra 'onnx-run': pip install"):
        runtime.load(tmp_path)


def test_files_images_and_arrays_are_answered_alike(exported, judged, tmp_path):
    data = open_prepared(judged.config.data.path)
    pixels = np.asarray(data.images[data.rows("test")[:6]])
    files = [tmp_path / f"{i}.png" for i in range(len(pixels))]
    for file, image in zip(files, pixels, strict=True):
        Image.fromarray(image).save(file)
    model = runtime.load(exported["staged"].path, threads=1)
    expected = model.answer(pixels)
    for images in (pixels, [*pixels], [Image.fromarray(p) for p in pixels], files, map(str, files)):
        answers = model(images)
        np.testing.assert_array_equal(answers.probabilities, expected.probabilities)
        assert answers.exit.tolist() == [model.manifest.exits[k] for k in expected.exit]
        winners = expected.probabilities.argmax(1)
        assert answers.prediction.tolist() == [answers.classes[c] for c in winners]
        assert answers.problem == ("",) * 6
    assert len(model(files[0])) == 1
    assert len(model([])) == 0
    assert "28 px" in repr(model)


def test_a_file_that_cannot_be_read_is_a_listed_row(exported, tmp_path):
    good, empty, text = tmp_path / "a,b\n.png", tmp_path / "e.png", tmp_path / "t.jpg"
    Image.new("RGB", (40, 40), "red").save(good)
    empty.touch()
    text.write_bytes(b"%PDF-1.7")
    answers = runtime.load(exported["staged"].path)([empty, good, text], batch_size=2)
    assert [bool(problem) for problem in answers.problem] == [True, False, True]
    assert answers.prediction.tolist()[::2] == ["", ""]
    assert np.isnan(answers.probabilities[[0, 2]]).all()
    assert answers.probabilities[1].sum() == pytest.approx(1)


def seal(folder, manifest=None):
    """Renew all checksums, as somebody who changes a folder on purpose would."""
    manifest = manifest or json.loads((folder / "manifest.json").read_text())
    for name in manifest["files"]:
        if (folder / name).is_file():
            content = (folder / name).read_bytes()
            manifest["files"][name] = hashlib.sha256(content).hexdigest()
    text = json.dumps(manifest)
    (folder / "manifest.json").write_text(text)
    digest = hashlib.sha256(text.encode()).hexdigest()
    (folder / "manifest.sha256").write_text(f"{digest}  manifest.json\n")


def flip(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def change(folder, **values):
    """Change keys of the manifest and renew all checksums."""
    seal(folder, json.loads((folder / "manifest.json").read_text()) | values)


def add_file(folder, name):
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = "0" * 64
    seal(folder, manifest)


def refer(folder):
    """Let the first graph keep its weights in another file, which does exist."""
    import onnx

    file = folder / "model-exit-1.onnx"
    model = onnx.load(file)
    onnx.save(
        model,
        folder / "other.onnx",
        save_as_external_data=True,
        location="secret.bin",
        size_threshold=0,
    )
    (folder / "other.onnx").rename(file)
    seal(folder)


def other_policy(folder):
    (folder / "policy.json").write_text('{"theta": [0.5, 0.5, 0.5]}')
    seal(folder)


GRAPH = "model-exit-3.onnx"
BAD = {
    "a changed graph": (lambda f: flip(f / GRAPH), "is not the file that was exported"),
    "a changed policy": (lambda f: flip(f / "policy.json"), "is not the file that was exported"),
    "a changed manifest": (
        lambda f: flip(f / "manifest.json"), "manifest.json is not the file that was exported"
    ),
    "an empty graph": (lambda f: (f / GRAPH).write_bytes(b""), f"{GRAPH} is empty"),
    "an empty manifest": (
        lambda f: (f / "manifest.json").write_bytes(b""), "manifest.json is empty"
    ),
    "no graph": (lambda f: (f / GRAPH).unlink(), f"{GRAPH} is missing"),
    "no checksum": (lambda f: (f / "manifest.sha256").unlink(), "manifest.sha256 is missing"),
    "a graph that is none": (
        lambda f: ((f / GRAPH).write_bytes(b"x" * 99), seal(f)), f"{GRAPH} cannot be run by onnx"
    ),
    "a graph of zeros": (
        lambda f: ((f / GRAPH).write_bytes(bytes(99)), seal(f)), f"{GRAPH} cannot be run by onnx"
    ),
    "another graph": (
        lambda f: (shutil.copy(f / "model-exit-f.onnx", f / GRAPH), seal(f)),
        "the graphs do not fit each other",
    ),
    "a graph that reads files": (refer, "model-exit-1.onnx refers to other files"),
    "a graph in another format": (
        lambda f: ((f / GRAPH).write_bytes(b"\x10\0\0\0ORTM" + bytes(99)), seal(f)),
        "is in onnxruntime's own format",
    ),
    "a path out of the folder": (lambda f: add_file(f, "../secret"), "damaged: 'files' is {"),
    "an absolute path": (lambda f: add_file(f, "/etc/passwd"), "damaged: 'files' is {"),
    "a graph out of the folder": (
        lambda f: change(f, graphs=["../a.onnx", "b", "c"]), "damaged: 'graphs' is ["
    ),
    "no JSON": (
        lambda f: ((f / "manifest.json").write_text("{"), reseal_text(f)),
        "manifest.json is damaged",
    ),
    "a list": (
        lambda f: ((f / "manifest.json").write_text("[]"), reseal_text(f)), "lacks 'format'"
    ),
    "another version": (lambda f: change(f, format=9), "has format 9, but this version reads 1"),
    "another form": (lambda f: change(f, form="pickle"), "damaged: 'form' is 'pickle'"),
    "too few classes": (lambda f: change(f, classes=["a", "b"]), "the graphs have 5 classes"),
    "a size of zero": (
        lambda f: change(f, preprocessing={"size": 0, "fit": "crop"}), "'preprocessing.size' is 0"
    ),
    "another size": (
        lambda f: change(f, preprocessing={"size": 64, "fit": "crop"}), "do not fit each other"
    ),
    "a policy of other exits": (other_policy, "there are 3 thresholds but 2 internal exits"),
}  # fmt: skip


def reseal_text(folder):
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    (folder / "manifest.sha256").write_text(f"{digest}  manifest.json\n")


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_folder_is_refused_in_one_line(staged, command, kind):
    spoil, message = BAD[kind]
    spoil(staged)
    status, _, error = command("predict", staged, "--split", "test")
    assert status == 2
    assert message in error
    assert error.count("\n") == 1
    assert error.startswith("fairexit: ")
    assert not (staged / "predictions").exists()


def test_onnxruntime_prints_no_lines_of_its_own(staged):
    BAD["another graph"][0](staged)
    done = run_light(f"try:\n    runtime.load({str(staged)!r})\nexcept ValueError as e: print(e)")
    assert "the graphs do not fit each other" in done.stdout
    assert done.stderr == ""


def test_a_checksum_noted_elsewhere_shows_deliberate_changes(staged):
    digest = (staged / "manifest.sha256").read_text().split()[0]
    runtime.load(staged, sha256=digest.upper())
    change(staged, classes=list("abcde"))
    runtime.load(staged)
    with pytest.raises(UserError, match=r"was expected$") as error:
        runtime.load(staged, sha256=digest)
    assert digest in str(error.value)


def test_a_card_may_be_completed_by_hand(staged):
    (staged / "README.md").write_text("Intended use: ...")
    runtime.load(staged)


def test_a_pipe_in_place_of_a_graph_does_not_block(staged):
    (staged / GRAPH).unlink()
    os.mkfifo(staged / GRAPH)
    with pytest.raises(UserError, match=f"{GRAPH} is missing"):
        runtime.load(staged)


def test_other_arguments_are_checked(staged, tmp_path):
    with pytest.raises(UserError, match="'threads' is 0; it must be at least 1"):
        runtime.load(staged, threads=0)
    with pytest.raises(UserError, match="there is no folder"):
        runtime.load(tmp_path / "no")
    with pytest.raises(UserError, match="is not an exported model; make one with"):
        runtime.load(tmp_path)
