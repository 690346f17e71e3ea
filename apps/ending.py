"""How a command ends: its exit code, one sentence for an error, what it printed in UTF-8."""

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable

from .parsing import Parser


def exit_code(parser: Parser, run: Callable[[], None]) -> int:
    """Run a command. Returns 0, 1 for data, 128 + the number of a signal that ended it.

    Options that do not go together end the process with 2, as argparse does. An error is a sentence
    on stderr; a fault in the code keeps its traceback.
    """
    from kbert.errors import DataError, Stopped, TrainingError, UsageError

    _write_utf8()
    in_main_thread = threading.current_thread() is threading.main_thread()
    terminated = threading.Event()

    def terminate(signal_number, frame):
        terminated.set()
        raise _Terminated

    before = signal.signal(signal.SIGTERM, terminate) if in_main_thread else None
    code, message = 0, None
    try:
        run()
        sys.stdout.flush()
    except UsageError as error:
        parser.error(str(error))
    except BrokenPipeError:
        # The reader has had enough (`| head`): no error. Python would flush once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (DataError, TrainingError, OSError) as error:
        code, message = 1, f"error: {_sentence(error)}"
    except Stopped as stop:
        code, message = 128 + stop.signal, str(stop)
    except _Terminated:
        code, message = 128 + signal.SIGTERM, "terminated."
    except Exception:
        # What the signal's exception has become on its way through TensorFlow's C++.
        if not terminated.is_set():
            raise
        code, message = 128 + signal.SIGTERM, "terminated."
    except KeyboardInterrupt:
        code, message = 128 + signal.SIGINT, "interrupted."
    finally:
        if in_main_thread:
            signal.signal(signal.SIGTERM, before)
    if message is not None:
        print(f"{parser.prog}: {message}", file=sys.stderr)
    return code


class _Terminated(BaseException):
    """SIGTERM, as an exception: what was open is closed, and temporary files go."""


def _write_utf8() -> None:
    """Nothing that is written depends on the locale; a terminal shows what it can of it."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def _sentence(error: Exception) -> str:
    """An error as a sentence: an OSError's own text hides the file behind its number."""
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.strerror}: {error.filename}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            text += ". What was there before is whole. Free some space, then run the command again."
        return text
    return str(error)
