"""Thin: a request is validated, ``jobs``, ``photos`` or ``catalogue`` is called, the answer is written."""
