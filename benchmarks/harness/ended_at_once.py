"""A template's stand-in that can't start."""

raise SystemExit(1)
