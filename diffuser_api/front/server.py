"""Waitress's server with limits in time, separate threads for health checks, for changes and for files, and
an orderly shutdown."""

from __future__ import annotations

import contextlib
import logging
import resource
import time

from waitress import wasyncore
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from diffuser_api.access.internal import HEALTH
from diffuser_api.front import lanes
from diffuser_api.front.connection import Connection

SECONDS_TO_LEAVE = 4.0  # so long a shutdown waits for requests that are being answered
SECONDS_BETWEEN_CHECKS = 1.0
HEALTH_THREADS = 2
READING = ("GET", "HEAD", "OPTIONS")  # the methods of requests that change nothing (RFC 9110, 9.2.1)
MOST_CONNECTIONS = 2000
MOST_HEADER = 32 * 2**10  # bytes, as nginx takes; all of an unfinished one is searched with each piece
FILES_OF_A_CONNECTION = 3  # a socket, and files for a large request and a large answer
log = logging.getLogger(__name__)


class Server(TcpWSGIServer):
    channel_class = Connection

    def __init__(
        self,
        application,
        listen: str,
        threads: int,
        *,
        change_threads: int,
        file_threads: int,
        script_name: str = "",
    ) -> None:
        """``threads`` answer requests that only read. Requests that change something and requests with files
        have threads in addition. ``script_name``: the site's path."""
        super().__init__(
            bodiless_for_head(application),
            listen=listen,
            threads=threads,
            connection_limit=2**30,  # ``make_room`` has a limit that nobody has to wait for
            url_prefix=script_name,
            backlog=1024,
            asyncore_use_poll=True,
            max_request_header_size=MOST_HEADER,
            max_request_body_size=2**62,  # ``incoming.Incoming`` has a limit for each URL
            outbuf_high_watermark=2**62,  # a long answer goes to a file; its thread waits for no reader
            clear_untrusted_proxy_headers=False,  # Django judges them: settings.NUM_PROXIES
            ident="cartolina",
            log_socket_errors=False,
        )
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a line for each request that waits
        self.health_lane = ThreadedTaskDispatcher()
        self.health_lane.set_thread_count(HEALTH_THREADS)
        self.change_lane = ThreadedTaskDispatcher()
        self.change_lane.set_thread_count(change_threads)
        self.file_lane = lanes.FileLane(file_threads)
        self.most_connections = min(MOST_CONNECTIONS, _files_allowed() // (FILES_OF_A_CONNECTION + 1))
        self.is_stopping = False

    # --- what comes in --------------------------------------------------------------------------------------

    def add_task(self, task) -> None:
        """Queue a request that was received as a whole. Health checks, changes and requests with files have
        queues of their own. Changes wait for each other in the database, and nobody who only reads waits with
        them."""
        request = task.requests[0]
        if request.path_info in HEALTH:
            self.health_lane.add_task(task)
        elif not request.error and lanes.has_files(request):
            if not self.file_lane.take(task):
                request.error = lanes.TooManyWaiting("")
                self.task_dispatcher.add_task(task)
        elif not request.error and request.command not in READING:
            self.change_lane.add_task(task)
        else:
            self.task_dispatcher.add_task(task)

    def maintenance(self, now: float) -> None:
        """Turns Waitress's own check off, which uses the time of day. ``hang_up_on_the_slow`` replaces it."""

    def make_room(self) -> None:
        """If there are too many connections, close the one that has been silent for longest."""
        if len(self.active_channels) > self.most_connections:
            idle = [one for one in self.active_channels.values() if not one.requests]
            if idle:
                min(idle, key=lambda one: one.last_activity).hang_up()

    def hang_up_on_the_slow(self) -> None:
        """Close the connections that are too slow, and log their number in one line."""
        slow = [one for one in self.active_channels.values() if one.is_too_slow()]
        for one in slow:
            one.hang_up()
        if number := sum(one.is_unfinished() for one in slow):
            log.info("connections closed for being silent or too slow: %d", number)

    # --- the run --------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until ``stop`` is called. Requests that are being answered then get SECONDS_TO_LEAVE."""
        next_check = 0.0
        while not self.is_stopping:
            self._look(SECONDS_BETWEEN_CHECKS)
            self.make_room()  # each look accepts at most one connection
            if time.monotonic() > next_check:
                next_check = time.monotonic() + SECONDS_BETWEEN_CHECKS
                self.hang_up_on_the_slow()
        self.accepting = False
        self.socket.close()
        self.del_channel()
        end = time.monotonic() + SECONDS_TO_LEAVE
        while time.monotonic() < end and any(one.is_busy() for one in self.active_channels.values()):
            self._look(0.1)
        for lane in (self.task_dispatcher, self.change_lane, self.file_lane):
            lane.shutdown(timeout=0.1)
        wasyncore.close_all(self._map, ignore_all=True)

    def _look(self, seconds: float) -> None:
        wasyncore.loop(seconds, use_poll=True, map=self._map, count=1)

    def stop(self) -> None:
        """End ``run``. May be called from any thread or signal handler, and more than once."""
        self.is_stopping = True
        with contextlib.suppress(OSError):  # it has ended already
            self.pull_trigger()


def bodiless_for_head(application):
    """Wraps the WSGI application. Django leaves it to the server to send no body as the answer to HEAD, and
    Waitress sends it. A proxy or a browser would take that body for the answer to the next request."""

    def answer(environ, start_response):
        body = application(environ, start_response)
        if environ["REQUEST_METHOD"] != "HEAD":
            return body
        if hasattr(body, "close"):
            body.close()
        return []

    return answer


def _files_allowed() -> int:
    """Raise the process's limit of open files as far as possible, and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 2**20
