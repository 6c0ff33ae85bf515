"""How well free text finds its action, how unlike the rest is, and what it costs.

    python -m benchmarks.action_picker

Prints every text with the action it found, the error rates around MIN_SCORE, and load time, time per
sentence and memory. Texts and actions are fixed, so two runs differ only in their times.
"""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

from benchmarks.harness.italian_wishes import (
    IN_ITALIAN,
    ITALIAN_MEANT,
    ITALIAN_UNRELATED,
    NEW_ITALIAN_MEANT,
    NEW_ITALIAN_UNRELATED,
)

ACTIONS = [
    ("standing", "standing with arms down"),
    ("waving", "waving with one hand raised"),
    ("jumping", "jumping in the air with arms raised"),
    ("running", "running with bent arms"),
    ("walking", "walking forward"),
    ("sitting", "sitting cross-legged on the ground"),
    ("kneeling", "kneeling on the ground"),
    ("pointing", "pointing to the side with one arm"),
    ("hands on hips", "standing with hands on hips"),
    ("arms wide", "standing with arms spread wide"),
    ("dancing", "dancing on one leg"),
    ("thinking", "thinking with a hand on the chin"),
    ("stretching", "stretching both arms overhead"),
    ("flexing", "flexing the muscles of both arms"),
    ("saluting", "saluting with a hand at the head"),
    ("hands folded", "standing with hands folded"),
]

# What visitors may write, and the action they mean.
MEANT = [
    ("he leaps for joy", "jumping"),
    ("I jump as high as I can", "jumping"),
    ("hopping up into the air", "jumping"),
    ("she waves hello at the camera", "waving"),
    ("greeting my friends with my hand", "waving"),
    ("saying goodbye with a hand", "waving"),
    ("I am running a race", "running"),
    ("sprinting to catch a bus", "running"),
    ("jogging", "running"),
    ("taking a stroll", "walking"),
    ("a man walks slowly", "walking"),
    ("hiking along the path", "walking"),
    ("sitting down to rest", "sitting"),
    ("meditating on the floor with crossed legs", "sitting"),
    ("I'd like to be seated", "sitting"),
    ("on my knees", "kneeling"),
    ("he kneels down to propose", "kneeling"),
    ("showing the way with my finger", "pointing"),
    ("she points at something over there", "pointing"),
    ("my hands are resting on my waist", "hands on hips"),
    ("hands on the hips like a superhero", "hands on hips"),
    ("opening my arms for a hug", "arms wide"),
    ("arms stretched out to the sides", "arms wide"),
    ("dancing the night away", "dancing"),
    ("a ballerina doing a pirouette", "dancing"),
    ("I dance happily", "dancing"),
    ("deep in thought", "thinking"),
    ("wondering about life, hand to my face", "thinking"),
    ("doing a morning stretch with arms above my head", "stretching"),
    ("reaching up to the sky", "stretching"),
    ("showing off my biceps", "flexing"),
    ("a bodybuilder shows his strength", "flexing"),
    ("a soldier salutes the flag", "saluting"),
    ("military salute", "saluting"),
    ("with folded hands", "hands folded"),
    ("just standing there", "standing"),
    ("a woman stands still with her arms at her sides", "standing"),
    ("standing upright, doing nothing", "standing"),
]

# What says nothing of what the subject does.
UNRELATED = [
    "quarterly tax report",
    "the price of apples has risen",
    "a database index on two columns",
    "blue",
    "pizza with mushrooms and cheese",
    "what is the capital of France",
    "please refund my order",
    "the weather will be sunny tomorrow",
    "asdf qwer zxcv",
    "12345",
    "machine learning model",
    "my dog is brown",
    "a red car on the motorway",
    "the history of the Roman Empire",
    "lorem ipsum dolor sit amet",
    "wifi password",
    "I love chocolate cake",
    "chapter three of the contract",
    "http://example.com/index.html",
    "SELECT * FROM users",
    "buy cheap watches online",
    "the cathedral was built in 1386",
    "a cup of coffee",
    "😀😀😀",
    "how much is the ticket",
    "invoice number 48812",
]

# Written after MIN_SCORE was chosen, and never used for choosing it: how it does on what it hasn't seen.
NEW_MEANT = [
    ("greets the crowd", "waving"),
    ("leaping over a puddle", "jumping"),
    ("a girl who skips and hops", "jumping"),
    ("he runs fast", "running"),
    ("in a hurry to the train", "running"),
    ("wandering around the old town", "walking"),
    ("resting on the grass, legs folded", "sitting"),
    ("kneel before the queen", "kneeling"),
    ("look over there, that way", "pointing"),
    ("confident pose with hands on waist", "hands on hips"),
    ("welcoming everyone with open arms", "arms wide"),
    ("tango", "dancing"),
    ("moving to the music", "dancing"),
    ("pondering a hard question", "thinking"),
    ("yawning and stretching", "stretching"),
    ("strong man pose", "flexing"),
    ("show the muscles", "flexing"),
    ("saluting like a sailor", "saluting"),
    ("praying with hands together", "hands folded"),
    ("calm and still", "standing"),
    ("say hi", "waving"),
    ("jump", "jumping"),
    ("posing for the photo", "standing"),
    ("sits", "sitting"),
    ("strolling by the sea", "walking"),
]
NEW_UNRELATED = [
    "the moon landing",
    "two kilos of potatoes",
    "yes",
    "no thanks",
    "green tea",
    "parking is forbidden here",
    "my phone number",
    "terms and conditions",
    "the train leaves at nine",
    "beautiful",
    "lasagna recipe",
    "python programming",
    "red",
    "hello world",
    "gold price today",
    "how old is this building",
    "cats",
    "weekend offer",
    "qwerty",
    "a wooden table",
]


@dataclass(frozen=True)
class Result:
    text: str
    meant: str | None  # None: no action at all
    found: str
    score: float


def measure(
    meant: list[tuple[str, str]], unrelated: list[str], language: str = "en"
) -> tuple[list[Result], list[Result]]:
    """What each text finds: those with a meaning, those without."""
    from generation.action_picker import pick

    def best(text: str, name: str | None) -> Result:
        match = pick(text, ACTIONS, language, IN_ITALIAN if language == "it" else None)[0]
        return Result(text, name, match.name, match.score)

    return [best(text, name) for text, name in meant], [best(text, None) for text in unrelated]


def print_table(title: str, meant: list[Result], unrelated: list[Result]) -> None:
    from generation.action_picker import MIN_SCORE

    print(f"--- {title}")
    for result in sorted(meant, key=lambda result: -result.score):
        wrong = "" if result.found == result.meant else f"   (meant: {result.meant})"
        print(f"{result.score:5.2f}  {result.text:52} {result.found}{wrong}")
    print("  ...  texts that mean no action")
    for result in sorted(unrelated, key=lambda result: -result.score):
        print(f"{result.score:5.2f}  {result.text:52} {result.found}")
    print(f"right action: {sum(result.found == result.meant for result in meant)} of {len(meant)}")
    print("limit  meant but refused  unrelated but taken")
    for limit in (0.20, 0.25, 0.28, 0.30, 0.32, 0.35, 0.40):
        refused = sum(result.score < limit for result in meant)
        taken = sum(result.score >= limit for result in unrelated)
        chosen = "   <- MIN_SCORE" if limit == MIN_SCORE else ""
        print(f"{limit:.2f}   {refused:2} of {len(meant)}            {taken:2} of {len(unrelated)}{chosen}")
    print()


def timed(title: str, language: str, *texts: tuple[list[tuple[str, str]], list[str]]) -> None:
    """The tables of one language: of texts that MIN_SCORE was chosen on, and of new ones."""
    from generation.action_picker import pick

    start = time.perf_counter()
    pick("load", [("load", "load")], language)
    load = time.perf_counter() - start
    pick("embeds the actions", ACTIONS, language, IN_ITALIAN if language == "it" else None)
    start = time.perf_counter()
    measured = [measure(*some, language) for some in texts]
    seconds = time.perf_counter() - start
    per_text = seconds / sum(len(meant) + len(unrelated) for meant, unrelated in texts)
    for kind, found in zip(("texts that MIN_SCORE was chosen on", "new texts"), measured, strict=True):
        print_table(f"{title}: {kind}", *found)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{title}: load {load:.2f} s, {1000 * per_text:.1f} ms a text, peak memory {peak:.0f} MB\n")


def main() -> None:
    timed("English", "en", (MEANT, UNRELATED), (NEW_MEANT, NEW_UNRELATED))
    italian = (ITALIAN_MEANT, ITALIAN_UNRELATED), (NEW_ITALIAN_MEANT, NEW_ITALIAN_UNRELATED)
    timed("Italian", "it", *italian)


if __name__ == "__main__":
    main()
