"""An alert arrives where the settings say, or says which setting is at fault."""

from __future__ import annotations

from email import message_from_string
from email.policy import default

import pytest

from resources import alerts
from resources.alerts import Alert, AlertNotSent, Alerts
from teams_dagster.settings import SettingsError
from tests.support.commands import ROOT
from tests.support.webhook import MailBox, Webhook

SAID = Alert("Run of regenerate failed", "the budget is used up: raise TEAMS_BUDGET_USD", {"run": "0123"})


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "PAUSES_S", (0.0, 0.0))


def sender() -> Alerts:
    return Alerts(root=str(ROOT))


def test_a_webhook_gets_what_a_chat_shows_and_what_a_program_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    with Webhook() as webhook:
        monkeypatch.setenv("TEAMS_ALERT_WEBHOOK_URL", webhook.url)
        sender().send(SAID)
    text = "Run of regenerate failed\nthe budget is used up: raise TEAMS_BUDGET_USD\n\nrun: 0123"
    assert webhook.received == [{"text": text, "title": SAID.title, "details": {"run": "0123"}}]


def test_mail_has_the_title_as_its_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    with MailBox() as box:
        monkeypatch.setenv("TEAMS_ALERT_MAIL_SERVER", box.url)
        monkeypatch.setenv("TEAMS_ALERT_MAIL_TO", "ops@example.org,on-call@example.org")
        sender().send(SAID)
    [mail] = [message_from_string(text, policy=default) for text in box.received]
    assert mail["Subject"] == SAID.title
    assert mail["To"] == "ops@example.org, on-call@example.org"
    assert "raise TEAMS_BUDGET_USD" in mail.get_content()


def test_a_webhook_that_is_busy_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with Webhook() as webhook:
        webhook.refuse = 2
        monkeypatch.setenv("TEAMS_ALERT_WEBHOOK_URL", webhook.url)
        sender().send(SAID)
    assert len(webhook.received) == 1


def test_what_does_not_arrive_names_the_setting_and_not_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    with Webhook() as webhook:
        webhook.refuse = 3
        monkeypatch.setenv("TEAMS_ALERT_WEBHOOK_URL", webhook.url)
        with pytest.raises(AlertNotSent, match="TEAMS_ALERT_WEBHOOK_URL: the webhook answered 503") as raised:
            sender().send(SAID)
    assert "s3cret" not in str(raised.value)


def test_a_channel_that_fails_does_not_silence_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    with Webhook() as webhook, MailBox() as box:
        webhook.refuse = 3
        monkeypatch.setenv("TEAMS_ALERT_WEBHOOK_URL", webhook.url)
        monkeypatch.setenv("TEAMS_ALERT_MAIL_SERVER", box.url)
        monkeypatch.setenv("TEAMS_ALERT_MAIL_TO", "ops@example.org")
        with pytest.raises(AlertNotSent):
            sender().send(SAID)
    assert len(box.received) == 1


def mail_to(monkeypatch: pytest.MonkeyPatch, box: MailBox, *addresses: str) -> None:
    monkeypatch.setenv("TEAMS_ALERT_MAIL_SERVER", box.url)
    monkeypatch.setenv("TEAMS_ALERT_MAIL_TO", ",".join(addresses))


def test_an_address_that_the_mail_server_refuses_is_said_by_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    with MailBox(refused={"gone@example.org"}) as box:
        mail_to(monkeypatch, box, "ops@example.org", "gone@example.org")
        with pytest.raises(AlertNotSent) as raised:
            sender().send(SAID)
    assert "it refused 1 of 2 of TEAMS_ALERT_MAIL_TO: number 2 (550)" in str(raised.value)
    assert "example.org" not in str(raised.value)
    assert (raised.value.reached, raised.value.missed) == ({"TEAMS_ALERT_MAIL_SERVER"}, set())
    assert len(box.received) == 1


def test_a_mail_that_nobody_takes_reached_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with MailBox(refused={"gone@example.org", "left@example.org"}) as box:
        mail_to(monkeypatch, box, "gone@example.org", "left@example.org")
        with pytest.raises(
            AlertNotSent, match=r"it refused 2 of 2 of .*: number 1 \(550\), number 2 \(550\)"
        ) as raised:
            sender().send(SAID)
    assert (raised.value.reached, raised.value.missed) == (set(), {"TEAMS_ALERT_MAIL_SERVER"})


def test_what_was_sent_one_way_is_not_sent_that_way_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with Webhook() as webhook, MailBox() as box:
        monkeypatch.setenv("TEAMS_ALERT_WEBHOOK_URL", webhook.url)
        mail_to(monkeypatch, box, "ops@example.org")
        sender().send(SAID, reached={"TEAMS_ALERT_WEBHOOK_URL"})
    assert (len(webhook.received), len(box.received)) == (0, 1)


def test_what_is_quoted_controls_no_screen_and_no_header() -> None:
    alert = Alert("failed\r\nBcc: all@example.org", "text\u202egnp.exe")
    assert "\n" not in alert.title
    assert "\u202e" not in alert.text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"WEBHOOK_URL": "s3cret"}, "TEAMS_ALERT_WEBHOOK_URL must be an https URL"),
        (
            {"WEBHOOK_URL": "http://chat.example/s3cret"},
            "would send plain http to chat.example: use https",
        ),
        ({"MAIL_TO": "ops@example.org"}, "TEAMS_ALERT_MAIL_SERVER is not set"),
        ({"MAIL_SERVER": "smtp://u:s3cret@localhost"}, "TEAMS_ALERT_MAIL_TO is not set"),
        ({"MAIL_SERVER": "u:s3cret", "MAIL_TO": "a@b.org"}, "TEAMS_ALERT_MAIL_SERVER must look like"),
        ({"MAIL_SERVER": "smtp://localhost", "MAIL_TO": "nobody"}, "TEAMS_ALERT_MAIL_TO must be one mail address"),
        ({"MAIL_SERVER": "smtp://localhost", "MAIL_TO": "a@b.org,"}, "TEAMS_ALERT_MAIL_TO must be one mail address"),
    ],
)
def test_a_setting_that_reaches_nobody_is_refused_without_its_secret(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], message: str
) -> None:
    for name, value in settings.items():
        monkeypatch.setenv(f"TEAMS_ALERT_{name}", value)
    with pytest.raises(SettingsError, match=message) as raised:
        assert sender().wanted
    assert "s3cret" not in str(raised.value)
