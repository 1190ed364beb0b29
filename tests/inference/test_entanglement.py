import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from fairexit.data.augment import Augment
from fairexit.data.loaders import Loader
from fairexit.errors import UserError
from fairexit.evaluation.entanglement import (
    Entanglement,
    cluster_error,
    depth_table,
    mean_over_folds,
    mean_over_runs,
    read_entanglement,
)
from fairexit.inference import entanglement
from fairexit.inference.entanglement import features_by_depth, measure_entanglement
from fairexit.losses.snnl import exact_snnl, snnl
from fairexit.models import create_model
from fairexit.report.entanglement import entanglement_figure, entanglement_table
from fairexit.report.figures import save_figure
from fairexit.training.checkpoint import load_net
from fairexit.types import Batch

SETTINGS = {"split": "test", "group": "sex", "features": "maps", "scale": "none", "unit": "raw T"}


@pytest.fixture(scope="module")
def measured(tiny_run):
    return measure_entanglement(tiny_run)


@pytest.fixture
def copy(tiny_run, tmp_path):
    shutil.copytree(tiny_run.path, tmp_path / "run")
    return tmp_path / "run"


def by_hooks(net, images):
    """Pooled output of each stage, caught while the network runs as ever."""
    caught = []
    hooks = [
        stage.register_forward_hook(lambda _, __, out: caught.append(out.mean((2, 3))))
        for stage in net.backbone.stages
    ]
    with torch.no_grad():
        final = net(images)[-1].features
    for hook in hooks:
        hook.remove()
    return [*caught, final]


def batches(count=5, size=32):
    torch.manual_seed(0)
    for _ in range(2):
        yield Batch(torch.rand(count, 3, size, size), torch.arange(count), torch.arange(count) % 2)


@pytest.mark.parametrize(
    ("name", "exits", "positions"),
    [
        ("resnet18", "all", "1234"),
        ("resnet18", "none", "1234"),
        ("resnet18", [2], "1234"),
        ("vgg11", "none", "1234f"),
    ],
)
def test_positions_are_the_stages_and_the_final_features_where_they_differ(name, exits, positions):
    net = create_model(name, 3, exits=exits).eval()
    found = features_by_depth(net, batches(), "pooled")
    assert "".join(found.features) == positions
    assert found.labels.tolist() == [*range(5), *range(5)]
    wanted = by_hooks(net, torch.cat([b.images for b in batches()]))
    for position, z in zip(positions, wanted, strict=False):
        torch.testing.assert_close(found.features[position], z)


def test_tokens_are_pooled_without_the_class_token():
    net = create_model("timm/vit_tiny_patch16_224", 3, exits="none", image_size=32).eval()
    images = next(batches()).images
    found = features_by_depth(net, [next(batches())], "pooled").features
    with torch.no_grad():
        tokens = net.backbone.stages[0](images)
    torch.testing.assert_close(found["1"], tokens[:, 1:].mean(1))
    assert [z.shape[1] for z in found.values()] == [192] * len(found)
    assert list(found)[:4] == list("1234")


def test_features_of_the_exits_are_what_their_last_layers_read():
    net = create_model("resnet18", 3, exits=[1, 3], stem="small").eval()
    found = features_by_depth(net, batches(), "exits")
    with torch.no_grad():
        wanted = [one.features for one in net(torch.cat([b.images for b in batches()]))]
    assert list(found.features) == ["1", "3", "f"]
    for z, other in zip(found.features.values(), wanted, strict=True):
        torch.testing.assert_close(z, other)


@pytest.mark.parametrize("scale", ["none", "unit"])
def test_a_run_is_measured_as_the_batch_form_measures_its_features(tiny, tiny_run, scale):
    found = measure_entanglement(tiny_run, temperatures=[0.2, 1], scale=scale, batch_size=7)
    loader = Loader(
        tiny, tiny.rows("test"), "skin_tone", batch_size=512, device=torch.device("cpu")
    )
    batch = next(loader.evaluation(Augment("none", 0)))
    features = by_hooks(load_net(tiny_run), batch.images)
    for row in found.rows[found.rows["position"] != "mean"].itertuples():
        z = features[int(row.position) - 1]
        z = z / z.norm(dim=1, keepdim=True) if scale == "unit" else z
        labels = batch.labels if row.of == "target" else batch.groups
        assert row.snnl == pytest.approx(float(snnl(z, labels, row.temperature).value), rel=1e-3)
        unit = (z[:, None] - z[None]).square().sum(2).mean()
        assert row.raw_temperature == pytest.approx(row.temperature * float(unit), rel=1e-3)
    assert found.rows["of"].unique().tolist() == ["skin_tone", "target"]
    shares = np.bincount(batch.groups) / len(batch.groups)
    assert found.rows["entropy"][0] == pytest.approx(-(shares * np.log(shares)).sum(), rel=1e-5)


def test_raw_temperatures(tiny_run, measured):
    row = measured.rows.iloc[0]
    raw = measure_entanglement(tiny_run, temperatures=[row.raw_temperature], relative=False)
    assert raw.rows["snnl"][0] == pytest.approx(row.snnl, rel=1e-6)
    assert (raw.rows["raw_temperature"] == row.raw_temperature).all()


def clustered(seed=0, clusters=150, shift=0.8):
    """Features of two positions; the images of a cluster resemble each other."""
    rng = np.random.default_rng(seed)
    index = np.repeat(np.arange(clusters), rng.integers(1, 4, clusters))
    labels = rng.integers(0, 2, clusters)[index]
    base = rng.normal(size=(clusters, 3))[index] + shift * labels[:, None]
    z = [base + s * rng.normal(size=(len(index), 3)) for s in (1.0, 0.4)]
    return [torch.from_numpy(one) for one in z], torch.from_numpy(labels), index


def depth_of(z, labels, index, **options):
    found = [exact_snnl(one, [labels], [4.0], **options) for one in z]
    values = np.array([float(one.value[0, 0]) for one in found])
    influence = np.stack([one.influence[0, 0].numpy() for one in found])
    return depth_table(values, influence, index, ["1", "2"], independent=values)


def test_standard_errors_are_near_those_of_leaving_each_cluster_out():
    z, labels, index = clustered()
    full = depth_of(z, labels, index, relative=False).set_index("position")
    count = index.max() + 1
    left = []
    for cluster in range(count):
        keep = torch.from_numpy(index != cluster)
        again = np.unique(index[index != cluster], return_inverse=True)[1]
        left.append(depth_of([one[keep] for one in z], labels[keep], again, relative=False))
    for column, position in (("snnl", "1"), ("snnl", "2"), ("change", "2"), ("change", "mean")):
        values = [one.set_index("position")[column][position] for one in left]
        jackknife = np.sqrt((count - 1) * np.var(values))
        assert full[f"{column}_se"][position] == pytest.approx(jackknife, rel=0.1)


def test_whole_clusters_count_once():
    z, labels, index = clustered()
    influence = exact_snnl(z[0], [labels], [2.0]).influence[0].numpy()
    slow = 0.0
    for cluster in range(index.max() + 1):
        slow += influence[0][index == cluster].sum() ** 2
    slow = (slow * (index.max() + 1) / index.max()) ** 0.5
    assert cluster_error(influence, index)[0] == pytest.approx(slow)
    assert cluster_error(influence, np.arange(len(index)))[0] != pytest.approx(slow, rel=0.05)


def test_changes_and_their_mean():
    values = np.array([0.8, 0.6, 0.9])
    influence = np.random.default_rng(0).normal(size=(3, 6)) / 100
    independent = np.array([0.9, 0.95, 0.8])
    table = depth_table(values, influence, np.arange(6), ["1", "2", "f"], independent=independent)
    assert table["position"].tolist() == ["1", "2", "f", "mean"]
    assert table["change"].tolist()[1:] == pytest.approx([-0.2, 0.3, 0.05])
    assert table["independent"].tolist() == pytest.approx([*independent, independent.mean()])
    assert table["independent_change"].tolist()[1:] == pytest.approx([0.05, -0.15, -0.05])
    assert np.isnan(table["independent_change"][0])
    assert np.isnan(table["change"][0])
    assert table["snnl"][3] == pytest.approx(values.mean())
    # The derivative of the mean change, by small steps of each weight.
    steps = np.empty(6)
    for k in range(6):
        moved = values + 1e-6 * influence[:, k]
        steps[k] = (np.diff(moved).mean() - np.diff(values).mean()) / 1e-6
    assert table["change_se"][3] == pytest.approx(np.sqrt((steps**2).sum() * 6 / 5), rel=1e-4)
    assert table["snnl_high"][0] - table["snnl_low"][0] == pytest.approx(
        3.91993 * table["snnl_se"][0]
    )


def test_no_change_is_known_from_one_position():
    value = np.array([0.5])
    table = depth_table(value, np.zeros((1, 3)), np.arange(3), ["f"], independent=value)
    assert table["position"].tolist() == ["f", "mean"]
    assert table[["change", "change_se", "independent_change"]].isna().all(axis=None)


def one_result(values, error=0.01, name="run", **changes):
    table = depth_table(
        np.array(values),
        np.zeros((len(values), 4)),
        np.arange(4),
        ["1", "2"],
        independent=np.array(values) + 0.1,
    )
    table["snnl_se"], table["change_se"] = error, [np.nan, error, error]
    table.insert(0, "of", "sex")
    table.insert(1, "temperature", 0.1)
    table = table.assign(entropy=0.69, raw_temperature=2.0, images=4, without_partner=0)
    return Entanglement(name, {**SETTINGS, **changes}, "4 clusters", table)


def test_the_mean_over_runs():
    runs = [one_result(v, e) for v, e in (([0.6, 0.3], 0.01), ([0.8, 0.6], 0.03))]
    mean = mean_over_runs(runs)
    assert mean.rows["snnl"].tolist() == pytest.approx([0.7, 0.45, 0.575])
    assert mean.rows["change"].tolist()[1:] == pytest.approx([-0.25, -0.25])
    assert mean.rows["independent"].tolist() == pytest.approx([0.8, 0.55, 0.675])
    assert mean.rows["independent_change"].tolist()[1:] == pytest.approx([-0.25, -0.25])
    spread = np.std([0.6, 0.8], ddof=1)
    assert mean.rows["snnl_sd"][0] == pytest.approx(spread)
    assert mean.rows["snnl_se"][0] == pytest.approx(np.sqrt(0.02**2 + spread**2 / 2))
    assert (mean.name, mean.interval) == ("Mean of run and 1 more", "4 clusters and 2 runs")
    assert mean_over_runs(runs[:1]) is runs[0]


def test_the_mean_over_folds_has_the_error_of_all_their_images():
    folds = [one_result(v, e) for v, e in (([0.6, 0.3], 0.03), ([0.8, 0.6], 0.04))]
    mean = mean_over_folds(folds)
    assert mean.rows["snnl"].tolist() == pytest.approx([0.7, 0.45, 0.575])
    assert mean.rows["snnl_se"][0] == pytest.approx(0.05 / 2)
    assert mean.rows["snnl_high"][0] == pytest.approx(0.7 + 1.95996 * 0.05 / 2)
    assert mean.rows["images"].tolist() == [8, 8, 8]
    assert mean.interval == "4 clusters of each of 2 folds"
    assert mean_over_folds(folds[:1]) is folds[0]
    # Seeds of two folds each: a mean of means.
    assert mean_over_runs([mean, mean]).rows["snnl"][0] == pytest.approx(0.7)


def test_no_mean_of_unlike_runs():
    one = one_result([0.6, 0.3])
    with pytest.raises(UserError, match="b was measured with scale 'unit', run with 'none'"):
        mean_over_runs([one, one_result([0.6, 0.3], name="b", scale="unit")])
    other = replace(one, rows=one.rows.assign(temperature=0.2))
    with pytest.raises(UserError, match="run and run have different positions or temperatures"):
        mean_over_runs([one, other])
    with pytest.raises(UserError, match="there is no entanglement to average"):
        mean_over_runs([])


def test_files_hold_all_and_read_back(measured, tmp_path):
    measured.write(tmp_path)
    back = read_entanglement(tmp_path / "entanglement.json")
    assert (back.name, back.settings, back.interval) == (
        measured.name,
        measured.settings,
        measured.interval,
    )
    pd.testing.assert_frame_equal(back.rows, measured.rows, check_dtype=False, atol=1e-9)
    table = pd.read_csv(tmp_path / "entanglement.csv", dtype={"position": str})
    assert table["position"].tolist() == measured.rows["position"].tolist()
    assert (table["unit"] == "T in mean squared distances").all()
    (tmp_path / "entanglement.json").write_text(json.dumps({"name": "x"}))
    with pytest.raises(UserError, match="is damaged or of an earlier version; make it again"):
        read_entanglement(tmp_path / "entanglement.json")
    with pytest.raises(UserError, match=r"cannot read .*nowhere.json: No such file"):
        read_entanglement(tmp_path / "nowhere.json")


def test_table_and_figure_say_temperature_and_scale(measured, tmp_path):
    table = entanglement_table(measured)
    assert "T in mean squared distances" in table.title
    assert "unscaled features" in table.title
    assert [row[1] for row in table.rows] == ["0.1", "0.3", "1"] * 2
    first = measured.rows.iloc[1]
    assert table.rows[0][4] == f"{first.snnl:.4f} ({first.change:+.4f})"
    assert "entanglement in nats" in table.title
    mean = measured.rows.query("position == 'mean'").iloc[0]
    assert table.columns[-2:] == ["Change if independent", "SNNL if independent"]
    assert table.rows[0][-2:] == [f"{mean.independent_change:+.4f}", f"{mean.independent:.4f}"]
    figure = entanglement_figure(measured)
    assert "T in mean squared distances" in figure.get_suptitle()
    assert [panel.get_title() for panel in figure.axes] == ["SNNL of skin_tone", "SNNL of target"]
    line = figure.axes[1].get_lines()[0]
    drawn = measured.rows.query("of == 'target' and temperature == 0.1 and position != 'mean'")
    assert line.get_ydata() == pytest.approx(drawn["snnl"].to_numpy())
    single = measured.rows[measured.rows["temperature"] == 1]
    many = [single.assign(temperature=float(t)) for t in range(1, 10)]
    crowded = entanglement_figure(replace(measured, rows=pd.concat(many)))
    # Each temperature has a dashed line for independence, of which the legend shows one more.
    assert len(crowded.axes[0].get_lines()) == 2 * 9 + 1 + 1  # and the entropy
    drawn = measured.rows.query("of == 'target' and temperature == 0.1 and position != 'mean'")
    dashed = [line for line in figure.axes[1].get_lines() if line.get_linestyle() == "--"]
    assert dashed[0].get_ydata() == pytest.approx(drawn["independent"].to_numpy())
    files = save_figure(entanglement_figure(measured), tmp_path / "a")
    again = save_figure(entanglement_figure(measured), tmp_path / "b")
    assert [file.name for file in files] == ["a.png", "a.svg"]
    assert [f.read_bytes() for f in files] == [f.read_bytes() for f in again]


def test_the_command(command, copy, tmp_path):
    seeds = tmp_path / "seed2"
    shutil.copytree(copy, seeds)
    info = json.loads((seeds / "config.json").read_text())
    info["run"]["seed"] = 7
    (seeds / "config.json").write_text(json.dumps(info))
    status, printed, err = command("entangle", copy)
    assert (status, err) == (0, "")
    assert "Change per position" in printed
    for form in ("json", "csv", "png", "svg"):
        assert f"written: {copy / 'entanglement'}.{form}" in printed
    status, printed, _ = command("entangle", copy, seeds, "--out", tmp_path / "out", "--raw")
    assert status == 0
    assert "Mean of run and 1 more" in printed
    assert not (seeds / "entanglement.json").exists()
    mean = read_entanglement(tmp_path / "out" / "entanglement.json")
    assert mean.rows["snnl_sd"].tolist() == pytest.approx([0] * len(mean.rows))
    assert mean.settings["unit"] == "raw T"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--temperatures", "0.1,0"), "--temperatures has 0; each must be finite and above 0"),
        (("--temperatures", "-1"), "--temperatures has -1; each must be finite and above 0"),
        (("--temperatures", "nan"), "--temperatures has nan; each must be finite and above 0"),
        (("--temperatures", "1,1"), "--temperatures has the same number twice"),
        (("--temperatures", "warm"), "--temperatures is 'warm'; give a number"),
        (("--split", "tset"), "no split 'tset'; did you mean 'test'"),
        (("--group", "skin"), "has no attribute 'skin'; did you mean 'skin_tone'"),
        (("--scale", "unti"), "Invalid value for '--scale'"),
        (("--data", "x"), "--data needs --out"),
        (("RUN",), "is named twice"),
        (("--device", "abacus"), "--device is 'abacus'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(command, copy, words, message):
    status, _, err = command("entangle", copy, *(copy if word == "RUN" else word for word in words))
    assert status == 2
    assert message in err
    assert err.startswith("fairexit: ")
    assert err.count("\n") == 1
    assert not (copy / "entanglement.json").exists()


def test_bad_runs(command, copy, tmp_path):
    assert "there is no folder" in command("entangle", tmp_path / "nowhere")[2]
    other = tmp_path / "other"
    shutil.copytree(copy, other)
    info = json.loads((other / "config.json").read_text())
    info["run"]["train"]["lr"] = 0.5
    (other / "config.json").write_text(json.dumps(info))
    assert "differ in more than their seed" in command("entangle", copy, other)[2]
    (other / "config.json").unlink()
    assert "has not finished training" in command("entangle", other)[2]


def test_a_split_that_cannot_be_measured():
    groups = torch.tensor([0, 0, 0, -1])
    with pytest.raises(UserError, match="here: there are fewer than two values of sex"):
        entanglement._check_labels(groups, "here", "sex")
    with pytest.raises(UserError, match="here: there are fewer than two values of sex"):
        entanglement._check_labels(groups[3:], "here", "sex")
    with pytest.raises(UserError, match="here: no two images have the same sex"):
        entanglement._check_labels(torch.tensor([0, 1, -1]), "here", "sex")


def test_one_exit_has_no_depth(tiny_run, monkeypatch):
    plain = create_model("resnet18", 5, exits="none").eval()
    monkeypatch.setattr(entanglement, "load_net", lambda run: plain)
    with pytest.raises(
        UserError, match="has a single exit, so set 'features' to pooled, not exits"
    ):
        measure_entanglement(tiny_run, features="exits")


def test_features_that_are_not_finite(tiny_run, monkeypatch):
    net = load_net(tiny_run)
    net.backbone.stages[2][0].conv1.weight.data.fill_(float("nan"))
    monkeypatch.setattr(entanglement, "load_net", lambda run: net)
    with pytest.raises(UserError, match="features at position 3 are not finite"):
        measure_entanglement(tiny_run)


def test_an_attribute_called_target(tiny_run, tiny, monkeypatch):
    info = {**tiny.info, "attributes": {"target": ["dark", "light"]}}
    renamed = replace(tiny, info=info, frame=tiny.frame.rename(columns={"skin_tone": "target"}))
    monkeypatch.setattr(entanglement, "open_data", lambda run, data: renamed)
    with pytest.raises(
        UserError, match="cannot be distinguished from the target; prepare the data with another"
    ):
        measure_entanglement(tiny_run, group="target")
