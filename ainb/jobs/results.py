"""Parser of a job's result files: lines are matched to requests by `custom_id`, never by order."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from ainb.providers.batch_service import RequestResult

ReadLine = Callable[[bytes], RequestResult | None]


class ResultFiles:
    """The results of one job, read line by line.

    Args:
        paths: Existing output and error files.
        numbers: Number of the request by custom id.
        read_line: Parses one line of the protocol.

    Attributes:
        unknown: Number of lines with an id that is not of the job.
        doubled: Number of further lines with the same id; the first line counts.
        unreadable: Number of truncated or damaged lines.
    """

    def __init__(self, paths: Sequence[Path], numbers: Mapping[str, int], read_line: ReadLine) -> None:
        self._paths = paths
        self._numbers = numbers
        self._read_line = read_line
        self._seen = bytearray(len(numbers))
        self.unknown = self.doubled = self.unreadable = 0

    def __iter__(self) -> Iterator[tuple[int, RequestResult | None]]:
        """Number and result of each request in the order of the files; without a line, last and with None."""
        for result in self._lines():
            if result is None:
                self.unreadable += 1
                continue
            number = self._numbers.get(result.custom_id)
            if number is None:
                self.unknown += 1
            elif self._seen[number]:
                self.doubled += 1
            else:
                self._seen[number] = 1
                yield number, result
        yield from ((number, None) for number, seen in enumerate(self._seen) if not seen)

    def is_foreign(self) -> bool:
        """Whether there are results and none of them belongs to the job."""
        found = False
        for result in self._lines():
            if result is not None:
                found = True
                if result.custom_id in self._numbers:
                    return False
        return found

    def remarks(self) -> str | None:
        """One line on what was left out; None when everything fits."""
        parts = [
            f"{count:,} {words}"
            for count, words in (
                (self.unknown, "of requests that are not in this job"),
                (self.doubled, "second answers"),
                (self.unreadable, "that cannot be read"),
            )
            if count
        ]
        return f"lines of the result files were left out: {', '.join(parts)}" if parts else None

    def _lines(self) -> Iterator[RequestResult | None]:
        for path in self._paths:
            if not path.exists():
                continue
            with path.open("rb") as file:
                for line in file:
                    if line.strip():
                        yield self._read_line(line)
