"""Edits and scores against slow twins, and the channels that an edit sets to zero."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from fairexit.config_files import build_prune
from fairexit.config_prune import TRAITS, PruneConfig
from fairexit.errors import UserError
from fairexit.losses.cosine_snnl import cosine_snnl
from fairexit.losses.snnl import snnl
from fairexit.models import create_model
from fairexit.pruning.channels import units_of_channels
from fairexit.pruning.criteria import Subject, criteria
from fairexit.pruning.edits import apply, to_power_of_two, to_zero
from fairexit.pruning.units import masks_of, parameters_of
from fairexit.training.checkpoint import load_net


@given(st.floats(-1e6, 1e6, width=32))
def test_the_nearest_power_of_two(weight):
    rounded = float(to_power_of_two(torch.tensor([weight], dtype=torch.float32)))
    if weight == 0:
        assert rounded == 0
        return
    powers = [math.copysign(2.0**k, weight) for k in range(-149, 25)]
    assert rounded in powers
    assert abs(rounded - weight) == min(abs(p - weight) for p in powers)
    assert float(to_power_of_two(torch.tensor([rounded]))) == rounded


def slow_snnl(z, labels, *, own_pair=False):
    """SNNL by cosine distance at T = 1, one sample at a time.

    Args:
        z: features, N vectors.
        labels: N labels.
        own_pair: whether a sample's pair with itself stays in the numerator, as in the released
            program.
    """

    def closeness(a, b):
        norms = np.linalg.norm(a) * np.linalg.norm(b)
        return math.exp((a @ b / norms if norms else 0.0) - 1)

    terms = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if j != i]
        partners = [j for j in others if labels[j] == labels[i]]
        if not partners and not own_pair:
            continue
        numerator = sum(closeness(z[i], z[j]) for j in partners + [i] * own_pair)
        terms.append(-math.log(numerator / sum(closeness(z[i], z[j]) for j in others)))
    return sum(terms) / len(terms)


@given(st.integers(0, 99), st.integers(3, 9), st.integers(1, 3))
def test_cosine_snnl_is_its_slow_twin(seed, number, groups):
    rng = np.random.default_rng(seed)
    maps, labels = rng.normal(size=(3, number, 4)), rng.integers(groups, size=number)
    labels[:2] = 0
    maps[1, 0] = 0  # a channel that says nothing of a sample
    values = cosine_snnl(torch.from_numpy(maps), torch.from_numpy(labels))
    for value, z in zip(values, maps, strict=True):
        assert float(value) == pytest.approx(slow_snnl(z, labels), rel=1e-9)


def test_cosine_snnl_is_the_usual_one_of_unit_vectors():
    z = torch.nn.functional.normalize(torch.randn(12, 5).double(), dim=-1)
    labels = torch.arange(12) % 3
    # |a - b|^2 = 2 (1 - cos)
    usual = snnl(z, labels, temperature=2.0, relative=False).value
    torch.testing.assert_close(cosine_snnl(z[None], labels)[0], usual)


def test_a_sample_is_no_partner_of_itself():
    """With its own pair in the numerator, as released, another channel is edited first."""
    labels = np.array([0, 0, 0, 0, 0, 1, 1])
    maps = np.random.default_rng(2).normal(size=(2, 7, 2))
    ours = cosine_snnl(torch.from_numpy(maps), torch.from_numpy(labels)).tolist()
    released = [slow_snnl(z, labels, own_pair=True) for z in maps]
    assert ours == pytest.approx([slow_snnl(z, labels) for z in maps])
    assert ours[0] < ours[1] - 0.05
    assert released[0] > released[1] + 0.05
    # A sample without a partner has a term in the released form, though it has nobody to be near.
    single, z = np.array([0, 0, 1]), maps[0, :3]
    value = float(cosine_snnl(torch.from_numpy(z)[None], torch.from_numpy(single))[0])
    assert value == pytest.approx(slow_snnl(z, single))
    assert slow_snnl(z, single, own_pair=True) != pytest.approx(value, abs=1e-3)


def test_no_two_samples_of_one_label():
    with pytest.raises(ValueError, match="no two samples have the same label"):
        cosine_snnl(torch.randn(1, 3, 2), torch.arange(3))


NETWORKS = [
    ("resnet18", {}),
    ("resnet18", {"stem": "small"}),
    ("resnet50", {}),
    ("vgg11", {}),
    ("vgg11_bn", {}),
    ("timm/efficientnet_lite0", {"image_size": 32}),
    ("timm/seresnet18", {}),
    ("timm/mobilenetv2_050", {}),
]


@pytest.mark.parametrize(("name", "options"), NETWORKS)
def test_an_edited_channel_is_zero_in_training_and_in_evaluation(name, options):
    torch.manual_seed(0)
    net = create_model(name, 3, exits="none", **options)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    images = torch.rand(3, 3, 64, 64)
    for number in range(1, len(net.backbone.stages) + 1):
        units = units_of_channels(net, [number])
        (channels,) = next(iter(units.values())).shape
        edited = torch.zeros(channels, dtype=torch.uint8)
        edited[::3] = 1
        before = {k: p.detach().clone() for k, p in parameters_of(units).items()}
        apply(to_zero, parameters_of(units), masks_of(edited, units))
        for training in (True, False):
            x = net.train(training).backbone.normalise(images)
            with torch.no_grad():
                for stage in net.backbone.stages[:number]:
                    x = stage(x)
            silent = x.abs().amax((0, 2, 3)) == 0
            assert silent[::3].all(), f"stage {number}, training {training}"
            assert silent.float().mean() < 0.6
        with torch.no_grad():
            for key, p in parameters_of(units).items():
                p.copy_(before[key])


def test_the_channels_of_a_residual_stage_are_those_of_all_its_blocks():
    net = create_model("resnet18", 3, exits="none")
    (block,) = units_of_channels(net, [2]).values()
    prefix = "backbone.stages.1."
    names = {name.removeprefix(prefix) for name in block.parameters}
    assert names == {
        *("0.0.conv2.weight", "0.0.bn2.weight", "0.0.bn2.bias"),
        *("0.0.downsample.0.weight", "0.0.downsample.1.weight", "0.0.downsample.1.bias"),
        *("0.1.conv2.weight", "0.1.bn2.weight", "0.1.bn2.bias"),
    } or names == {
        *("0.conv2.weight", "0.bn2.weight", "0.bn2.bias"),
        *("0.downsample.0.weight", "0.downsample.1.weight", "0.downsample.1.bias"),
        *("1.conv2.weight", "1.bn2.weight", "1.bn2.bias"),
    }
    assert block.shape == (128,)


@pytest.mark.parametrize(
    ("name", "stage"), [("timm/vit_tiny_patch16_224", 4), ("timm/densenet121", 1)]
)
def test_a_network_whose_channels_no_convolution_writes(name, stage):
    net = create_model(name, 3, exits="none", image_size=32)
    message = f"the channels of stage {stage} of {name} are not written by convolutions"
    with pytest.raises(UserError, match=message):
        criteria["scp"].find_units(net, PruneConfig(method="scp", stages=[stage]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"stages": [5]}, r"prune\.stages: there is no stage 5; resnet18 has 4 stages"),
        (
            {"stages": [1], "ratio": 0.995},
            r"prune\.ratio 0\.995 would set all 64 channels of stage 1 to zero, .* at most 0\.984",
        ),
    ],
)
def test_stages_that_cannot_be_edited(change, message):
    net = create_model("resnet18", 3, exits="none")
    with pytest.raises(UserError, match=message):
        criteria["scp"].find_units(net, PruneConfig(method="scp", **change))
    most = PruneConfig(method="scp", stages=[1], ratio=0.984)
    assert criteria["scp"].find_units(net, most)


def subject_of(data, run, config, rows):
    return Subject(
        net=load_net(run),
        data=data,
        task=data.task(),
        rows=rows,
        exit_weights=[0.3, 0.6, 0.9],
        run=replace(run.config, prune=config),
    )


def test_images_that_nothing_can_be_compared_with(tiny, tiny_run):
    rows, of = tiny.rows("train"), tiny.groups(tiny.task().group)
    first = tuple(rows[of[rows] == group][:1] for group in (0, 1))
    criterion = criteria.create("scp", subject_of(tiny, tiny_run, PruneConfig(method="scp"), first))
    with pytest.raises(UserError, match=r"has at most one of the 2 images; raise prune\.images"):
        criterion(1, None)


def test_channels_are_scored_by_their_maps(tiny, tiny_run):
    config = PruneConfig(method="scp", stages=[1, 3], chunk=7)
    rows = (tiny.rows("train")[:9], tiny.rows("train")[9:23])
    subject = subject_of(tiny, tiny_run, config, rows)
    net, scores = subject.net, criteria.create("scp", subject)(1, None)
    every = np.concatenate(rows)
    labels = tiny.groups(tiny.task().group)[every]
    x = torch.from_numpy(tiny.images[every]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        x = net.backbone.normalise(x)
        for number, stage in enumerate(net.backbone.stages, 1):
            x = stage(x)
            if number not in (1, 3):
                continue
            values = scores[f"stage {number}"]
            assert values.shape == (net.backbone.widths[number - 1],)
            for channel in range(0, len(values), 40):
                z = x[:, channel].flatten(1).double().numpy()
                assert float(values[channel]) == pytest.approx(slow_snnl(z, labels), abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "scp", "ratio": 1.0}, r"prune\.ratio is 1\.0; it must be from 0 to below 1"),
        ({"method": "fairquantize", "ratio": 1.1}, r"prune\.ratio is 1\.1; it must be from 0 to 1"),
        ({"stages": [4]}, r"prune\.stages is \[4\], but method 'fairprune' edits weights"),
        ({"method": "scp", "layers": ["heads"]}, r"prune\.layers is given, but method 'scp'"),
        ({"finetune_data": "val"}, r"prune\.finetune_data is val, but method 'fairprune'"),
        ({"method": "swift", "finetune": 1}, r"prune\.finetune is 1, but method 'swift' refits"),
        ({"step_epochs": -1}, r"prune\.step_epochs is -1; it cannot be negative"),
    ],
)
def test_settings_that_a_method_does_not_have(settings, message):
    with pytest.raises(UserError, match=message):
        build_prune(settings)


def test_each_method_has_its_own_defaults():
    quantize = PruneConfig(method="fairquantize")
    assert (quantize.ratio, quantize.steps, quantize.step_epochs) == (1.0, 20, 1)
    assert quantize.beta == pytest.approx(5 / 9)
    assert PruneConfig(method="scp").betas == [None]
    assert PruneConfig(method="magnitude", ratio=0.2).ratio == 0.2
    assert PruneConfig(method="fairprune").beta == 0.33


def test_the_configuration_knows_every_registered_method():
    assert {name: criteria[name].traits for name in criteria.names()} == TRAITS


def test_the_settings_of_fairprune_are_those_of_runs_made_before():
    """A study goes on with its finished runs, as a setting that they lack counts as null."""
    added = {"step_epochs": None, "stages": None, "finetune_data": None}
    shown = asdict(PruneConfig())
    assert {name: shown[name] for name in added} == added
    assert (shown["ratio"], shown["beta"], shown["steps"]) == (0.35, 0.33, 5)
