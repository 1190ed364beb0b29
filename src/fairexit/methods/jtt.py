"""Just Train Twice (Liu et al. 2021): what a short training gets wrong is drawn more often."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field, PositiveInt

from fairexit.methods.base import methods
from fairexit.methods.stages import Upweighted
from fairexit.models import ExitNet
from fairexit.search_space import Axis
from fairexit.types import Task


@methods.register("jtt")
class Jtt(Upweighted, capturable=True):
    """Trains twice: the second time it draws more often what the first got wrong (Liu et al. 2021).

    The first, the identification network, is trained by ERM for a few epochs at a constant learning
    rate. The errors of its final exit after the last of them, on training images without
    augmentation, are drawn `factor` times as often as the others in the second training. An epoch
    keeps its number of images, which are drawn with replacement; the source makes an epoch longer
    instead. Neither training reads the attribute. The folder of the run keeps the first network in
    `identification`, and the images that it got wrong in `identified.json`.

    Args:
        epochs: epochs of the identification network.
        factor: lambda_up, how many times as often such an image is drawn.
    """

    search_space = (
        Axis("method.epochs", (1, 10), log=True),
        Axis("method.factor", (2.0, 50.0), log=True),
    )

    def __init__(
        self,
        net: ExitNet,
        task: Task,
        exit_weights: Sequence[float],
        *,
        epochs: PositiveInt = 5,
        factor: Annotated[float, Field(ge=1)] = 5.0,
    ) -> None:
        super().__init__(net, task, exit_weights)
        self.identification_epochs, self.factor = epochs, factor
