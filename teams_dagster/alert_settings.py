"""Where alerts are sent: an address that takes JSON, and mail. Both can hold a secret, which no message repeats."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from teams_dagster.env_file import SettingsError
from teams_dagster.role_settings import is_loopback

WEBHOOK, MAIL_TO, MAIL_SERVER = "TEAMS_ALERT_WEBHOOK_URL", "TEAMS_ALERT_MAIL_TO", "TEAMS_ALERT_MAIL_SERVER"

_PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, repr=False)
class MailServer:
    """An SMTP server, and who asks it."""

    host: str
    port: int
    encrypted: bool
    """From the first byte (smtps); otherwise STARTTLS is asked for, except of this machine."""
    loopback: bool
    user: str | None
    password: str | None


def check_webhook(url: str, allow_http: bool) -> None:
    """Raises SettingsError for what is no URL, or would send plain http away from this machine."""
    parts = _parts(url)
    if parts is None or parts[0] not in ("http", "https"):
        raise SettingsError(f"{WEBHOOK} must be an https URL, and what it is set to is none")
    if parts[0] == "http" and not is_loopback(url) and not allow_http:
        raise SettingsError(f"{WEBHOOK} would send plain http to {parts[1]}: use https, or set TEAMS_ALLOW_HTTP=1")


def mail_server(address: str | None, to: str | None) -> MailServer | None:
    """The server that sends alerts to `to`; None where no mail is wanted. Raises SettingsError."""
    if address is None and to is None:
        return None
    if address is None or to is None:
        raise SettingsError(
            f"{MAIL_TO if to is None else MAIL_SERVER} is not set: mail needs {MAIL_TO} and {MAIL_SERVER}"
        )
    if not all("@" in address for address in to.split(",")) or any(mark.isspace() for mark in to):
        raise SettingsError(f"{MAIL_TO} must be one mail address, or several separated by commas, not {to!r}")
    parts = _parts(address)
    if parts is None or parts[0] not in _PORTS:
        raise SettingsError(
            f"{MAIL_SERVER} must look like smtps://user:password@mail.example.org or smtp://localhost:25, and what it"
            " is set to does not"
        )
    scheme, host, port, user, password = parts
    return MailServer(
        host=host,
        port=port or _PORTS[scheme],
        encrypted=scheme == "smtps",
        loopback=is_loopback(f"http://{host if ':' not in host else f'[{host}]'}"),
        user=user,
        password=password,
    )


def _parts(url: str) -> tuple[str, str, int | None, str | None, str | None] | None:
    """Scheme, host, port, user and password; None for what is no URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if not parts.hostname:
        return None
    user, password = (unquote(value) if value else None for value in (parts.username, parts.password))
    return parts.scheme, parts.hostname, port, user, password
