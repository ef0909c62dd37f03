"""Channels against real ends: an SMTP server, an HTTP server, and nobody at all."""

import email.policy
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

from collector.adapters.apprise import AppriseChannel, AppriseUrlInvalid
from collector.adapters.mail import MailChannel, MailServer, MailUrlInvalid, mail_server
from collector.adapters.webhook import WebhookChannel
from tests.servers.influx import free_port

TEXT, HTML = "示例医院 总进线\n功率 1250 kW,限值 1200 kW", "<p>示例医院 总进线</p>"


class Mailbox:
    """Takes mail, or answers what it is told to."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answer = "250 OK"
        self.refuses = ""

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server, _session, envelope: Envelope, address, _options
    ) -> str:
        if address == self.refuses:
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server, _session, envelope: Envelope
    ) -> str:
        if self.answer.startswith("250"):
            assert isinstance(envelope.content, bytes)
            mail = message_from_bytes(envelope.content, policy=email.policy.default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
        return self.answer


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def server(mailbox: Mailbox) -> Iterator[MailServer]:
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield mail_server(f"smtp://127.0.0.1:{controller.port}?from=nenghao@example.org")
    controller.stop()


def test_a_mail_arrives_as_text_and_html_with_a_chinese_subject(server, mailbox) -> None:
    channel = MailChannel("mail", server, "duty@e001.example.org")

    said = channel.send("【橙】示例医院 总进线 有功功率超限", TEXT, HTML, key="k1")

    assert said.sent
    (mail,) = mailbox.mails
    assert mail["Subject"] == "【橙】示例医院 总进线 有功功率超限"
    assert mail["To"] == "duty@e001.example.org"
    assert mail.get_body(("plain",)).get_content().split() == TEXT.split()
    assert mail.get_body(("html",)).get_content().strip() == HTML
    assert mail["Auto-Submitted"] == "auto-generated"


def test_a_notice_that_is_sent_again_has_the_same_message_id(server, mailbox) -> None:
    first = MailChannel("mail", server, "one@example.org")
    second = MailChannel("mail", server, "two@example.org")

    for channel, key in ((first, "k1"), (first, "k1"), (first, "k2"), (second, "k1")):
        channel.send("s", TEXT, "", key=key)

    again, same, other, elsewhere = (mail["Message-ID"] for mail in mailbox.mails)
    assert again == same
    assert len({again, other, elsewhere}) == 3


def test_a_line_end_in_a_subject_makes_no_header(server, mailbox) -> None:
    MailChannel("mail", server, "one@example.org").send("a\nBcc: b@x.org", TEXT, "", key="k")

    assert mailbox.mails[0]["Subject"] == "a Bcc: b@x.org"
    assert mailbox.mails[0]["Bcc"] is None


@pytest.mark.parametrize(
    ("answer", "refuses", "said"),
    [
        ("451 try later", "", "451 try later"),
        ("250 OK", "one@example.org", "one@example.org: 550 no such person"),
    ],
)
def test_what_the_server_refuses_is_said_and_not_sent(
    server, mailbox, answer: str, refuses: str, said: str
) -> None:
    mailbox.answer, mailbox.refuses = answer, refuses

    outcome = MailChannel("mail", server, "one@example.org").send("s", TEXT, "", key="k")

    assert (outcome.sent, outcome.answer) == (False, said)
    assert mailbox.mails == []


def test_nobody_at_the_port_is_an_answer_too() -> None:
    port = free_port()
    server = mail_server(f"smtp://127.0.0.1:{port}?from=a@b.org")

    outcome = MailChannel("mail", server, "one@example.org", timeout_s=1).send("s", "", "", key="k")

    assert not outcome.sent
    assert f"127.0.0.1:{port}" in outcome.answer


@pytest.mark.parametrize(("password", "sent"), [("right", True), ("wrong", False)])
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_password_opens_the_server_and_is_never_told(mailbox, password: str, sent: bool) -> None:
    def knows(_server, _session, _envelope, _mechanism, given) -> AuthResult:
        return AuthResult(success=given.login == b"nenghao" and given.password == b"right")

    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=free_port(),
        authenticator=knows,
        auth_required=True,
        auth_require_tls=False,
    )
    controller.start()
    try:
        server = mail_server(f"smtp://nenghao@127.0.0.1:{controller.port}?from=a@b.org")
        outcome = MailChannel("mail", server, "one@x.org", password=password).send(
            "s", TEXT, "", key="k"
        )
    finally:
        controller.stop()

    assert outcome.sent is sent
    assert len(mailbox.mails) == int(sent)
    assert password not in outcome.answer


@pytest.mark.parametrize(
    "url",
    ["http://h?from=a@b.org", "smtp://h", "smtp://?from=a@b.org", "smtp://h:x?from=a@b.org"],
)
def test_a_url_that_is_no_mail_server_is_refused(url: str) -> None:
    with pytest.raises(MailUrlInvalid, match="smtp://"):
        mail_server(url)


def test_a_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(MailUrlInvalid) as caught:
        mail_server("smtp://me:hunter2@h?from=a@b.org")

    assert "password_file" in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_defaults_of_ports_by_scheme() -> None:
    schemes = ("smtp", "smtp+starttls", "smtps")

    assert [mail_server(f"{one}://h?from=a@b.org").port for one in schemes] == [25, 587, 465]


class Posts:
    """An HTTP server that remembers what came."""

    def __init__(self) -> None:
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        posts = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                posts.came.append((dict(self.headers), body))
                self.send_response(posts.status)
                self.end_headers()
                self.wfile.write(b"noted")

            def log_message(self, *_: Any) -> None:
                """Silent."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/alerts"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def posts() -> Iterator[Posts]:
    posts = Posts()
    yield posts
    posts.server.shutdown()
    posts.server.server_close()


def test_a_webhook_can_be_checked_by_whoever_has_the_key(posts: Posts) -> None:
    channel = WebhookChannel("hook", posts.url, "duty", key="secret", now_s=lambda: 1_764_547_200.9)

    said = channel.send("标题", TEXT, HTML, key="k1")

    assert (said.sent, said.answer) == (True, "200 noted")
    ((headers, body),) = posts.came
    expected = hmac.new(b"secret", b"1764547200." + body, hashlib.sha256).hexdigest()
    assert headers["X-Nenghao-Timestamp"] == "1764547200"
    assert headers["X-Nenghao-Signature"] == f"sha256={expected}"
    assert headers["Idempotency-Key"] == "k1"
    assert json.loads(body) == {
        "key": "k1", "to": "duty", "subject": "标题", "text": TEXT, "html": HTML,
    }  # fmt: skip


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_does_not_say_yes_has_not_taken_it(posts: Posts, status: int) -> None:
    posts.status = status

    said = WebhookChannel("hook", posts.url, "duty", key="secret").send("s", "", "", key="k")

    assert (said.sent, said.answer) == (False, f"{status} noted")


def test_a_webhook_without_anybody_is_an_answer() -> None:
    channel = WebhookChannel("hook", f"http://127.0.0.1:{free_port()}/", "", key="s", timeout_s=1)

    said = channel.send("s", "", "", key="k")

    assert not said.sent
    assert said.answer.startswith("ConnectError")


def test_apprise_reaches_a_service_it_knows(posts: Posts) -> None:
    url = posts.url.replace("http://", "json://")

    said = AppriseChannel("any", url).send("标题", TEXT, HTML, key="k")

    assert said.sent
    told = json.loads(posts.came[0][1])
    assert (told["title"], told["message"]) == ("标题", TEXT)


def test_apprise_says_why_it_could_not_and_tells_no_secret() -> None:
    said = AppriseChannel("any", f"json://me:hunter2@127.0.0.1:{free_port()}/").send(
        "s", TEXT, "", key="k"
    )

    assert not said.sent
    assert "127.0.0.1" in said.answer
    assert "hunter2" not in said.answer


def test_a_url_that_apprise_does_not_know_is_refused_without_repeating_it() -> None:
    with pytest.raises(AppriseUrlInvalid) as caught:
        AppriseChannel("any", "nothing://token-123")

    assert "token-123" not in str(caught.value)
