"""The methods that edit a network: what they edit, in which order, and how.

A new one is a subclass of `Criterion` in a file of its own, registered in `criteria`, with `traits`
that differ from the default where the settings must know of it.
"""

from fairexit.pruning.criteria.base import Criterion as Criterion
from fairexit.pruning.criteria.base import Subject as Subject
from fairexit.pruning.criteria.base import criteria as criteria
