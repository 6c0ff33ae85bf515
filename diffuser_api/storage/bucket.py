"""The storage in a bucket of an S3 server. Only STORAGE_URL makes any process import this module.

django-storages does the work. Here are the answers to three questions that it leaves to its users: which name
a file gets, what an error means, and how long a server may be silent.
"""

from __future__ import annotations

import errno
import functools
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from django.conf import settings
from django.core.files import File
from django.utils.encoding import filepath_to_uri
from storages.backends.s3 import S3Storage

from diffuser_api.storage import Away

KEPT_IN_MEMORY = 8 * 2**20  # bytes of an opened file; a larger one is copied to the disk
# Seconds until a server that can't be reached, or is silent, counts as away; each call is tried TRIES times.
SECONDS_TO_CONNECT, SECONDS_OF_SILENCE, TRIES = 3, 10, 3
NO_ROOM = 507
SECONDS_OF_A_PRESIGNED_URL = 600  # the clocks of web server and S3 server may differ by minutes


@contextmanager
def _told(name: str = "") -> Iterator[None]:
    """An error as the rest of Cartolina knows it: FileNotFoundError, OSError for a full disk, or Away."""
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        code = error.response.get("Error", {}).get("Code", "")
        if code in ("404", "NoSuchKey"):
            raise FileNotFoundError(errno.ENOENT, "not in the bucket", name) from error
        if status == NO_ROOM:
            raise OSError(errno.ENOSPC, "the bucket's server has no room", name) from error
        raise Away(f"the S3 server answers {status} {code}") from error
    except (BotoCoreError, Boto3Error) as error:
        raise Away(f"the S3 server can't be used ({type(error).__name__})") from error


class Copy(File):
    """A stored file, copied as a whole when it is opened: so no answer breaks off in its middle."""

    def __init__(self, storage: Bucket, name: str) -> None:
        self._storage = storage
        super().__init__(storage.fetch(name), name)

    def open(self, mode=None):
        """Again, as a FieldFile does that was opened before."""
        if self.closed:
            self.file = self._storage.fetch(self.name)
        self.seek(0)
        return self


class Bucket(S3Storage):
    """Nobody but this service reads the bucket: there is no public URL of any file."""

    is_near = False
    file_overwrite = False
    security_token = session_profile = None  # of nobody's environment
    transfer_config = TransferConfig(use_threads=False)

    def __init__(self, **options) -> None:
        config = Config(
            s3={"addressing_style": "path"},
            signature_version="s3v4",
            connect_timeout=SECONDS_TO_CONNECT,
            read_timeout=SECONDS_OF_SILENCE,
            retries={"mode": "standard", "total_max_attempts": TRIES},
            # Not every server knows the newer checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        super().__init__(client_config=config, **options)
        self._process = os.getpid()

    @property
    def connection(self):
        """A connection of this thread's own. A process that is forked, as Celery's are, inherits none."""
        if self._process != os.getpid():
            self._process, self._connections = os.getpid(), threading.local()
        return super().connection

    @property
    def bucket(self):
        return self.connection.Bucket(self.bucket_name)

    @property
    def client(self):
        return self.connection.meta.client

    # --- Django's methods -----------------------------------------------------------------------------------

    def get_available_name(self, name, max_length=None):
        """A name that was never used: of two that asked whether a name is free, both would write there."""
        root, dot, suffix = name.rpartition(".")
        return super().get_available_name(self.get_alternative_name(root, dot + suffix), max_length)

    def exists(self, name):
        with _told(name):
            return super().exists(name)

    def delete(self, name):
        with _told(name):
            super().delete(name)

    def size(self, name):
        with _told(name):
            return super().size(name)

    def get_modified_time(self, name):
        with _told(name):
            return super().get_modified_time(name)

    def listdir(self, name):
        with _told(name):
            return super().listdir(name)

    def url(self, name, parameters=None, expire=None, http_method=None):
        """As on a disk: the web server answers there, or nobody does."""
        return urljoin(settings.MEDIA_URL, filepath_to_uri(name))

    def _save(self, name, content):
        with _told(name):
            return super()._save(name, content)

    def _open(self, name, mode="rb"):
        return Copy(self, name)

    # --- and ours -------------------------------------------------------------------------------------------

    def fetch(self, name: str) -> tempfile.SpooledTemporaryFile:
        """The file's content. Raises FileNotFoundError or Away."""
        content = tempfile.SpooledTemporaryFile(KEPT_IN_MEMORY, dir=settings.TMP_DATA_DIR)  # noqa: SIM115
        try:
            with _told(name):
                self.client.download_fileobj(self.bucket_name, name, content, Config=self.transfer_config)
        except BaseException:
            content.close()
            raise
        content.seek(0)
        return content

    def presigned_url(self, name: str, method: str, content_type: str) -> str:
        """Where everybody may fetch the file for a few minutes. It is made without asking the server.
        ``method``: GET or HEAD."""
        answer = {"ResponseContentType": content_type, "ResponseCacheControl": "private, no-store"}
        return self._outside.generate_presigned_url(
            f"{method.lower()}_object",
            Params={"Bucket": self.bucket_name, "Key": name, **answer},
            ExpiresIn=SECONDS_OF_A_PRESIGNED_URL,
        )

    @functools.cached_property
    def _outside(self):
        """The server at its address for browsers. It only signs, and threads may share it."""
        session = self._create_session()
        options = {"region_name": self.region_name, "config": self.client_config}
        return session.client("s3", endpoint_url=settings.OUTPUT_SERVER, **options)

    def pages(self, folder: str) -> Iterator[dict[str, timedelta]]:
        with _told():
            asked = self.client.get_paginator("list_objects_v2")
            for page in asked.paginate(Bucket=self.bucket_name, Prefix=f"{folder}/"):
                now = parsedate_to_datetime(page["ResponseMetadata"]["HTTPHeaders"]["date"])
                yield {entry["Key"]: now - entry["LastModified"] for entry in page.get("Contents", ())}

    def stamp(self, name: str) -> int:
        """No name is used twice."""
        return 0

    def put(self, name: str, content: bytes) -> None:
        try:
            with _told(name):
                self.client.put_object(Bucket=self.bucket_name, Key=name, Body=content, IfNoneMatch="*")
        except Away as error:
            cause = error.__cause__
            if not isinstance(cause, ClientError) or cause.response["Error"]["Code"] != "PreconditionFailed":
                raise

    def keeps_versions(self) -> bool:
        """Whether a deleted file stays in the bucket as an older version. False if the server doesn't say."""
        try:
            with _told():
                return self.client.get_bucket_versioning(Bucket=self.bucket_name).get("Status") == "Enabled"
        except Away:
            return False

    def problem(self) -> str:
        try:
            with _told():
                self.client.head_bucket(Bucket=self.bucket_name)
        except FileNotFoundError:
            return "there is no such bucket"
        except Away as error:
            return str(error)
        return ""
