"""From a meter's register to a person's mail and back: real processes, a real SMTP server."""

import email.policy
import re
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from nenghao.broker import EmbeddedBroker
from nenghao.demo.processes import District
from nenghao.demo.stage import Pace, Stage
from tests.e2e.conftest import wait_until
from tests.servers.influx import free_port

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

CONFIG = Path(__file__).parents[2] / "config"
METER, RATED_KW = "e001-imaging", 180.0
SURGES = 2  # the third one within a day would be damped


class Mailbox:
    """Takes mail; or is away."""

    def __init__(self) -> None:
        self.mails: list[tuple[float, EmailMessage]] = []
        self.port = free_port()
        self._controller: Controller | None = None

    def open(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self._controller.start()

    def close(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    async def handle_DATA(self, _server, _session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        mail = message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append((time.time(), mail))
        return "250 OK"

    def subjects(self) -> list[str]:
        return [str(mail["Subject"]) for _, mail in self.mails]


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    found = Mailbox()
    found.open()
    yield found
    found.close()


def told(mailbox: Mailbox) -> dict:
    """One person, at once, of everything."""
    none = dict.fromkeys(("blue", "yellow", "orange", "red"), 0)
    return {
        "channels": [
            {
                "name": "mail",
                "kind": "mail",
                "url": f"smtp://127.0.0.1:{mailbox.port}?from=nenghao@example.org",
            }
        ],
        "receivers": [
            {
                "name": "duty",
                "title": "总务科值班",
                "channels": [{"by": "mail", "to": "duty@x.org"}],
            }
        ],
        "route": {
            "name": "all",
            "to": ["duty"],
            "group_by": ["institution", "group"],
            "group_wait_s": none,
            "group_interval_s": none,
            "repeat_interval_s": dict.fromkeys(none, 3600),
        },
        "flapping": {"fires": 1000},
        "undelivered": {"to": ["duty"], "after_min": 15},
        "delivery": {"first_pause_s": 1, "longest_pause_s": 2},
        "links": {"base_url": "http://127.0.0.1:1", "password_env": "NENGHAO_LINK_KEY"},
    }


@pytest.fixture
def stage(tmp_path: Path, mailbox: Mailbox, monkeypatch) -> Iterator[tuple[Stage, District]]:
    monkeypatch.setenv("NENGHAO_LINK_KEY", "a key of the test")
    with ExitStack() as stack:
        broker = EmbeddedBroker(tmp_path / "broker")
        broker.start()
        stack.callback(broker.stop)
        stage = Stage(tmp_path, CONFIG, pace=Pace(cycle_s=1), broker_url=broker.url)
        first = datetime.now(UTC) + timedelta(seconds=15)
        stage.write(
            rules=(
                {
                    "id": "imaging-above-rated",
                    "quantity": "active_power_kw",
                    "fires_above": RATED_KW,
                    "resolves_below": RATED_KW * 0.9,
                    "meters": [METER],
                },
            ),
            faults=tuple(
                {
                    "meter": METER,
                    "kind": "surge",
                    "from": (first + timedelta(seconds=6 * n)).isoformat(),
                    "to": (first + timedelta(seconds=6 * n + 3)).isoformat(),
                    "extra": RATED_KW,
                }
                for n in range(SURGES)
            ),
            notify=told(mailbox),
        )
        district = District(stage)
        stack.callback(district.stop)
        district.start()
        yield stage, district


def alerts(stage: Stage) -> list[dict]:
    query = {"state": ["firing", "acknowledged", "resolved"]}
    answer = httpx.get(f"{stage.api_url}/alerts/standing", params=query, trust_env=False)
    return answer.raise_for_status().json()


def test_a_register_above_its_limit_is_in_the_mail_within_seconds(
    stage: tuple[Stage, District], mailbox: Mailbox
) -> None:
    here, _ = stage

    wait_until(
        "every surge is told and over",
        lambda: sum(s.startswith("【解除】") for s in mailbox.subjects()) >= SURGES,
        90,
    )

    fired = {one["number"]: one for one in alerts(here)}
    delays = []
    for came_s, mail in mailbox.mails:
        text = mail.get_body(("plain",)).get_content()
        number = re.search(r"nenghao alert ack (\d+)", text)
        if number:
            delays.append(came_s - fired[int(number[1])]["fired_ms"] / 1000)
    print(f"register to mail: median {statistics.median(delays):.2f} s, worst {max(delays):.2f} s")
    assert len(delays) >= SURGES
    assert statistics.median(delays) < 2.0
    subjects = [s for s in mailbox.subjects() if not s.startswith("【解除】")]
    assert all("示例医院" in one and "限值 180 kW" in one for one in subjects)
    assert len({mail["Message-ID"] for _, mail in mailbox.mails}) == len(mailbox.mails)


def test_what_happened_while_the_mail_server_was_away_and_the_collector_was_killed_is_told_once(
    stage: tuple[Stage, District], mailbox: Mailbox
) -> None:
    here, district = stage
    mailbox.close()
    wait_until("it fires", lambda: bool(alerts(here)))
    district.collector.kill()
    district.collector.start()

    mailbox.open()
    wait_until("it is told", lambda: bool(mailbox.mails))
    wait_until("nothing waits", lambda: len(mailbox.mails) >= len(alerts(here)))

    first = alerts(here)[-1]
    about = [
        mail
        for _, mail in mailbox.mails
        if f"nenghao alert ack {first['number']}" in mail.get_body(("plain",)).get_content()
    ]
    assert len({mail["Message-ID"] for mail in about}) == 1


def test_the_link_in_the_mail_acknowledges_in_the_receivers_name(
    stage: tuple[Stage, District], mailbox: Mailbox
) -> None:
    here, _ = stage
    wait_until("a mail", lambda: bool(mailbox.mails))
    _, mail = mailbox.mails[0]
    link = re.search(r"http://127\.0\.0\.1:1(/acknowledge/\S+)", mail.as_string())
    link = link or re.search(
        r"http://127\.0\.0\.1:1(/acknowledge/\S+)", mail.get_body(("plain",)).get_content()
    )
    assert link is not None

    opened = httpx.get(f"{here.api_url}{link[1]}", trust_env=False)
    pressed = httpx.post(f"{here.api_url}{link[1]}", data={"note": "收到"}, trust_env=False)

    assert "确认收到" in opened.text
    assert pressed.status_code == 200
    number = re.search(r"告警 (\d+)", pressed.text)
    assert number is not None
    shown = httpx.get(f"{here.api_url}/alerts/{number[1]}", trust_env=False).json()
    reasons = [step["reason"] for step in shown["steps"]]
    assert "acknowledged" in reasons or shown["alert"]["state"] == "resolved"
    assert shown["told"][-1]["sent"]
