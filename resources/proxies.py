"""Which addresses are asked directly, whatever proxy the environment names."""

import ipaddress
import socket
from urllib.parse import urlsplit
from urllib.request import getproxies

from teams_dagster.role_settings import is_loopback

_HOST_OF_CONTAINERS = ("host.docker.internal", "host.containers.internal", "gateway.docker.internal")


def bypasses_proxies(url: str) -> bool:
    """Whether `url` is this machine's own, or of the one that runs this container: a proxy would take it for its own.

    A name is looked up where a proxy would see in plain text what is sent to it.
    """
    parts = urlsplit(url)
    host = (parts.hostname or "").removesuffix(".")
    if is_loopback(url) or host.endswith(".localhost") or host in _HOST_OF_CONTAINERS:
        return True
    if parts.scheme != "http" or not getproxies():
        return False
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)
