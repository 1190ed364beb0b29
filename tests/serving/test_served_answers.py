"""What the server says: the answers of `fairexit predict`, exit by exit, and what it serves."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from served_images import BAD, NAMES, content

import fairexit
from fairexit.data.prepared import open_prepared
from fairexit.evaluation.policy import Policy
from fairexit.serving.served import open_served
from fairexit.version import __version__


@pytest.fixture(scope="module")
def photos(judged, tmp_path_factory):
    """Files of test images, in PNG at the network's size and in JPEG at another."""
    folder = tmp_path_factory.mktemp("photos")
    data = open_prepared(judged.config.data.path)
    for number, row in enumerate(data.rows("test")[:12]):
        image = Image.fromarray(np.asarray(data.images[row]))
        image.save(folder / f"{number:02}.png")
        image.resize((90, 70)).save(folder / f"{number:02}-large.jpg")
    return sorted(folder.iterdir())


def files_of(paths):
    return [("files", (path.name, path.read_bytes())) for path in paths]


def model_of(kind, exported, judged):
    return judged.path if kind == "run" else exported[kind].path


@pytest.mark.parametrize("kind", ["staged", "all-exits", "run"])
def test_answers_are_those_of_predict(kind, exported, judged, photos, client_of):
    path = model_of(kind, exported, judged)
    expected = fairexit.load_model(path)(photos)
    served = open_served(path, threads=1, device="cpu")
    reply = client_of(served).post("/predict", files=files_of(photos))
    assert reply.status_code == 200
    answers = reply.json()["answers"]
    table = pd.DataFrame(answers)
    assert table["filename"].tolist() == [path.name for path in photos]
    assert table["id"].tolist() == [*range(len(photos))]
    assert len(set(table["exit"])) == 3
    for column in ("prediction", "exit", "refer"):
        assert table[column].tolist() == expected[column].tolist()
    assert table["set"].tolist() == [json.loads(value) for value in expected["set"]]
    for column in ("cost", "confidence"):
        np.testing.assert_allclose(table[column], expected[column].astype(float), atol=1e-6)
    for answer, (_, row) in zip(answers, expected.iterrows(), strict=True):
        (leaving,) = (exit for exit in answer["exits"] if exit["exit"] == answer["exit"])
        for name, value in leaving["probabilities"].items():
            assert value == pytest.approx(row[f"p/{name}"], abs=1e-6)


def test_one_image_at_a_time_is_answered_as_all_together(client, photos):
    together = client.post("/predict", files=files_of(photos)).json()["answers"]
    for path, expected in zip(photos, together, strict=True):
        (answer,) = client.post("/predict", content=path.read_bytes()).json()["answers"]
        assert answer["exit"] == expected["exit"]
        assert answer["confidence"] == pytest.approx(expected["confidence"], abs=1e-6)
        assert answer["filename"] == ""


def test_only_exits_that_were_computed_are_shown_and_why_it_left(client, served, photos):
    thetas = dict(zip(served.exits, served.policy.theta, strict=False))
    for answer in client.post("/predict", files=files_of(photos)).json()["answers"]:
        names = [exit["exit"] for exit in answer["exits"]]
        assert names == list(served.exits[: served.exits.index(answer["exit"]) + 1])
        for exit in answer["exits"]:
            assert exit["threshold"] == thetas.get(exit["exit"])
            assert sum(exit["probabilities"].values()) == pytest.approx(1, abs=1e-5)
            assert exit["confidence"] == max(exit["probabilities"].values())
        if answer["exit"] == "f":
            assert answer["why"] == (
                "No exit before reached its threshold, so the final exit answers."
            )
        else:
            assert answer["why"] == (
                f"The confidence of exit {names[-1]} is {answer['confidence']:.4f}, which reaches "
                f"its threshold of {thetas[names[-1]]:.4f}."
            )


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (Policy(None), "The policy sends every image to the final exit."),
        (
            Policy(1.0, fallback="most_confident"),
            "No exit reached its threshold, so the most confident one answers: ",
        ),
        (Policy((1e-6, 1.0)), "The policy lets every image that reaches exit 1 leave there."),
    ],
)
def test_other_policies_are_put_into_words(policy, why, exported, client_of):
    from fairexit.runtime import load

    model = replace(load(exported["staged"].path, threads=1), policy=policy)
    served = replace(open_served(exported["staged"].path), policy=policy, trace=model.trace)
    (answer,) = client_of(served).post("/predict", content=content()).json()["answers"]
    assert answer["why"].startswith(why)
    assert answer["set"] is None
    assert answer["refer"] is None


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_image_is_one_problem_and_the_others_are_answered(kind, client):
    data, problem = BAD[kind]
    good = content()
    sent = [("files", ("bad.jpg", data)), ("files", ("good.png", good))]
    reply = client.post("/predict", files=sent)
    assert reply.status_code == 200
    bad, answered = reply.json()["answers"]
    assert problem in bad["problem"]
    assert "\n" not in bad["problem"]
    empty = {key: value for key, value in bad.items() if value not in (None, [])}
    assert empty.keys() == {"id", "filename", "problem"}
    (alone,) = client.post("/predict", content=good).json()["answers"]
    assert answered["problem"] is None
    assert answered["confidence"] == pytest.approx(alone["confidence"], abs=1e-6)
    only = client.post("/predict", files=sent[:1])
    assert only.status_code == 422
    assert only.json()["answers"][0]["problem"] == bad["problem"]


@pytest.mark.parametrize("name", NAMES)
def test_odd_names_come_back_as_text(name, client):
    # As a browser sends them, with quotes and line breaks escaped.
    sent = name.replace('"', "%22").replace("\n", "%0A")
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="'
        + sent.encode()
        + b'"\r\n\r\n'
        + content()
        + b"\r\n--x--\r\n"
    )
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    reply = client.post("/predict", content=body, headers=kind)
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json()["answers"][0]["filename"] == sent


def test_the_version_names_weights_policy_and_limits(client, served, exported):
    version = client.get("/version").json()
    assert version["fairexit"] == __version__
    assert version["model"] == "staged"
    assert version["classes"] == list(served.classes)
    manifest = json.loads((exported["staged"].path / "manifest.json").read_text())
    assert version["weights"] == {name: manifest["files"][name] for name in manifest["graphs"]}
    assert version["policy"]["theta"] == list(served.policy.theta)
    assert version["policy"]["sets"]["coverage"] == 0.8
    assert version["policy"]["certificate"] is None
    assert version["limits"]["max_bytes"] == 10_000_000


def test_the_version_of_a_run_holds_the_checksum_of_its_weights(judged, client_of):
    import hashlib

    version = client_of(open_served(judged.path, device="cpu")).get("/version").json()
    digest = hashlib.sha256((judged.path / "model.safetensors").read_bytes()).hexdigest()
    assert version["weights"] == {"model.safetensors": digest}
    assert version["form"] == "run"


def test_the_description_of_the_interface_is_whole(client):
    api = client.get("/openapi.json").json()
    assert api["info"]["title"] == "fairexit serve"
    assert api["info"]["version"] == __version__
    assert set(api["paths"]) == {"/", "/health", "/version", "/predict"}
    predict = api["paths"]["/predict"]["post"]
    assert "multipart/form-data" in predict["requestBody"]["content"]
    assert {"200", "400", "401", "408", "413", "422", "503"} <= set(predict["responses"])
    schemas = api["components"]["schemas"]
    assert schemas["Answers"]["examples"][0]["answers"][0]["prediction"] == "NV"
    assert client.get("/docs").status_code == 404


def test_the_example_is_an_answer():
    from fairexit.serving.schema import EXAMPLE, Answers

    assert Answers.model_validate(EXAMPLE).model_dump() == EXAMPLE


def test_health(client):
    assert client.get("/health").json() == {"status": "ok"}
