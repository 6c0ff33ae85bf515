"""Fields that several serializers have."""

from __future__ import annotations

from rest_framework import serializers

from diffuser_api import wording
from diffuser_api.api import digits


class OneOf(serializers.ChoiceField):
    """A choice. Its error lists the valid values, and doesn't repeat the sent one."""

    def __init__(self, choices, **options):
        super().__init__(choices, **options)
        self.error_messages["invalid_choice"] = f"Choose one of: {', '.join(self.choices)}."


class WholeNumber(serializers.IntegerField):
    """In JSON a number, or its digits as a text; in a form its digits."""

    def to_internal_value(self, data):
        if isinstance(data, str) and len(data) <= self.MAX_STRING_LENGTH and not digits.are_whole(data):
            self.fail("invalid")
        return super().to_internal_value(data)


class Measure(serializers.FloatField):
    """A number of JSON; no text of one."""

    def to_internal_value(self, data):
        if isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class OptionalText(serializers.CharField):
    def __init__(self, max_length: int, help_text: str, **options):
        options |= {"max_length": max_length, "help_text": help_text}
        super().__init__(required=False, allow_blank=True, default="", **options)


class FreeText(OptionalText):
    """Words of visitors. Those that can't be used are refused by ``wording``."""

    def __init__(self, max_length: int, help_text: str, *, painted: bool, **options):
        self.painted = painted
        super().__init__(max_length, help_text, **options)

    def run_validators(self, value):
        super().run_validators(value)  # before: a text that is too long isn't judged
        try:
            wording.check(value, painted=self.painted)
        except wording.WordsRefused as error:
            raise serializers.ValidationError(str(error), error.code) from error
