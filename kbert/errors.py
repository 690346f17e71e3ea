"""What can go wrong without a fault in the code. Commands print these without a traceback."""


class DataError(ValueError):
    """Something that the user gave cannot be used: a file, a column, a checkpoint.

    The message is a sentence that says what was expected and what was received, and names the
    file (and the line, for data). Commands exit with code 1.
    """


class TrainingError(RuntimeError):
    """Training cannot go on: the loss is no number any more. Commands exit with code 1."""
