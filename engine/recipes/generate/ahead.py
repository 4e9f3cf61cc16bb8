"""Examples that are made while earlier ones are waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable

from engine.recipes.generate.tally import Example

LOOK_SECONDS = 0.05


class Ahead:
    """Calls `make` for one number after the other, as many at once as are asked for, in threads that end with the
    process; with one at a time, in the caller's."""

    def __init__(self, make: Callable[[int], Example], at_once: int, total: int) -> None:
        self.make = make
        self.at_once = at_once
        self.total = total
        self.threads = at_once > 1
        self._made: dict[int, Example | BaseException] = {}
        self._changed = threading.Condition()
        self._next: int | None = None  # the first number that nobody has begun
        self._taken = 0
        self._closed = False

    def take(self, number: int, breathe: Callable[[], None]) -> Example:
        """The example of this number, which must follow the one taken before. Raises what `make` and `breathe` do."""
        if not self.threads:
            return self.make(number)
        with self._changed:
            self._taken = number
            if self._next is None:
                self._next = number
                for place in range(self.at_once):
                    threading.Thread(target=self._work, name=f"example-{place}", daemon=True).start()
            self._changed.notify_all()
            while number not in self._made:
                self._changed.wait(LOOK_SECONDS)
                breathe()
            made = self._made.pop(number)
        if isinstance(made, BaseException):
            raise made
        return made

    def close(self) -> None:
        """Begin nothing more. What is under way is given up: it ends with the process."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _work(self) -> None:
        while (number := self._begin()) is not None:
            try:
                made: Example | BaseException = self.make(number)
            except BaseException as error:  # it belongs to the step that takes it
                made = error
            with self._changed:
                self._made[number] = made
                self._changed.notify_all()

    def _begin(self) -> int | None:
        """The next number, once it is near enough; None when there is nothing more to begin."""
        with self._changed:
            assert self._next is not None
            while not self._closed and self._next < self.total and self._next >= self._taken + self.at_once:
                self._changed.wait()
            if self._closed or self._next >= self.total:
                return None
            self._next += 1
            return self._next - 1
