"""Stand-ins for MLflow, Weights & Biases and Trackio, with the functions that they document."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace


class Store:
    """Runs of a fake service, by id; a step is refused if it is not after the last one."""

    def __init__(self):
        self.runs, self.calls = {}, []

    def open(self, key, **facts):
        self.calls.append({"key": key, **facts})
        run = self.runs.setdefault(key, {"steps": {}, "ended": None, "opened": 0})
        run["opened"] += 1
        run["ended"] = None
        return run


def module(monkeypatch, name, **content):
    fake = ModuleType(name)
    # Whether an extra is installed is asked of the specification.
    fake.__spec__ = ModuleSpec(name, None)
    vars(fake).update(content)
    monkeypatch.setitem(sys.modules, name, fake)


class ServiceRun:
    """A run as wandb.init and trackio.init return it."""

    def __init__(self, run, key):
        self._run, self.id = run, key

    def log(self, data, step):
        assert self._run["ended"] is None
        assert step > max(self._run["steps"], default=0), "sent twice"
        self._run["steps"][step] = data

    def finish(self, exit_code=0):
        self._run["ended"] = "FAILED" if exit_code else "FINISHED"


def fake_wandb(monkeypatch, store):
    def init(
        *, project, entity, name, id, resume, config, allow_val_change, reinit
    ):  # the arguments that wandb documents
        assert (resume, id is None) in ((None, True), ("allow", False))
        assert (allow_val_change, reinit) == (True, "create_new")
        key = id or f"wandb{len(store.runs)}"
        facts = {"project": project, "entity": entity, "name": name, "config": config}
        return ServiceRun(store.open(key, **facts), key)

    module(monkeypatch, "wandb", init=init)


def fake_trackio(monkeypatch, store):
    def init(*, project, name, space_id, resume, config):
        assert resume == "allow"
        facts = {"project": project, "space_id": space_id, "name": name, "config": config}

        class TrackioRun(ServiceRun):
            def finish(self):
                super().finish()

        return TrackioRun(store.open(name, **facts), "a run of Trackio is found by its name")

    module(monkeypatch, "trackio", init=init)


def fake_mlflow(monkeypatch, store):
    class Pair:
        def __init__(self, key, value, timestamp=None, step=None):
            self.key, self.value, self.timestamp, self.step = key, value, timestamp, step

    class MlflowClient:
        def __init__(self, tracking_uri):
            self.uri = tracking_uri

        def get_experiment_by_name(self, name):
            return None

        def create_experiment(self, name):
            return name

        def create_run(self, experiment_id, run_name):
            key = f"mlflow{len(store.runs)}"
            store.open(key, project=experiment_id, name=run_name, uri=self.uri, config={})
            return SimpleNamespace(info=SimpleNamespace(run_id=key))

        def update_run(self, run_id, status):
            assert status == "RUNNING"
            store.open(run_id)

        def log_batch(self, run_id, metrics=(), params=()):
            assert len(params) <= 100
            run = store.runs[run_id]
            store.calls[-1].setdefault("config", {}).update({p.key: p.value for p in params})
            if metrics:
                (step,) = {m.step for m in metrics}
                ServiceRun(run, run_id).log({m.key: m.value for m in metrics}, step)

        def set_terminated(self, run_id, status):
            store.runs[run_id]["ended"] = status

    module(monkeypatch, "mlflow", MlflowClient=MlflowClient)
    module(monkeypatch, "mlflow.entities", Param=Pair, Metric=Pair)
    module(monkeypatch, "mlflow.exceptions", MlflowException=ValueError)
