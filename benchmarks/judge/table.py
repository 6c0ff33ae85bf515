"""A row of the quality table: a mean with its interval, a control and a goal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

HEADER = f"{'measure':<42}{'mean':>8}{'95 %':>14}{'n':>10}{'control':>9}{'1st':>7}   goal"


@dataclass(frozen=True)
class Row:
    """One measure over all requests. ``least``: the goal is a least value, else a most. None: no goal.

    ``control`` is the same measure of something that must do worse. ``first`` is it by the first reader.
    """

    name: str
    values: list[float]
    goal: float | None = None
    control: list[float] | None = None
    unit: str = ""
    least: bool = True
    control_most: float | None = None
    first: list[float] | None = None

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))

    @property
    def met(self) -> bool:
        if self.goal is None:
            return True
        good = self.mean >= self.goal if self.least else self.mean <= self.goal
        if self.control_most is not None and self.control:
            good = good and float(np.mean(self.control)) <= self.control_most
        return good

    def interval(self) -> tuple[float, float]:
        """95 % of the means of 2,000 resamples."""
        values, rng = np.asarray(self.values, float), np.random.default_rng(0)
        means = values[rng.integers(len(values), size=(2000, len(values)))].mean(1)
        return tuple(np.percentile(means, (2.5, 97.5)))

    def line(self) -> str:
        low, high = self.interval()
        control, first = (f"{np.mean(v):.2f}" if v else "-" for v in (self.control, self.first))
        value = f"{self.mean:>8.2f} {self.unit:<3}[{low:6.2f},{high:7.2f}]"
        line = f"{self.name:<42}{value}{len(self.values):>6}{control:>9}{first:>7}"
        if self.goal is None:
            return line
        goal, verdict = f"{'>=' if self.least else '<='} {self.goal:g}", "met" if self.met else "NOT MET"
        return f"{line}   {goal:<10}{verdict}"


def shares(found: list[bool]) -> list[float]:
    """1.0 and 0.0, of which a row's mean is a share."""
    return [float(one) for one in found]
