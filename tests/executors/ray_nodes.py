"""A Ray cluster of two nodes on this machine, and the death of one of them."""

import os
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).parents[1]


class Nodes:
    """A cluster whose head runs no task, and whose other nodes have one CPU each.

    Attributes:
        address: HOST:PORT of the cluster.
    """

    def __init__(self):
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 10**8}
        self._cluster = Cluster(initialize_head=True, head_node_args=head)
        self.address = self._cluster.address
        self._nodes = []

    def at_least(self, number):
        """Start nodes until there are so many."""
        while len(self._nodes) < number:
            node = self._cluster.add_node(num_cpus=1, object_store_memory=10**8)
            self._nodes.append(node)
        self._cluster.wait_for_nodes()

    @contextmanager
    def with_gpu(self):
        """One more node with two CPUs, and what Ray takes for a GPU."""
        node = self._cluster.add_node(num_cpus=2, num_gpus=1, object_store_memory=10**8)
        self._cluster.wait_for_nodes()
        yield
        self._cluster.remove_node(node)

    def kill(self):
        """Kill the node that was started last, as if its machine had lost power."""
        self._cluster.remove_node(self._nodes.pop(), allow_graceful=False)

    def stop(self):
        self._cluster.shutdown()
