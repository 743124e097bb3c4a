"""The connection to people: an alert is posted to a webhook, sent by mail, or both."""

import json
import smtplib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

import dagster as dg

from teams_dagster.alert_settings import MAIL_SERVER, MAIL_TO, WEBHOOK, MailServer, mail_server
from teams_dagster.core.text import shorten, visible
from teams_dagster.role_settings import is_loopback
from teams_dagster.settings import Settings, load_settings

TIMEOUT_S = 10.0
"""Seconds that one sending may take."""

PAUSES_S = (1.0, 3.0)
"""Seconds before the second and the third try."""

LONGEST_TITLE = 200

LONGEST_TEXT = 3_000
"""Characters; webhooks refuse more than a few thousand."""

NOT_SET = f"nobody is to be told: set {WEBHOOK}, or {MAIL_TO} and {MAIL_SERVER}"


class AlertNotSent(Exception):
    """An alert that did not arrive. The message names the setting, never its value."""


@dataclass(frozen=True)
class Alert:
    """What somebody should know."""

    title: str
    """One line."""
    text: str
    """What happened and what to do."""
    details: dict[str, str] = field(default_factory=dict)
    """Ids and names to look it up by."""

    def __post_init__(self) -> None:
        """What is quoted of models or files controls nobody's screen, nor a mail's header."""
        object.__setattr__(self, "title", shorten(" ".join(visible(self.title).split()), LONGEST_TITLE))
        object.__setattr__(self, "text", shorten("\n".join(map(visible, self.text.splitlines())), LONGEST_TEXT))

    @property
    def body(self) -> str:
        """Text and details, for people."""
        return "\n".join([self.text, "", *(f"{name}: {value}" for name, value in self.details.items())]).strip()


class Alerts(dg.ConfigurableResource):
    """Sends alerts to where the settings say. Addresses stay in the environment and never reach Dagster's storage."""

    root: str

    @property
    def wanted(self) -> bool:
        """Whether anybody is to be told."""
        settings = self._settings()
        return settings.alert_webhook_url is not None or settings.alert_mail_to is not None

    def send(self, alert: Alert) -> None:
        """Tell everybody who is to be told, each in up to three tries. Raises AlertNotSent for those not reached."""
        settings, failed = self._settings(), []
        if (url := settings.alert_webhook_url) is not None:
            failed += _tried(WEBHOOK, lambda: _post(url.get_secret_value(), alert))
        address = settings.alert_mail_server
        server = mail_server(address.get_secret_value() if address else None, settings.alert_mail_to)
        if server is not None:
            failed += _tried(MAIL_SERVER, lambda: _mail(server, settings.alert_mail_to or "", alert))
        if failed:
            raise AlertNotSent(f"{'; '.join(failed)}. It was to say: {alert.title}")

    def _settings(self) -> Settings:
        return load_settings(Path(self.root))


def _tried(setting: str, send: Callable[[], None]) -> list[str]:
    """Nothing where `send` worked in one of three tries; otherwise which setting is at fault, and how."""
    for pause in (*PAUSES_S, None):
        try:
            send()
        except AlertNotSent as error:
            if pause is None:
                return [f"{setting}: {error}"]
            time.sleep(pause)
        else:
            return []
    return []


def _post(url: str, alert: Alert) -> None:
    """Post `{"text": ..., "title": ..., "details": {...}}`: chat services show the field `text`."""
    import httpx2

    content = {"text": f"{alert.title}\n{alert.body}", "title": alert.title, "details": alert.details}
    try:
        with httpx2.Client(timeout=TIMEOUT_S, trust_env=not is_loopback(url)) as client:
            answer = client.post(url, content=json.dumps(content), headers={"Content-Type": "application/json"})
    except httpx2.HTTPError as error:
        raise AlertNotSent(f"the webhook was not reached ({type(error).__name__})") from None
    if not answer.is_success:
        raise AlertNotSent(f"the webhook answered {answer.status_code}") from None


def _mail(server: MailServer, to: str, alert: Alert) -> None:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = alert.title, to.split(",")[0], to
    message.set_content(alert.body)
    try:
        with _connected(server) as connection:
            if server.user is not None:
                connection.login(server.user, server.password or "")
            connection.send_message(message)
    except smtplib.SMTPResponseException as error:
        raise AlertNotSent(f"the mail server answered {error.smtp_code} ({type(error).__name__})") from None
    except (smtplib.SMTPException, OSError) as error:
        raise AlertNotSent(f"the mail server did not take it ({type(error).__name__})") from None


def _connected(server: MailServer) -> smtplib.SMTP:
    """A connection that is encrypted, unless it stays on this machine."""
    if server.encrypted:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=TIMEOUT_S, context=ssl.create_default_context())
    connection = smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S)
    if not server.loopback:
        connection.starttls(context=ssl.create_default_context())
    return connection
