"""SIGTERM and Ctrl-C end a command as an exception, wherever they arrive."""

import signal
import sys
import threading
from types import FrameType

_ENDING = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Within the block SIGTERM and Ctrl-C raise KeyboardInterrupt: what was open is closed.

    Python drops an exception that is raised in `__del__` or in a callback of the garbage collector,
    and so does a bare `except` of a library. So it is raised again every second, until it is being
    handled. Python hears signals in the main thread only; in others the block does nothing. What
    the process was told to ignore stays ignored.

    Attributes:
        received: the number of the last signal, or None.
    """

    def __init__(self):
        self.received: int | None = None
        self._before = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            for number in _ENDING:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._receive)
            if hasattr(signal, "setitimer"):  # not on Windows
                self._before[signal.SIGALRM] = signal.signal(signal.SIGALRM, self._again)
        return self

    def __exit__(self, *exception) -> None:
        if signal.SIGALRM in self._before:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        if signal.SIGALRM in self._before:
            signal.setitimer(signal.ITIMER_REAL, 1, 1)
        raise KeyboardInterrupt

    def _again(self, number: int, frame: FrameType | None) -> None:
        handled = sys.exc_info()[1]
        while handled is not None and not isinstance(handled, KeyboardInterrupt):
            handled = handled.__context__
        if handled is None:
            raise KeyboardInterrupt
