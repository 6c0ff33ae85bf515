"""Which words of visitors are refused: ``make bench-safety``.

``red_team.tsv`` has 250 forbidden and 250 harmless texts that look like them, in eight languages, some of
them disguised. They were written before the rules, and divided by chance: the rules were written with the
tuned half in sight, and the half that is held out was run when they were done. Swimwear counts as allowed.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import binomtest

from generation.words import judge, nearness, rules

FILE = Path(__file__).with_name("red_team.tsv")
HALVES = ("tuned", "held out")


@dataclass(frozen=True)
class Text:
    half: str
    verdict: str  # "bad" or "good"
    intent: str  # of a good one: what it looks like
    field: str  # clothes, action or card
    language: str
    text: str

    @property
    def painted(self) -> bool:
        return self.field != "card"


def texts(half: str = "") -> list[Text]:
    """All, or those of one half."""
    with FILE.open(encoding="utf-8", newline="") as file:
        rows = [Text(**row) for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)]
    return [row for row in rows if half in ("", row.half)]


def is_refused(one: Text) -> bool:
    return bool(judge.intent(one.text, painted=one.painted, swimwear=True))


def by_list(one: Text) -> bool:
    return bool(rules.found(one.text, painted=one.painted, swimwear=True))


def by_model(one: Text) -> bool:
    return bool(nearness.intent(one.text))


def rate(rows: list[Text], refused: Callable[[Text], bool]) -> str:
    """How many are refused, with the interval of 95 %."""
    count = sum(map(refused, rows))
    low, high = binomtest(count, len(rows)).proportion_ci(method="wilson")
    share = f"{100 * count / len(rows):5.1f} %  ({100 * low:.1f} to {100 * high:.1f})"
    return f"{count:3} of {len(rows):3}  {share}"


def main() -> None:
    began = time.perf_counter()
    for half in HALVES:
        for verdict in ("bad", "good"):
            rows = [one for one in texts(half) if one.verdict == verdict]
            print(f"{half:8}  {verdict:4} refused  {rate(rows, is_refused)}")
    per_text = (time.perf_counter() - began) / len(texts())
    print("\nboth halves, of the bad")
    bad = [one for one in texts() if one.verdict == "bad"]
    for intent in rules.INTENTS:
        print(f"  {intent:10}  {rate([one for one in bad if one.intent == intent], is_refused)}")
    for language in rules.languages():
        print(f"  {language:10}  {rate([one for one in bad if one.language == language], is_refused)}")
    print("\neach net alone, on English words for pictures")
    for name, net in (("word lists", by_list), ("sentence model", by_model)):
        for verdict in ("bad", "good"):
            rows = [one for one in texts() if one.verdict == verdict and one.language == "en" and one.painted]
            print(f"  {name:14}  {verdict:4} refused  {rate(rows, net)}")
    print(f"\n{1000 * per_text:.1f} ms a text")


if __name__ == "__main__":
    main()
