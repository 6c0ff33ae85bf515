"""One line for each event: a traceback is folded, and no text can pretend to be a line of its own."""

import logging


class OneLine(logging.Formatter):
    def format(self, record):
        return super().format(record).replace("\r", "\\r").replace("\n", "\\n")
