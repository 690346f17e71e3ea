"""The one exception that a user's input can cause."""


class DataError(ValueError):
    """Something that the user gave cannot be used: a file, a column, a checkpoint.

    The message is a sentence that says what was expected and what was received, and names the
    file (and the line, for data). Commands print it without a traceback and exit with code 1.
    """
