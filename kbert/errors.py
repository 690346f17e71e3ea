"""What can go wrong without a fault in the code. Commands print these without a traceback."""


class DataError(Exception):
    """Something that the user gave cannot be used: a file, a column, a checkpoint.

    The message is a sentence that says what was expected and what was received, and names the
    file (and the line, for data). Commands exit with code 1.
    """


class RunnerError(DataError):
    """Machines of others failed that were to do the work; what they did stays for the next try."""


class TrainingError(RuntimeError):
    """Training cannot go on: the loss is NaN or infinite. Commands exit with code 1."""


class Stopped(KeyboardInterrupt):
    """SIGTERM or Ctrl-C ended a run, which has saved its state. Commands exit with 128 + signal.

    Like any Ctrl-C it is no `Exception`, so that a loop over runs does not go on.

    Attributes:
        signal: its number.
    """

    def __init__(self, signal: int, step: int):
        super().__init__(f"Stopped and saved at step {step}. The same command goes on from there.")
        self.signal, self.step = int(signal), step

    def __reduce__(self):  # A worker's is told to the process that waits for it.
        return Stopped, (self.signal, self.step)


class UsageError(DataError):
    """Options of a command that do not go together. Commands exit with code 2."""
