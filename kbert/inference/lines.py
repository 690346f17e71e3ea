"""Lines of a stream as they arrive: of a pipe each as soon as it is written, of a file many."""

from collections.abc import Iterator
from typing import IO

# Bytes asked for at once, first few, so that answers begin soon, then twice as many each time: a
# pipe holds 64 KiB, and of a file as much always comes. So the lines of a file come in the same
# groups every time.
FIRST_GROUP, _MOST = 2**10, 2**16


def arriving_lines(stream: IO[bytes], most: int) -> Iterator[list[bytes]]:
    """The lines that have arrived: at least one each time, at most `most`; the last without LF.

    Whoever writes one line into a pipe and waits gets its answer. No thread reads ahead: the
    interpreter could not end while one waits for a terminal.
    """
    rest, size = b"", FIRST_GROUP
    # `read1` waits for something, not for everything.
    while piece := stream.read1(size):
        size = min(2 * size, _MOST)
        *lines, rest = (rest + piece).split(b"\n")
        for start in range(0, len(lines), most):
            yield lines[start : start + most]
    if rest:
        yield [rest]
