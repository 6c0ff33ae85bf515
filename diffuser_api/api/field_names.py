"""Errors for a field that was sent under a wrong name: they give the wrong name and the right one."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from rest_framework import serializers

MOST_NAMES, MOST_LETTERS = 5, 50  # of what was sent, in an error


def unknown_names(sent: Iterable[str], known: Collection[str], meant: str) -> str:
    """A sentence about sent names that are no fields, for the required field ``meant``. Empty if there are
    none."""
    unknown = sorted({str(name) for name in sent} - set(known))[:MOST_NAMES]
    if not unknown:
        return ""
    names = ", ".join(f"`{name[:MOST_LETTERS]}`" for name in unknown)
    return f"{names} {'is no field' if len(unknown) == 1 else 'are no fields'} here; is `{meant}` meant?"


class NamingSerializer(serializers.Serializer):
    def to_internal_value(self, data):
        try:
            return super().to_internal_value(data)
        except serializers.ValidationError as error:
            for field, problems in error.detail.items():
                missing = isinstance(problems, list) and any(p.code == "required" for p in problems)
                if missing and (sentence := unknown_names(data, self.fields, field)):
                    problems.append(serializers.ErrorDetail(sentence, "unknown_names"))
            raise
