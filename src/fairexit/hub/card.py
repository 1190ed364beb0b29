"""The model card of a shared model: its header is completed with what the run knows."""

import math
import re
from collections.abc import Iterator
from typing import Any

import yaml

from fairexit.errors import UserError, option, short
from fairexit.evaluation.policy import Policy
from fairexit.evaluation.theta import theta_name
from fairexit.extras import require
from fairexit.files import read_json
from fairexit.metrics import METRICS
from fairexit.runs import Run
from fairexit.tables import Table, markdown
from fairexit.yaml_text import parse_yaml

TASK = "image-classification"
OVERALL = ("accuracy", "balanced_accuracy", "f1")
_HEADER = re.compile(r"\A---[ \t]*\r?\n(.*?)^---[ \t]*\r?(?:\n|\Z)", re.DOTALL | re.MULTILINE)
# Sections that an earlier call has written, which are written anew.
_WRITTEN = re.compile(
    r"^## (?:How to use\n\n```python\nimport fairexit\n\nmodel = .*\nprint\(.*\n```"
    r"|License\n\nThe license of the weights is .*)\s*",
    re.MULTILINE,
)
_DATASET = re.compile(r"[\w-][\w.-]*(?:/[\w-][\w.-]*)?", re.ASCII)
_LICENSE = re.compile(r"[a-z0-9][a-z0-9.-]{0,99}")


def check_license(license: str | None) -> None:
    """Raise a UserError unless this can be an identifier of a license on the Hub."""
    if license is not None and not _LICENSE.fullmatch(license):
        raise UserError(
            f"{option('license')} is '{short(license)}'; give an identifier of the Hub, such as "
            "mit, apache-2.0, cc-by-nc-4.0 or other"
        )


def whole_card(text: str | None, run: Run, *, name: str, license: str | None) -> str:
    """A model card whose YAML header has everything that the Hub reads and the run knows.

    What the card says already stays: only the license that is given here replaces another.

    Args:
        text: a card in Markdown, with or without a header; None for a short one of the run.
        run: the run.
        name: how the model is loaded later: `user/model` or a folder.
        license: identifier of the license of the weights; None leaves it out, and the card says
            that it is not stated.
    Raises:
        UserError: the header is not YAML, or the license is no identifier.
    """
    check_license(license)
    written, body = ({}, short_body(run)) if text is None else split_card(text)
    body = _WRITTEN.sub("", body)
    known = _known(run)
    tags = written.get("tags") or []
    header = {
        **({"license": license} if license is not None else {}),
        **known,
        **{key: value for key, value in written.items() if value is not None},
        "tags": list(dict.fromkeys([*([tags] if isinstance(tags, str) else tags), *known["tags"]])),
    }
    if license is not None:
        header["license"] = license
    parts = [body.strip(), *_sections(body, run, name=name, license=header.get("license"))]
    front = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    return f"---\n{front}---\n\n" + "\n\n".join(parts) + "\n"


def split_card(text: str) -> tuple[dict[str, Any], str]:
    """The YAML header of a card, empty without one, and the text below it.

    Raises:
        UserError: the header is not YAML with keys and values.
    """
    match = _HEADER.match(text.removeprefix("\ufeff"))
    if match is None:
        return {}, text
    try:
        header = parse_yaml(match[1])
    except UserError as error:
        raise error.at("the model card") from None
    if header is not None and not isinstance(header, dict):
        raise UserError("the model card: its header must hold keys and values, as in license: mit")
    return header or {}, text.removeprefix("\ufeff")[match.end() :]


def _known(run: Run) -> dict[str, Any]:
    """The fields of the header that follow from the run."""
    settings = run.description["run"]["model"]
    base = _base_model(settings["backbone"]) if settings.get("pretrained") is True else None
    data, results = run.description["data"]["name"], list(_results(run))
    exits = len(run.exit_costs)
    return {
        "library_name": "fairexit",
        "pipeline_tag": TASK,
        **({"base_model": base} if base else {}),
        **({"datasets": [data]} if _DATASET.fullmatch(data) else {}),
        "tags": ["fairexit", "fairness", *(["early-exit"] if exits > 1 else [])],
        **(
            {
                "metrics": list(dict.fromkeys(m["type"] for r in results for m in r["metrics"])),
                "model-index": [{"name": run.path.name, "results": results}],
            }
            if results
            else {}
        ),
    }


def _base_model(backbone: str) -> str | None:
    """The repository on the Hub with the library's pretrained weights, None if it is not known."""
    require("train", "the name of the base model")
    from fairexit.models import backbone_family

    return backbone_family(backbone).hub_id(backbone)


def _results(run: Run) -> Iterator[dict[str, Any]]:
    """The results in `metrics.json` in the form of the Hub's model-index."""
    stored = read_json(run.metrics, "evaluate the run again") if run.metrics.is_file() else {}
    data = run.description["data"]["name"]
    for key, values in stored.items():
        attribute, _, split = key.partition("@")
        metrics = list(_numbers(values, attribute)) if isinstance(values, dict) else []
        if metrics:
            dataset = {"type": data, "name": data, "split": split or "test"}
            yield {"task": {"type": TASK}, "dataset": dataset, "metrics": metrics}


def _numbers(values: dict[str, Any], attribute: str) -> Iterator[dict[str, Any]]:
    """Accuracy, F1 and the gaps of one evaluation."""
    for name, metric in METRICS.items():
        value = values.get(name)
        if not isinstance(value, float | int) or not math.isfinite(value):
            continue
        if name in OVERALL or metric.compares_groups:
            label = metric.label[:1].upper() + metric.label[1:]
            label += f" by {attribute}" if metric.compares_groups else ""
            yield {"type": name, "name": label, "value": round(value, 4)}


def short_body(run: Run) -> str:
    """The text of a card that is made without an audit."""
    info, policy = run.description, Policy.load(run.policy)
    names = ", ".join(info["label2id"])
    lines = [
        f"Network: {info['model']['name']}, images of {info['preprocessing']['size']} px.",
        f"Classes: {len(info['label2id'])}: {names}.",
        f"Exits: {len(run.exit_costs)}; theta {theta_name(policy.theta)}.",
        f"Data: {info['data']['name']}; groups of {info['group']}.",
    ]
    rows = [
        [m["name"], r["dataset"]["split"], f"{m['value']:.4f}"]
        for r in _results(run)
        for m in r["metrics"]
    ]
    parts = [
        f"# Model card of {markdown(run.label)}",
        "This card was made from the run's settings and stored metrics, without an audit.",
        "## Model",
        "\n".join(f"- {markdown(line)}" for line in lines),
    ]
    if rows:
        table = Table("Results", ["Metric", "Split", "Value"], rows, 2)
        parts += ["## Results", table.to_markdown().strip()]
    return "\n\n".join(parts)


def _sections(body: str, run: Run, *, name: str, license: Any) -> Iterator[str]:
    """The sections on loading the model, on its origin and on its license, if they are missing."""
    if not re.search("^## How to use", body, re.MULTILINE):
        yield (
            "## How to use\n\n```python\nimport fairexit\n\n"
            f"model = fairexit.Classifier.from_pretrained({name!r})\n"
            'print(model(["photo.jpg"]))\n```'
        )
    if not re.search("^## License", body, re.MULTILINE):
        stated = (
            f"The license of the weights is {markdown(str(license))}."
            if license
            else "The license of the weights is not stated. Ask the authors before you use them."
        )
        yield f"## License\n\n{stated} {_origin(run)}".rstrip()


def _origin(run: Run) -> str:
    """A sentence about the weights that training began from."""
    settings = run.description["run"]["model"]
    if settings.get("start"):
        return "The training began from the weights of another model, whose terms apply too."
    if settings.get("pretrained"):
        return "The training began from pretrained weights, whose terms apply too."
    return ""
