"""The documentation pack: its files, what they say, and what happens if it cannot be written."""

import hashlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import fairexit
from fairexit.auditing.settings import AuditSettings
from fairexit.documentation.open_items import reference
from fairexit.documentation.pack import CONTENTS, INDEX
from fairexit.report.guidelines import GUIDELINES
from fairexit.report.guidelines.items import evidence
from fairexit.runs import open_run

FEW = AuditSettings(n_resamples=100, n_score_resamples=100, n_permutations=100, n_gap_resamples=100)


@pytest.fixture(scope="module")
def audit(tiny_run):
    """An audit of the run with few resamples."""
    return fairexit.audit(tiny_run.path, positive="melanoma", settings=FEW)


@pytest.fixture(scope="module")
def pack(tiny_run, tmp_path_factory):
    """The documentation of the run; tests must not change it."""
    out = tmp_path_factory.mktemp("documentation") / "pack"
    return fairexit.document(tiny_run, out, positive="melanoma", settings=FEW)


def headings(file):
    """The sections of a document: headings of a text or page, keys of JSON and YAML."""
    text = file.read_text(encoding="utf-8")
    if file.suffix in (".json", ".yaml"):
        return set(yaml.safe_load(text) if file.suffix == ".yaml" else json.loads(text))
    pattern = r"<h2>(.*?)</h2>" if file.suffix == ".html" else r"^## (.*)$"
    return set(re.findall(pattern, text, re.MULTILINE))


def test_the_index_lists_every_other_file_with_its_checksum(pack):
    files = {file.name for file in pack.path.iterdir()}
    assert files == {*CONTENTS, INDEX}
    index = (pack.path / INDEX).read_text(encoding="utf-8")
    for name in CONTENTS:
        digest = hashlib.sha256((pack.path / name).read_bytes()).hexdigest()
        assert re.search(rf'href="{name}".*{digest}', index), name


def test_every_section_that_answers_an_item_exists(pack, audit):
    known = evidence(audit)
    assert {"dataset", "leaks", "clinical", "steps"} <= known
    answers = [answer for guideline in GUIDELINES for answer in guideline.answers(known)]
    places = {
        (reply.document, section)
        for answer in answers
        for reply in answer.replies
        for section in (
            reply.section.split(", ") if reply.document == "settings.yaml" else [reply.section]
        )
    }
    assert len(places) > 20
    for document, section in places:
        assert section in headings(pack.path / document), (document, section)


def test_items_that_no_document_answers_come_first_and_are_marked(pack):
    text = (pack.path / "items.md").read_text(encoding="utf-8")
    assert pack.overview.rows
    for guideline in GUIDELINES:
        section = text.split(f"\n## {guideline.name}\n")[1].split("\n## ")[0]
        states = re.findall(r"^\|[^|]+\|[^|]+\| (EMPTY|in part|yes) \|", section, re.MULTILINE)
        assert len(states) == len(guideline.items)
        empty = states.count("EMPTY")
        assert states[:empty] == ["EMPTY"] * empty
        row = next(row for row in pack.overview.rows if row[0] == guideline.name)
        assert row[1:3] == [str(len(states)), str(empty)]
        assert row[3:] == [str(states.count("in part")), str(states.count("yes"))]
    page = (pack.path / "items.html").read_text(encoding="utf-8")
    assert page.count('<td class="word">EMPTY</td>') == text.count("| EMPTY |")
    assert "no legal advice" in text
    assert "no legal advice" in page


def test_no_file_names_a_folder_of_this_machine(pack, tiny_run):
    for file in pack.path.iterdir():
        text = file.read_text(encoding="utf-8")
        assert str(Path.home()) not in text
        assert str(tiny_run.path.parent) not in text, file
        assert str(tiny_run.config.data.path.parent) not in text, file


def test_the_environment_says_what_has_changed_since_training(pack, tiny_run, tmp_path):
    record = json.loads((pack.path / "environment.json").read_text())
    weights = hashlib.sha256(tiny_run.weights.read_bytes()).hexdigest()
    assert record["weights"] == {"model.safetensors": weights}
    assert record["training"]["torch"] == record["documentation"]["torch"]
    assert record["differences"] == {}
    shutil.copytree(tiny_run.path, tmp_path / "run")
    stored = json.loads((tmp_path / "run" / "config.json").read_text())
    stored["environment"]["numpy"] = "1.0"
    (tmp_path / "run" / "config.json").write_text(json.dumps(stored))
    other = fairexit.document(tmp_path / "run", tmp_path / "other", settings=FEW)
    changed = json.loads((other.path / "environment.json").read_text())["differences"]
    assert changed == {
        "numpy": {"training": "1.0", "documentation": record["documentation"]["numpy"]}
    }


def test_the_settings_are_those_of_the_run_without_folders(pack, tiny_run):
    written = yaml.safe_load((pack.path / "settings.yaml").read_text())
    expected = tiny_run.config.to_dict()
    expected["data"]["path"] = tiny_run.config.data.path.name
    assert written == expected


def test_data_that_were_moved_are_named(command, tiny_run, tmp_path):
    run, data = tmp_path / "run", tmp_path / "data"
    shutil.copytree(tiny_run.path, run)
    shutil.copytree(tiny_run.config.data.path, data)
    stored = json.loads((run / "config.json").read_text())
    stored["run"]["data"]["path"] = str(tmp_path / "gone")
    (run / "config.json").write_text(json.dumps(stored))
    status, _, err = command("document", run, "--out", tmp_path / "pack")
    assert status == 2
    last = err.splitlines()[-1]
    assert last == (
        f"fairexit: the data of {run} are not at {tmp_path / 'gone'}; name their folder with --data"
    )
    assert not (tmp_path / "pack").exists()
    moved = fairexit.document(run, tmp_path / "pack", data=data, settings=FEW)
    assert "Dataset: synthetic" in (moved.path / "README.md").read_text()


def test_other_data_are_refused(tiny_run, small, tmp_path):
    with pytest.raises(ValueError, match=r"does not hold the data that .* was trained on"):
        fairexit.document(tiny_run, tmp_path / "pack", data=small.path)


def test_a_folder_that_exists_is_refused_before_the_audit(command, tiny_run, tmp_path):
    status, _, err = command("document", tiny_run.path, "--out", tmp_path)
    assert status == 2
    assert err.splitlines()[-1] == (
        f"fairexit: {tmp_path} already exists; remove it or choose another --out"
    )


def test_a_run_without_predictions_and_an_export_are_refused(tiny_run, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "predictions")
    with pytest.raises(ValueError, match="fairexit predict"):
        fairexit.document(tmp_path / "run", tmp_path / "pack")
    (tmp_path / "run" / "manifest.json").write_text("{}")
    with pytest.raises(ValueError, match="is an export; document the run"):
        fairexit.document(tmp_path / "run", tmp_path / "pack")
    assert not list(tmp_path.glob("*pack*"))


def test_an_error_leaves_nothing_behind(tiny_run, tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fairexit.documentation.pack._index", broken)
    with pytest.raises(ValueError, match="is full; nothing was written"):
        fairexit.document(tiny_run, tmp_path / "pack", settings=FEW)
    assert not list(tmp_path.iterdir())


def test_the_command_shows_how_many_items_are_left(command, tiny_run, tmp_path, monkeypatch):
    given = {}

    def quick(run, out, **options):
        given.update(options)
        return document(run, out, **options, settings=FEW)

    document = fairexit.document
    monkeypatch.setattr("fairexit.api.documenting.document", quick)
    out = tmp_path / "pack"
    status, printed, _ = command(
        "document", tiny_run.path, "--out", out, "--positive", "melanoma",
        "--baseline", tiny_run.path, tiny_run.path, "--baseline", tiny_run.path,
    )  # fmt: skip
    assert status == 0
    assert given["positive"] == ["melanoma"]
    assert "FUTURE-AI (2025)" in printed
    assert f"written: {out} (next: open {out / 'index.html'})" in printed
    text = (out / "items.md").read_text()
    assert "audit.html, Findings: comparison with a baseline" in text
    assert "README.md, Results: several training seeds" in text


def test_a_name_that_looks_like_markup_stays_a_name(tiny_run, audit, tmp_path):
    from fairexit.documentation.pack import open_data, write_documentation

    bad = "<script>alert(1)</script>"
    run = open_run(tiny_run.path)
    odd = replace(audit, facts=replace(audit.facts, name=bad))
    written = write_documentation(run, open_data(run, None), odd, tmp_path / "pack")
    assert bad not in (written.path / INDEX).read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in (written.path / INDEX).read_text()


def test_the_reference_page_has_all_items():
    docs = Path(__file__).parents[2] / "docs"
    page = docs / "guidelines.md"
    remedy = (
        'python -c "from fairexit.documentation.open_items import reference; '
        "print(reference(), end='')\" > docs/guidelines.md"
    )
    assert page.read_text(encoding="utf-8") == reference(), remedy
    assert "README.md, Results: a second cohort" in reference()
    listed = (docs / "documentation_pack.md").read_text(encoding="utf-8")
    counts = re.findall(r"^\|[^|]+\| (\d+) \|", listed, re.MULTILINE)
    assert counts == [str(len(guideline.items)) for guideline in GUIDELINES]
