"""Requests with files have threads of their own, so that no other page waits while photos are checked.

IP addresses take turns for these threads, and none may occupy all of them. So a sender of many photos waits
only for the sender's own photos, and delays nobody else.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict, deque

from waitress.task import ThreadedTaskDispatcher
from waitress.utilities import Error

from diffuser_api.access import addresses
from diffuser_api.access.internal import is_internal
from diffuser_api.access.size_limits import carries_files

MOST_WAITING = 40  # so many requests with files from one IP address may wait
SECONDS_TO_RETRY = 5


class TooManyWaiting(Error):
    code, reason = 429, "Too Many Requests"

    def to_response(self, ident=None):
        detail = f"Many of your files are being looked at; try again in {SECONDS_TO_RETRY} s."
        headers = [("Content-Type", "application/json"), ("Retry-After", str(SECONDS_TO_RETRY))]
        return f"{self.code} {self.reason}", headers, json.dumps({"detail": detail}).encode()


class Turns:
    """A queue of tasks in which senders take turns. ``most``: how many tasks of one sender may run at a
    time."""

    def __init__(self, most: int) -> None:
        self.most, self.under_way = most, Counter()
        self.waiting: OrderedDict[str, deque] = OrderedDict()

    def append(self, turn: Turn) -> None:
        self.waiting.setdefault(turn.sender, deque()).append(turn)

    def _next_sender(self) -> str | None:
        return next((sender for sender in self.waiting if self.under_way[sender] < self.most), None)

    def __bool__(self) -> bool:
        """Whether a task may begin now."""
        return self._next_sender() is not None

    def __len__(self) -> int:
        return sum(map(len, self.waiting.values()))

    def popleft(self) -> Turn:
        """The next task that may begin. If none may begin (when the server shuts down), any task."""
        sender = self._next_sender() or next(iter(self.waiting))
        turns = self.waiting.pop(sender)
        turn = turns.popleft()
        if turns:
            self.waiting[sender] = turns  # at the end, behind the other senders
        self.under_way[sender] += 1
        return turn

    def end(self, sender: str) -> None:
        self.under_way[sender] -= 1
        if not self.under_way[sender]:
            del self.under_way[sender]


class Turn:
    """A request with files, in the form of Waitress's tasks."""

    def __init__(self, task, sender: str, lane: FileLane) -> None:
        self.task, self.sender, self.lane = task, sender, lane

    def service(self) -> None:
        try:
            self.task.service()
        finally:
            self.lane.end(self.sender)

    def cancel(self) -> None:
        self.task.cancel()


class FileLane(ThreadedTaskDispatcher):
    def __init__(self, threads: int) -> None:
        super().__init__()
        self.queue = Turns(most=max(1, threads - 1))
        self.set_thread_count(threads)

    def take(self, channel) -> bool:
        """Queue the channel's request. False if too many requests of the same sender are waiting."""
        forwarded = channel.requests[0].headers.get("X_FORWARDED_FOR", "")
        sender = addresses.find(channel.addr[0], forwarded)
        with self.lock:
            if len(self.queue.waiting.get(sender, ())) >= MOST_WAITING:
                return False
        self.add_task(Turn(channel, sender, self))
        return True

    def end(self, sender: str) -> None:
        with self.lock:
            self.queue.end(sender)


def has_files(request) -> bool:
    """Whether a request goes into this lane. The delivery of a training doesn't: it must not wait for
    strangers."""
    return carries_files(request.headers.get("CONTENT_TYPE", "")) and not is_internal(request.path_info)
