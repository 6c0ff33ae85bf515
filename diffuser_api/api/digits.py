"""Numbers that strangers write: the digits 0 to 9 alone. Python's ``int`` also takes "1_0", spaces around a
number, a plus sign, and the digits of other scripts."""

from __future__ import annotations

import re

from django.core.paginator import PageNotAnInteger, Paginator

_WHOLE = re.compile("-?[0-9]+")


def are_whole(text: str) -> bool:
    """Whether the text is a whole number."""
    return bool(_WHOLE.fullmatch(text))


class Pages(Paginator):
    """The pages of a list; a request names one by its number."""

    def validate_number(self, number):
        if isinstance(number, str) and not are_whole(number):
            raise PageNotAnInteger(number)
        return super().validate_number(number)
