"""Packing: several sequences share a row, so that little of it is padding.

They do not see each other (`padding_mask` numbers them), so a packed row trains as its sequences
would in rows of their own (arXiv 2107.02027).
"""

import bisect

import numpy as np


def fill_rows(lengths: np.ndarray, rows: int, capacity: int, most: int) -> np.ndarray:
    """Fill a number of rows with as many sequences of a stream as they hold.

    None is left out but those behind the last one taken, so the choice does not favour any length.

    Args:
        lengths: integers (sequences,) from 1 to `capacity`, as many as could fill the rows, or
            rows x most.
        rows: how many rows.
        capacity: positions of a row.
        most: sequences that a row may hold.

    Returns:
        The row of each of the first sequences, (taken,). No row is empty.
    """

    def rows_for(count):
        return pack(lengths[:count], capacity, most).max() + 1

    fitting = np.searchsorted(np.cumsum(lengths), rows * capacity, side="right")
    # As many as rows always fit; one that does not is behind them.
    taken = rows - 1 + bisect.bisect_right(range(rows, fitting + 1), rows, key=rows_for)
    placed = pack(lengths[:taken], capacity, most)
    # Rarely a row is left, where one sequence more would have opened two.
    return np.concatenate([placed, np.arange(placed.max() + 1, rows)])


def pack(lengths: np.ndarray, capacity: int, most: int) -> np.ndarray:
    """Best-fit decreasing: the longest first, each into the fullest row that has room for it.

    Args:
        lengths: integers (sequences,) from 1 to `capacity`.
        capacity: positions of a row.
        most: sequences that a row may hold.

    Returns:
        The row of each sequence, (sequences,); rows count from 0, without a gap.
    """
    rows = np.empty(len(lengths), np.int64)
    with_room = [[] for _ in range(capacity + 1)]  # open rows by the positions that they have left
    is_there = 0  # bit n is set where with_room[n] has a row
    held = []  # sequences in each row
    order = np.argsort(-lengths, kind="stable")
    for sequence, length in zip(order.tolist(), lengths[order].tolist(), strict=True):
        fitting = is_there >> length
        if fitting:
            room = length + (fitting & -fitting).bit_length() - 1
            row = with_room[room].pop()
            if not with_room[room]:
                is_there ^= 1 << room
        else:
            room, row = capacity, len(held)
            held.append(0)
        rows[sequence] = row
        held[row] += 1
        if held[row] < most:
            with_room[room - length].append(row)
            is_there |= 1 << (room - length)
    return rows
