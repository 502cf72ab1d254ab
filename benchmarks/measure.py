"""What a measurement is: samples taken in turn, medians of them, and goals they meet or miss."""

import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import Struct, field

__all__ = ["Goal", "Measuring", "Result", "Sample", "UnexpectedAnswers", "in_turn", "middle", "percentile", "sample_of"]


class Sample(Struct, frozen=True):
    """One run of a load: answers per second, latencies in ms, and answers that were not the expected ones.

    `first_error` says what the first of them was, as far as the load could tell. `late` counts answers that were right
    and took longer than 2 s. `load_busy` is the share of the load's core that was in use, where it was measured: near 1
    the load itself, or another program there, was the limit, and the server could do more.
    """

    rate: float
    p50_ms: float
    p99_ms: float
    errors: int = 0
    first_error: str = ""
    late: int = 0
    load_busy: float | None = None


Measuring: TypeAlias = Callable[[], Awaitable[Sample]]


class Goal(Struct, frozen=True):
    """A number the project promises: `measured` must be at least (or at most) `bound`."""

    name: str
    measured: float
    bound: float
    at_least: bool = True

    @property
    def met(self) -> bool:
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


class Result(Struct):
    """What a scenario found. `numbers` are for the record, `note` says what a reader must know to trust them."""

    scenario: str
    goals: list[Goal] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    note: str = ""


class UnexpectedAnswers(RuntimeError):
    """A side answered something else than it should: a benchmark of errors proves nothing."""

    def __init__(self, side: str, turn: int, sample: Sample) -> None:
        first = sample.first_error or "not seen by the load"
        super().__init__(f"{side}, turn {turn}: {sample.errors} unexpected answers; the first: {first}")


async def in_turn(turns: int, sides: Mapping[str, Measuring]) -> dict[str, Sample]:
    """Run A B A B …, so that a slow minute of the machine hits all sides; the median of each side's samples.

    Raises UnexpectedAnswers; whatever else a side raises gets a note which side it was.
    """
    samples: dict[str, list[Sample]] = {side: [] for side in sides}
    for turn in range(1, turns + 1):
        for side, measure in sides.items():
            try:
                sample = await measure()
            except Exception as error:
                error.add_note(f"in turn {turn} of {side}")
                raise
            if sample.errors:
                raise UnexpectedAnswers(side, turn, sample)
            samples[side].append(sample)
    return {side: middle(own) for side, own in samples.items()}


def middle(samples: Sequence[Sample]) -> Sample:
    """The median of each number, and all that was late."""
    busy = [sample.load_busy for sample in samples if sample.load_busy is not None]
    return Sample(
        rate=statistics.median(sample.rate for sample in samples),
        p50_ms=statistics.median(sample.p50_ms for sample in samples),
        p99_ms=statistics.median(sample.p99_ms for sample in samples),
        late=sum(sample.late for sample in samples),
        load_busy=statistics.median(busy) if busy else None,
    )


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def sample_of(latencies: Sequence[float], seconds: float) -> Sample:
    """A sample from single latencies in seconds."""
    return Sample(
        rate=len(latencies) / seconds,
        p50_ms=percentile(latencies, 0.5) * 1000,
        p99_ms=percentile(latencies, 0.99) * 1000,
    )
