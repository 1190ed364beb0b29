"""Tasks as processes of this machine."""

from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from fairexit.executors.process import Processes, run_task
from fairexit.executors.task import Outcome, Task


class LocalProcesses:
    """An executor, see `Executor`, that runs some processes at a time on this machine.

    Args:
        workers: number of tasks at a time.
        threads: CPU threads of each task.
    """

    is_local = True

    def __init__(self, workers: int, threads: int) -> None:
        self.workers, self.threads = workers, threads

    def run(self, tasks: Iterable[Task]) -> Generator[Outcome, None, None]:
        waiting, processes = iter(tasks), Processes()
        running: set[Future[Outcome]] = set()
        with ThreadPoolExecutor(self.workers) as pool:
            try:
                while True:
                    for task in islice(waiting, self.workers - len(running)):
                        running.add(pool.submit(run_task, task, processes))
                    if not running:
                        return
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield future.result()
            finally:
                processes.close()
