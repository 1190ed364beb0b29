"""Steps that are recorded and replayed give what the ordinary loop gives, without a GPU too."""

import pytest
import torch
from lightning.fabric import Fabric
from torch._subclasses.fake_tensor import FakeTensorMode

from conftest import settings
from fairexit.config_train import TrainConfig
from fairexit.data.augment import Augment
from fairexit.data.loaders import Loader
from fairexit.methods import Distilled, methods
from fairexit.models import create_model
from fairexit.training import capture, fit, trainer
from fairexit.training.fit import train
from fairexit.training.optim import parameter_groups
from fairexit.training.optimizers import filled
from fairexit.training.step import Stepper
from fairexit.training.tape import Tape
from fairexit.types import Batch, Task
from trained import WITH_BATCH_NORM, WITHOUT_BATCH_NORM, KilledError, kill_after, same_runs

SIZE = 8


class Counting(Tape):
    """A tape that counts what is recorded and replayed."""

    def __init__(self):
        super().__init__()
        self.recorded = self.replayed = 0

    def record(self, compute):
        result, replay = super().record(compute)
        self.recorded += 1

        def counted():
            self.replayed += 1
            replay()

        return result, counted


@pytest.fixture
def tapes(monkeypatch):
    """The tapes of the trainings that follow, in which images are held on the device."""
    made = []

    def recorder_for(device):
        made.append(Counting())
        return made[-1]

    monkeypatch.setattr(trainer, "recorder_for", recorder_for)
    monkeypatch.setattr(trainer, "fits", lambda *args: True)
    return made


def config(data, name="erm", **changes):
    """Few steps an epoch, of two sizes, of which two are measured."""
    usual = {"train__epochs": 3, "train__batch_size": SIZE, "method": {"name": name}}
    usual |= {"model__backbone": WITH_BATCH_NORM, "data__augment": "flips"}
    return settings(data.path, **usual | changes)


@pytest.fixture
def ordinary(small, tmp_path):
    """Train as usual with settings."""

    def run(settings):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(trainer, "recorder_for", lambda device: None)
            patch.setattr(trainer, "fits", lambda *args: False)
            return train(settings, tmp_path / "ordinary")

    return run


TASK = Task(("a", "b", "c"), "sex", ("f", "m"))


def build(name):
    """A method on a small network, as it is in training."""
    torch.manual_seed(0)

    def net():
        return create_model(WITH_BATCH_NORM, 3, exits=[1, 3], image_size=32)

    method = methods.create(name, net(), TASK, [0.3, 0.6, 0.9]).train()
    if isinstance(method, Distilled):
        method.set_teacher(net())
    method.begin(torch.arange(99) % 3, torch.arange(99) % 2)
    return method


def batch(size):
    return Batch(
        torch.rand(size, 3, 32, 32), torch.randint(3, (size,)), torch.randint(-1, 2, (size,))
    )


def steps(name, recorder):
    """State and results after 14 steps of two sizes of batch, of which two are measured."""
    method, fabric = build(name), Fabric(accelerator="cpu", devices=1)
    groups = parameter_groups(method, filled(TrainConfig(), "sgd"))
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9)
    module, wrapped = fabric.setup(method, optimizer)
    stepper = Stepper(fabric=fabric, module=module, optimizer=wrapped, recorder=recorder)
    torch.manual_seed(1)
    results = []
    for number in range(14):
        method.time.fill_(number / 14)
        data, rate = batch(9 + number % 2), 0.1 / (1 + number)
        values, _ = stepper.take(data, rate, measure=number in (5, 11))
        results.append(values.clone())
    return [*method.parameters(), *method.buffers(), *results, torch.rand(3)]


@pytest.mark.parametrize("name", methods.names())
def test_every_method_replayed_equals_the_ordinary_loop(name):
    tape = Counting()
    replayed, ordinary = steps(name, tape), steps(name, None)
    assert (tape.recorded, tape.replayed) == (2, 6)
    for a, b in zip(replayed, ordinary, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"train__accumulate": 2, "train__batch_size": 5, "train__clip": 0.5},
        {"train__average": "ema", "train__precision": "bf16-mixed"},
        {
            "train__optimizer": "adamw",
            "model__backbone": WITHOUT_BATCH_NORM,
            "model__exits": "none",
        },
        {"method": {"name": "advrev", "warmup": 0.5}, "train__label_smoothing": 0.1},
    ],
)
def test_other_settings_replayed(small, tmp_path, changes, tapes, ordinary):
    settings = config(small, **changes)
    run = train(settings, tmp_path / "replayed")
    assert tapes[-1].replayed >= 6
    assert same_runs(run, ordinary(settings))


def test_a_run_that_was_killed_goes_on_as_if_it_had_not(small, tmp_path, monkeypatch, tapes):
    settings = config(small, "groupdro")
    whole = train(settings, tmp_path / "whole")
    with monkeypatch.context() as patch:
        kill_after(patch, 1)
        with pytest.raises(KilledError):
            train(settings, tmp_path / "killed")
    resumed = train(settings, tmp_path / "killed")
    assert all(tape.replayed for tape in tapes)
    assert same_runs(whole, resumed)


@pytest.fixture
def start(small, tmp_path):
    """A trained network."""
    return train(config(small, train__epochs=1, train__capture="none"), tmp_path / "start").path


def test_a_trunk_that_learns_later_is_recorded_anew(small, start, tmp_path, tapes, ordinary):
    settings = config(small, train__freeze=2, train__epochs=4, model__start=str(start))
    run = train(settings, tmp_path / "replayed")
    assert tapes[-1].recorded >= 2
    assert same_runs(run, ordinary(settings))


@pytest.mark.parametrize("size", [2, 20])
@pytest.mark.parametrize("name", methods.names())
def test_no_step_waits_for_the_gpu(name, size):
    method = build(name)
    with capture.Watch() as watch:
        method(batch(size)).total.backward()
    assert watch.obstacle is None


def on_a_pretended_gpu(module):
    """Give a module parameters and buffers without storage that claim to be on a GPU."""
    for part in module.modules():
        for name, value in part._parameters.items():
            if value is not None:
                empty = torch.empty(value.shape, device="cuda")
                part._parameters[name] = torch.nn.Parameter(empty, value.requires_grad)
        for name, value in part._buffers.items():
            if value is not None:
                part._buffers[name] = torch.empty(value.shape, dtype=value.dtype, device="cuda")


# Shares of mixup are drawn by an operation that has no form without storage.
@pytest.mark.parametrize("name", sorted({*methods.names()} - {"mixup"}))
def test_no_loss_leaves_the_gpu(name):
    """Shapes and devices are those of a GPU, but nothing is computed."""
    method = build(name)
    with FakeTensorMode(), capture.Watch() as watch:
        on_a_pretended_gpu(method)
        if isinstance(method, Distilled):
            on_a_pretended_gpu(method.teacher)
        whole = torch.empty(6, dtype=torch.long, device="cuda")
        losses = method(Batch(torch.empty(6, 3, 32, 32, device="cuda"), whole, whole))
    assert losses.total.device.type == "cuda"
    assert watch.obstacle is None


def test_a_loss_that_leaves_the_gpu_is_noticed(monkeypatch):
    erm = methods["erm"]
    monkeypatch.setattr(
        erm, "penalty", lambda self, k, exit, batch: exit.logits.mean().cpu().to(batch.images)
    )
    with pytest.raises(AssertionError, match="copies a tensor from cuda to cpu"):
        test_no_loss_leaves_the_gpu("erm")


WAITS = {
    "mask": lambda x: x[x > 0],
    "mask that is written": lambda x: x.index_put_((x > 0,), torch.zeros(())),
    "item": lambda x: x.sum().item(),
    "branch": lambda x: 1 if x.any() else 2,
    "nonzero": lambda x: x.nonzero(),
    "counts": lambda x: torch.bincount(x.abs().long()),
    "one-hot": lambda x: torch.nn.functional.one_hot(x.abs().long(), 9),
    "draw": lambda x: torch.multinomial(x.abs(), 1),
    "list": lambda x: x.new_tensor([1.0, 2.0]),
    "unique": lambda x: x.unique(),
    "other device": lambda x: x.to("meta"),
}


@pytest.mark.parametrize("name", WAITS)
def test_what_waits_is_noticed(name):
    x = torch.randn(5)
    with capture.Watch() as watch:
        WAITS[name](x)
    assert watch.obstacle
    with capture.Watch() as watch:
        x.masked_fill(x > 0, 1)[torch.arange(3)].sum()
    assert watch.obstacle is None


def test_a_step_that_waits_is_computed_as_usual_and_said(
    small, tmp_path, monkeypatch, capsys, tapes, ordinary
):
    erm = methods["erm"]
    monkeypatch.setattr(
        erm, "penalty", lambda self, k, exit, batch: exit.logits[batch.groups >= 0].mean()
    )
    run = train(config(small), tmp_path / "replayed")
    assert not tapes[-1].recorded
    lines = [line for line in capsys.readouterr().err.splitlines() if "capture" in line]
    assert lines == [
        "note: the steps are not captured in CUDA graphs: a step selects by a mask, which waits "
        "for the GPU"
    ]
    assert same_runs(run, ordinary(config(small)))


def test_a_recording_that_fails_is_computed_as_usual_and_said(
    small, tmp_path, monkeypatch, capsys, tapes, ordinary
):
    def fail(self, compute):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr(Counting, "record", fail)
    run = train(config(small), tmp_path / "replayed")
    error = capsys.readouterr().err
    assert error.count("not captured in CUDA graphs: operation not permitted when stream is") == 1
    assert same_runs(run, ordinary(config(small)))


def test_capture_none_records_nothing_and_says_nothing(small, tmp_path, capsys, tapes):
    train(config(small, train__capture="none", train__epochs=1), tmp_path / "run")
    assert not tapes[-1].recorded
    assert "not captured" not in capsys.readouterr().err


def test_a_method_or_a_layer_from_elsewhere_is_not_recorded():
    method = methods.create("erm", create_model("resnet18", 3, exits="none"), TASK, [1.0])
    assert capture.obstacle(method, 1) is None
    assert capture.obstacle(method, 2) == "2 processes exchange gradients"

    class Own(type(method)):
        pass

    own = Own(method.net, TASK, [1.0])
    assert capture.obstacle(own, 1) == "method Own does not declare itself capturable"

    class Layer(torch.nn.Identity):
        pass

    method.net.backbone.stages.append(Layer())
    assert capture.obstacle(method, 1) == f"the layer Layer is from outside: {__name__}"

    class Declared(type(method), capturable=True):
        pass

    assert capture.obstacle(Declared(method.net, TASK, [1.0]), 1) is None


def test_a_tape_repeats_what_python_alone_knew():
    numbers = iter(range(9))
    x, tape = torch.ones(3), Tape()
    result, replay = tape.record(lambda: x * 2 + next(numbers))
    replay()
    assert result.tolist() == [2, 2, 2]
    x.fill_(5)
    replay()
    assert result.tolist() == [10, 10, 10], "the number is the recorded one, x is the new one"


def test_images_that_are_held_give_the_same_batches(small):
    rows = small.rows("train")[::-1].copy()
    loaders = [
        Loader(small, rows, "skin_tone", batch_size=9, device=torch.device("cpu"), resident=held)
        for held in (False, True)
    ]
    augment = Augment("released", 3)
    passes = [
        [*loader.training(augment, "balanced", 1, 2), *loader.evaluation(augment)]
        for loader in loaders
    ]
    for mapped, held in zip(*passes, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(mapped, held, strict=True))
        assert held.images.is_contiguous(memory_format=torch.channels_last)


def test_fit_knows_no_tape():
    assert capture.recorder_for(torch.device("cpu")) is None
    assert "Tape" not in vars(fit)
