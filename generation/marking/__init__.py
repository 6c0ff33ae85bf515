"""Marks in a finished picture: for machines, for people, and in the pixels. Knows no Django and no torch."""
