"""A server that speaks S3, and an empty bucket of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import fsspec
from fsspec import AbstractFileSystem
from moto.server import ThreadedMotoServer

URL = "s3://bucket/project"


@contextmanager
def serving() -> Iterator[str]:
    """The address of a server of this process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def credentials(address: str) -> dict[str, str]:
    """The variables by which S3's clients find the server at `address`."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
    }


def empty_bucket(address: str) -> AbstractFileSystem:
    """The file system of an empty bucket at `address`."""
    own = credentials(address)
    system: AbstractFileSystem = fsspec.filesystem(
        "s3",
        endpoint_url=address,
        key=own["AWS_ACCESS_KEY_ID"],
        secret=own["AWS_SECRET_ACCESS_KEY"],
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    if system.exists("bucket"):
        system.rm("bucket", recursive=True)
    system.mkdir("bucket")
    return system
