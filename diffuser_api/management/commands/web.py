"""``manage.py web``: the web server, until SIGTERM or SIGINT."""

import signal
import tempfile

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.core.servers.basehttp import get_internal_wsgi_application

from diffuser_api.front.server import Server
from diffuser_api.operations import ending
from diffuser_api.photos import gate

CHANGES_AT_ONCE = 2  # SQLite makes one at a time; meanwhile, the next request is prepared
SECONDS_TO_END = 8.0  # after a signal; Docker kills a process 10 s after it


class Command(BaseCommand):
    help = "Answer requests until SIGTERM or SIGINT."

    def add_arguments(self, parser):
        parser.add_argument("--bind", default="127.0.0.1:8000", help="address and port to listen on")
        parser.add_argument(
            "--threads", type=int, default=4, help="requests that only read and are answered at a time"
        )

    def handle(self, *args, bind, threads, **options):
        tempfile.tempdir = str(settings.TMP_DATA_DIR)  # for requests that are too large for the memory
        try:
            # Two photos are looked at for each processor, or a training's request waits for its picture.
            file_threads = gate.MOST_AT_ONCE + settings.WAITING_REQUESTS
            server = Server(
                get_internal_wsgi_application(),  # of djangoproject/wsgi.py
                bind,
                threads,
                change_threads=CHANGES_AT_ONCE + settings.WAITING_REQUESTS,
                file_threads=file_threads,
                script_name=settings.SCRIPT_NAME or "",
            )
        except OSError as error:
            raise CommandError(f"can't listen on {bind}: {error.strerror}") from error

        def stop(*signal):
            server.stop()
            ending.end_within(SECONDS_TO_END)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        self.stderr.write(f"listening on {bind}")
        server.run()
