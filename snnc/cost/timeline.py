"""Which buffers are alive when: a list of steps, and for each buffer the first and the last step that needs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

SCRATCH = "intermediate values"
_UNUSED = -1


@dataclass(slots=True)
class _Life:
    bytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Peak:
    """The step with the most bytes alive, and what is alive then, large buffers first."""

    step: str
    bytes: int
    alive: tuple[tuple[str, int], ...]


@dataclass
class Timeline:
    """Steps in the order in which they run."""

    steps: list[tuple[str, int]] = field(default_factory=list)
    lives: dict[str, _Life] = field(default_factory=dict)

    def from_start(self, name: str, size: int) -> str:
        """Add a buffer that exists from the start of the program; return its name."""
        self.lives[name] = _Life(size, 0, 0)
        return name

    def when_read(self, name: str, size: int) -> str:
        """Add a buffer that the first step that reads it makes; return its name."""
        self.lives[name] = _Life(size, _UNUSED, _UNUSED)
        return name

    def step(self, label: str, reads: Iterable[str], makes: Mapping[str, int], scratch: int = 0) -> None:
        """Add a step: what it reads lives until now, what it makes from now on, `scratch` bytes only now."""
        now = len(self.steps)
        self.steps.append((label, scratch))
        for name, size in makes.items():
            self.lives[name] = _Life(size, now, now)
        for name in reads:
            life = self.lives[name]
            life.first = now if life.first == _UNUSED else life.first
            life.last = now

    def peak(self) -> Peak:
        """Return the step where most is alive.

        >>> line = Timeline()
        >>> line.step("product", (), {"x": 100})
        >>> line.step("sum", ("x",), {"y": 100}, scratch=5)
        >>> line.step("end", ("y",), {})
        >>> line.peak().step, line.peak().bytes
        ('sum', 205)
        """
        change = [0] * (len(self.steps) + 1)
        lives = {name: life for name, life in self.lives.items() if life.first != _UNUSED}
        for life in lives.values():
            change[life.first] += life.bytes
            change[life.last + 1] -= life.bytes
        best, total, most = 0, 0, -1
        for now, (_, scratch) in enumerate(self.steps):
            total += change[now]
            if total + scratch > most:
                best, most = now, total + scratch
        alive = [(name, life.bytes) for name, life in lives.items() if life.first <= best <= life.last]
        scratch = self.steps[best][1]
        alive += [(SCRATCH, scratch)] if scratch else []
        return Peak(self.steps[best][0], most, tuple(sorted(alive, key=lambda one: -one[1])))
