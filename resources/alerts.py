"""The connection to people: an alert is posted to a webhook, sent by mail, or both."""

import json
import smtplib
import ssl
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

import dagster as dg

from resources.proxies import bypasses_proxies
from teams_dagster.alert_settings import MAIL_SERVER, MAIL_TO, WEBHOOK, MailServer, mail_server
from teams_dagster.core.text import shorten, visible
from teams_dagster.settings import Settings, load_settings

SILENT_S = 5.0
"""Seconds that the other side may be silent, in connecting and at each answer. Where neither webhook nor mail server is
reached at all, three tries of both end within the minute that a tick is given."""

PAUSES_S = (1.0, 3.0)
"""Seconds before the second and the third try."""

LONGEST_TITLE = 200

LONGEST_TEXT = 3_000
"""Characters; webhooks refuse more than a few thousand."""

NOT_SET = f"nobody is to be told: set {WEBHOOK}, or {MAIL_TO} and {MAIL_SERVER}"


class AlertNotSent(Exception):
    """An alert that did not reach everybody. The message names the setting, never its value."""

    def __init__(self, message: str, reached: Collection[str], missed: Collection[str]) -> None:
        """Keep by which settings somebody was reached, then or before, and by which nobody."""
        super().__init__(message)
        self.reached, self.missed = frozenset(reached), frozenset(missed)


class _Refused(Exception):
    """A try that failed. `some`: the mail has reached one of its addresses at least."""

    def __init__(self, message: str, some: bool = False) -> None:
        super().__init__(message)
        self.some = some


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

    def send(self, alert: Alert, reached: Collection[str] = ()) -> None:
        """Tell everybody who is to be told, each in up to three tries.

        Args:
            alert: What to say.
            reached: Settings by which this alert was sent already, and is not sent again.

        Raises AlertNotSent for those not reached, once the others are.
        """
        by, missed, faults = set(reached), set[str](), list[str]()
        for setting, send in self._channels(alert):
            if setting in reached:
                continue
            fault = _tried(send)
            (missed if fault is not None and not fault.some else by).add(setting)
            if fault is not None:
                faults.append(f"{setting}: {fault}")
        if faults:
            raise AlertNotSent(f"{'; '.join(faults)}. It was to say: {alert.title}", by, missed)

    def _channels(self, alert: Alert) -> Iterator[tuple[str, Callable[[], None]]]:
        settings = self._settings()
        if (url := settings.alert_webhook_url) is not None:
            yield WEBHOOK, lambda: _post(url.get_secret_value(), alert)
        address = settings.alert_mail_server
        server = mail_server(address.get_secret_value() if address else None, settings.alert_mail_to)
        if server is not None:
            yield MAIL_SERVER, _Mail(server, settings.alert_mail_to or "", alert).send

    def _settings(self) -> Settings:
        return load_settings(Path(self.root))


def _tried(send: Callable[[], None]) -> _Refused | None:
    """None where `send` worked in one of three tries; otherwise why the last did not."""
    fault = None
    for pause in (0.0, *PAUSES_S):
        time.sleep(pause)
        try:
            send()
        except _Refused as refused:
            fault = refused
        else:
            return None
    return fault


def _post(url: str, alert: Alert) -> None:
    """Post `{"text": ..., "title": ..., "details": {...}}`: chat services show the field `text`."""
    import httpx2

    content = {"text": f"{alert.title}\n{alert.body}", "title": alert.title, "details": alert.details}
    try:
        with httpx2.Client(timeout=SILENT_S, trust_env=not bypasses_proxies(url)) as client:
            answer = client.post(url, content=json.dumps(content), headers={"Content-Type": "application/json"})
    except httpx2.HTTPError as error:
        raise _Refused(f"the webhook was not reached ({type(error).__name__})") from None
    if not answer.is_success:
        raise _Refused(f"the webhook answered {answer.status_code}") from None


class _Mail:
    """A mail, and the addresses that it has not reached yet."""

    def __init__(self, server: MailServer, to: str, alert: Alert) -> None:
        self._server, self._addresses = server, to.split(",")
        self._left = self._addresses
        self._message = EmailMessage()
        self._message["Subject"], self._message["From"], self._message["To"] = alert.title, self._addresses[0], to
        self._message.set_content(alert.body)

    def send(self) -> None:
        """One try for every address that is left."""
        try:
            with _connected(self._server) as connection:
                if self._server.user is not None:
                    connection.login(self._server.user, self._server.password or "")
                refused = connection.send_message(self._message, to_addrs=self._left)
        except smtplib.SMTPRecipientsRefused as error:
            raise self._refusal(error.recipients) from None
        except smtplib.SMTPResponseException as error:
            raise self._fault(f"the mail server answered {error.smtp_code} ({type(error).__name__})") from None
        except (smtplib.SMTPException, OSError) as error:
            raise self._fault(f"the mail server did not take it ({type(error).__name__})") from None
        self._left = [address for address in self._left if address in refused]
        if self._left:
            raise self._refusal(refused)

    def _refusal(self, refused: Mapping[str, tuple[int, bytes]]) -> _Refused:
        """Which addresses, by their place: an address is never repeated."""
        places = enumerate(self._addresses, start=1)
        named = [f"number {place} ({refused[address][0]})" for place, address in places if address in refused]
        return self._fault(f"it refused {len(named)} of {len(self._addresses)} of {MAIL_TO}: {', '.join(named)}")

    def _fault(self, message: str) -> _Refused:
        return _Refused(message, some=len(self._left) < len(self._addresses))


def _connected(server: MailServer) -> smtplib.SMTP:
    """A connection that is encrypted, unless it stays on this machine."""
    if server.encrypted:
        return smtplib.SMTP_SSL(server.host, server.port, timeout=SILENT_S, context=ssl.create_default_context())
    connection = smtplib.SMTP(server.host, server.port, timeout=SILENT_S)
    if not server.loopback:
        connection.starttls(context=ssl.create_default_context())
    return connection
