"""Which addresses are asked directly, whatever proxy the environment names."""

import ipaddress
import socket
from urllib.parse import urlsplit
from urllib.request import getproxies

from teams_dagster.role_settings import is_loopback


def bypasses_proxies(url: str) -> bool:
    """Whether `url` is this machine's own, which a proxy would take for its own machine.

    A name is looked up where a proxy would see in plain text what is sent to it.
    """
    if is_loopback(url):
        return True
    parts = urlsplit(url)
    if parts.scheme != "http" or not getproxies():
        return False
    try:
        found = socket.getaddrinfo(parts.hostname, None)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)
