"""Runs one function on many items in parallel, in processes that never outlive their parent."""

import collections
import concurrent.futures
import concurrent.futures.process
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator


def usable_cores() -> int:
    """The cores that this process may use: by its affinity and the limits of its container."""
    import joblib  # A third of a second, which `kbert --help` has not.

    return joblib.cpu_count()


class Pool:
    """Threads or processes that run one function.

    Processes are started with "spawn", since TensorFlow's threads may hold locks in a process that
    has loaded it: a script needs `if __name__ == "__main__":`. They end with the block, at once
    where that ends by an error, and when this process dies, however it does.

    Args:
        count: number of workers.
        make: returns the function; called once in each process, or once for all threads.
        processes: processes, for what holds Python's lock; otherwise threads.
    """

    def __init__(self, count: int, make: Callable[[], Callable], processes: bool):
        self.count = count
        self._make = make
        self._processes = processes

    def __enter__(self):
        # Processes start in a thread of its own: a signal's exception, which the main thread gets,
        # would leave one half started. And Ctrl-C is for this process, which ends the others.
        self._starter = concurrent.futures.ThreadPoolExecutor(1, initializer=_block_interrupts)
        if self._processes:
            # A worker ends with the last writing end of this pipe, which nobody else has.
            other_end, self._lifeline = multiprocessing.Pipe(duplex=False)
            context = multiprocessing.get_context("spawn")
            self._function = _call
            self._pool = concurrent.futures.ProcessPoolExecutor(
                self.count, context, _start, (self._make, other_end)
            )
        else:
            self._lifeline = None
            self._function = self._make()
            self._pool = concurrent.futures.ThreadPoolExecutor(self.count)
        return self

    def map(self, items: Iterable[tuple]) -> Iterator:
        """The function's result for each tuple of arguments, in order.

        Items are taken only as fast as workers finish: one more than workers waits.
        """
        waiting = collections.deque()
        for item in items:
            waiting.append(self._submitted(item))
            if len(waiting) > self.count + 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def map_as_done(self, items: Iterable[tuple]) -> Iterator:
        """The function's result for each tuple of arguments, in the order in which they end.

        For items that take very different times: no worker waits for a slow one. All are taken at
        once.
        """
        waiting = [self._submitted(item) for item in items]
        for done in concurrent.futures.as_completed(waiting):
            yield done.result()

    def _submitted(self, item):
        return self._starter.submit(self._pool.submit, self._function, *item).result()

    def __exit__(self, error_type, error, traceback):
        self._starter.shutdown()
        if error is not None and self._lifeline is not None:
            self._lifeline.close()  # Ends them at once, even those that still import TensorFlow.
            # Python before 3.11.5 would wait for ever for an item to be written to processes that
            # have ended (https://github.com/python/cpython/issues/94777).
            self._pool._call_queue._reader.close()
        self._pool.shutdown(wait=True, cancel_futures=error is not None)
        if self._lifeline is not None:
            self._lifeline.close()
        if isinstance(error, concurrent.futures.process.BrokenProcessPool):
            raise ChildProcessError(
                "A worker process ended by itself, perhaps for want of memory. Give the same "
                "command again, with fewer workers."
            ) from error


def _block_interrupts() -> None:
    """For this thread and the processes that it starts."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _start(make: Callable[[], Callable], lifeline) -> None:
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    # A process has no other place for what its initializer made.
    global _function
    _function = make()


def _call(*arguments):
    return _function(*arguments)


def _end_with(lifeline) -> None:
    """End this process when the other end of the pipe is closed, by the parent or by its death."""
    try:
        lifeline.recv()
    except EOFError:
        os._exit(1)
