"""MLflow: a run of an experiment, in a local store or on a tracking server."""

import os
import re
import time
from collections.abc import Mapping
from typing import Any

from fairexit.runs import flatten
from fairexit.training.trackers.base import PROJECT, Tracker, trackers

MOST_PARAMETERS = 100
"""Parameters that MLflow takes in one request."""
LONGEST_PARAMETER = 6000
"""Characters that MLflow takes as the value of a parameter."""


@trackers.register("mlflow")
class MLflow(Tracker):
    """A run of an MLflow experiment.

    Args:
        experiment: name of the experiment; by default MLFLOW_EXPERIMENT_NAME, else "fairexit".
        tracking_uri: address of the server or store; by default MLflow's own, which is
            MLFLOW_TRACKING_URI or a store in the current folder.
    """

    extra = "mlflow"

    def __init__(self, *, experiment: str | None = None, tracking_uri: str | None = None) -> None:
        self.experiment = experiment or os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        self.tracking_uri = tracking_uri

    def start(self, name: str, settings: Mapping[str, Any], run_id: str | None) -> str:
        from mlflow import MlflowClient
        from mlflow.entities import Param

        # A client leaves the active run of the calling program as it is.
        self._client = MlflowClient(tracking_uri=self.tracking_uri)
        if run_id is not None:
            self._client.update_run(run_id, status="RUNNING")
            self._id = run_id
            return run_id
        run = self._client.create_run(self._experiment_id(), run_name=name)
        self._id = str(run.info.run_id)
        # A parameter cannot be changed later, so a run that is continued keeps the first ones.
        parameters = [
            Param(_key(key), str(value)[:LONGEST_PARAMETER])
            for key, value in flatten(dict(settings)).items()
        ]
        for start in range(0, len(parameters), MOST_PARAMETERS):
            self._client.log_batch(self._id, params=parameters[start : start + MOST_PARAMETERS])
        return self._id

    def log(self, row: Mapping[str, float], epoch: int) -> None:
        from mlflow.entities import Metric

        now = round(1000 * time.time())
        metrics = [Metric(_key(key), value, now, epoch) for key, value in row.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def finish(self, succeeded: bool) -> None:
        self._client.set_terminated(self._id, status="FINISHED" if succeeded else "FAILED")

    def _experiment_id(self) -> str:
        """The experiment's number; the experiment is created where it is absent."""
        from mlflow.exceptions import MlflowException

        experiment = self._client.get_experiment_by_name(self.experiment)
        if experiment is None:
            try:
                return str(self._client.create_experiment(self.experiment))
            except MlflowException:
                # Another run of the same study may have created it meanwhile.
                experiment = self._client.get_experiment_by_name(self.experiment)
                if experiment is None:
                    raise
        return str(experiment.experiment_id)


def _key(name: str) -> str:
    """A name with the characters that MLflow allows."""
    return re.sub(r"[^/\w.\- :]", "_", name)
