"""What is wrong with files, counted while work on them goes on."""

_MAX_LISTED_PROBLEMS = 1000


class Problems:
    """What was wrong with the input: how often, in which file, first in which line.

    At most 1,000 pairs of file and problem are kept; further ones only count in `unlisted`.
    """

    def __init__(self):
        self._entries: dict[tuple[str, str], dict] = {}
        self.unlisted = 0

    def add(self, file: str, problem: str, first_line: int | None = None, count: int = 1) -> None:
        """Count a problem `count` times; `first_line` is kept where it is the first."""
        entry = self._entries.get((file, problem))
        if entry is not None:
            entry["count"] += count
        elif len(self._entries) < _MAX_LISTED_PROBLEMS:
            self._entries[file, problem] = {
                "file": file,
                "problem": problem,
                "count": count,
                "first_line": first_line,
            }
        else:
            self.unlisted += count

    def as_dict(self) -> dict:
        """{"listed": [{"file", "problem", "count", "first_line"}, ...], "unlisted": count}."""
        return {"listed": list(self._entries.values()), "unlisted": self.unlisted}

    def merge(self, other: dict) -> None:
        """Add what `as_dict` of other Problems returned."""
        for entry in other["listed"]:
            self.add(**entry)
        self.unlisted += other["unlisted"]
