"""How well free text finds its action, how unlike the rest is, and what it costs.

    python -m benchmarks.action_picker

Prints every text with the action it found, the error rates around MIN_SCORE, and load time, time per
sentence and memory. Texts and actions are fixed, so two runs differ only in their times.
"""

from __future__ import annotations

import resource
import time

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


def measure() -> tuple[list[tuple[str, str, str, float]], list[tuple[str, str, float]]]:
    """(text, meant, found, score) of each meant text; (text, found, score) of each unrelated one."""
    from generation.action_picker import pick

    meant = [(text, name, *_best(pick(text, ACTIONS))) for text, name in MEANT]
    unrelated = [(text, *_best(pick(text, ACTIONS))) for text in UNRELATED]
    return meant, unrelated


def _best(matches) -> tuple[str, float]:
    return matches[0].name, matches[0].score


def main() -> None:
    start = time.perf_counter()
    from generation.action_picker import MIN_SCORE, pick

    pick("load", [("load", "load")])
    load = time.perf_counter() - start
    pick("embeds the actions", ACTIONS)

    start = time.perf_counter()
    meant, unrelated = measure()
    per_text = (time.perf_counter() - start) / (len(meant) + len(unrelated))

    for text, name, found, score in sorted(meant, key=lambda row: -row[3]):
        print(f"{score:5.2f}  {text:52} {found}" + ("" if found == name else f"   (meant: {name})"))
    print()
    for text, found, score in sorted(unrelated, key=lambda row: -row[2]):
        print(f"{score:5.2f}  {text:52} {found}")

    print(f"\nright action: {sum(name == found for _, name, found, _ in meant)} of {len(meant)}")
    print("limit  meant but refused  unrelated but taken")
    for limit in (0.20, 0.25, 0.28, 0.30, 0.32, 0.35, 0.40):
        refused = sum(score < limit for *_, score in meant)
        taken = sum(score >= limit for *_, score in unrelated)
        chosen = "   <- MIN_SCORE" if limit == MIN_SCORE else ""
        print(f"{limit:.2f}   {refused:2} of {len(meant)}            {taken:2} of {len(unrelated)}{chosen}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\nimport and load {load:.2f} s, {1000 * per_text:.1f} ms a text, peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
