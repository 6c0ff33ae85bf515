"""One line for each event: a traceback is folded, and no text can pretend to be a line of its own."""

import logging
import re

# In strangers' texts: line ends of every kind, codes that a terminal obeys, marks that turn text around.
CONTROL = re.compile("[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class OneLine(logging.Formatter):
    def format(self, record):
        line = super().format(record)
        return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), line)
