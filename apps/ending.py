"""How a command ends: its exit code, one sentence for an error, what it printed in UTF-8."""

import errno
import os
import signal
import sys
from collections.abc import Callable

from .parsing import Parser
from .signals import Signals


def exit_code(parser: Parser, run: Callable[[], None]) -> int:
    """Run a command. Returns 0, 1 for data, 128 + the number of a signal that ended it.

    Options that do not go together end the process with 2, as argparse does. An error is a sentence
    on stderr; a fault in the code keeps its traceback.
    """
    from kbert.errors import UsageError

    _write_utf8()
    code, message = 0, None
    with Signals() as signals:
        try:
            run()
            sys.stdout.flush()
        except UsageError as error:
            parser.error(str(error))
        except BrokenPipeError:
            # The reader has had enough (`| head`): no error. Python would flush once more at its
            # exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except (Exception, KeyboardInterrupt) as error:
            code, message = _described(error, signals.received)
    if message is not None:
        print(f"{parser.prog}: {message}", file=sys.stderr)
    return code


def _described(error: BaseException, received: int | None) -> tuple[int, str]:
    """Exit code and sentence for what ended a command. A fault in the code is raised again."""
    from kbert.errors import DataError, Stopped, TrainingError

    if isinstance(error, Stopped):
        return 128 + error.signal, str(error)
    # A signal's exception may have become another one on its way through TensorFlow's C++.
    if received is not None or isinstance(error, KeyboardInterrupt):
        number = received or signal.SIGINT
        return 128 + number, "interrupted." if number == signal.SIGINT else "terminated."
    if isinstance(error, (DataError, TrainingError, OSError)):
        return 1, f"error: {_sentence(error)}"
    raise error


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
