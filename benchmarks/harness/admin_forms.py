"""What an editor's browser sends with a place or an action, and the files that come of it."""

from __future__ import annotations

CHANGE = {"TOTAL_FORMS": "3", "INITIAL_FORMS": "0", "MIN_NUM_FORMS": "0", "MAX_NUM_FORMS": "3"}


def management(**numbers) -> dict:
    return {f"images-{key}": value for key, value in (CHANGE | numbers).items()}


def stored(folder) -> set[str]:
    """The files in the storage's folders; those of its root are databases."""
    return {str(path.relative_to(folder)) for path in folder.glob("*/**/*") if path.is_file()}
