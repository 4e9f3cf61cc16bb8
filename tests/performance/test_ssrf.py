"""S-11: webhooks open no connection into a private network, however its address is written or resolved."""

import socket
import threading
from contextlib import ExitStack, contextmanager

import pytest

from common.errors import InvalidInputError
from common.paths import PROJECT
from performance.models import Channel
from performance.notices import channels, delivering
from tests.hooks_receiver import receiving

PAYLOADS = PROJECT.parent / "shared" / "tools" / "payloads.py"
# The list of the tool, kept here as well: a checkout elsewhere has no such folder.
URLS = [
    "http://127.0.0.1:{p}/", "http://localhost:{p}/", "http://127.1:{p}/", "http://0:{p}/", "http://0.0.0.0:{p}/",
    "http://2130706433:{p}/", "http://0x7f000001:{p}/", "http://0177.0.0.1:{p}/", "http://[::1]:{p}/",
    "http://[::]:{p}/", "http://[::ffff:127.0.0.1]:{p}/", "http://[::ffff:7f00:1]:{p}/", "http://[64:ff9b::7f00:1]:{p}/",
    "http://127.0.0.1.:{p}/", "http://LOCALHOST:{p}/", "http://example.com@127.0.0.1:{p}/",
    "http://127.0.0.1:{p}#@example.com/", "http://127.0.0.1:{p}\\@example.com/",
    "http://169.254.169.254/latest/meta-data/", "http://[fd00:ec2::254]/", "http://metadata.google.internal/",
    "http://10.0.0.1/", "http://192.168.0.1/", "http://172.16.0.1/", "http://100.64.0.1/", "file:///etc/passwd",
    "gopher://127.0.0.1:{p}/_x", "ftp://127.0.0.1/", "dict://127.0.0.1:{p}/", "unix:///var/run/docker.sock",
    "http://redirector.test:{r}/to?u=http://127.0.0.1:{p}/", "http://rebind.test:{p}/", "http://①②⑦.0.0.1:{p}/",
    "http://127.0.0.1:{p}/\r\nX: y", "//127.0.0.1:{p}/", "http:127.0.0.1:{p}",
]  # fmt: skip
NAMES = {"redirector.test", "rebind.test", "metadata.google.internal"}


@contextmanager
def listening(family, host):
    """A listener that counts who comes."""
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, 0))
        sock.listen(64)
        sock.settimeout(0.05)
        came, over = [], threading.Event()

        def accept():
            while not over.is_set():
                try:
                    found, address = sock.accept()
                except TimeoutError:
                    continue
                came.append(address)
                found.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield sock.getsockname()[1], came
        finally:
            over.set()
            thread.join(5)


@pytest.fixture
def listeners():
    """(port, those who came): on 127.0.0.1, and on ::1 where the machine has it."""
    with ExitStack() as stack:
        port, came = stack.enter_context(listening(socket.AF_INET, "127.0.0.1"))
        try:
            six, came_six = stack.enter_context(listening(socket.AF_INET6, "::1"))
        except OSError:
            six, came_six = port, []
        yield port, six, lambda: [*came, *came_six]


@pytest.fixture
def names(monkeypatch):
    """Names of the test lead to 127.0.0.1; `rebind.test` to a public address every other time."""
    real, asked = socket.getaddrinfo, []

    def resolve(host, port, *given, **more):
        text = host.decode() if isinstance(host, bytes) else host
        if text in NAMES:
            asked.append(text)
            public = text == "rebind.test" and asked.count(text) % 2 == 1
            return real("192.0.2.1" if public else "127.0.0.1", port, *given, **more)
        return real(host, port, *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return asked


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    monkeypatch.setattr(delivering, "enqueue", lambda *given: None)
    monkeypatch.setattr("performance.notices.webhook.PORTS", _Any())
    monkeypatch.setattr("performance.notices.channels.PORTS", _Any())


class _Any(frozenset):
    """Every port, so that it is the address alone that is refused here."""

    def __contains__(self, port):
        return True


def urls(port, six):
    return [url.replace("{p}", str(six if "[::1]" in url else port)).replace("{r}", str(port)) for url in URLS]


def fire(owner, url):
    """What is sent to an address that came past the form, as an earlier release or a name may have let it."""
    channel = Channel.objects.create(owner=owner, name=f"c{Channel.objects.count()}", kind="webhook", address=url[:500],
                                     sealed_secret="x")  # fmt: skip
    channels.change(channel, owner, secret="a-secret-of-the-test-0123")
    made = delivering.try_out(channel, owner)
    assert not delivering.send(str(made.pk)), url
    return made.attempts.get()


def test_S11_no_address_of_the_list_is_taken_that_leads_inside(owner, listeners):
    port, six, came = listeners
    good, _ = channels.make(owner, name="Good", kind="webhook", address="https://93.184.216.34/hook")
    for url in urls(port, six):
        if any(name in url for name in NAMES):
            continue  # names are looked up when they are asked
        for write in (
            lambda url=url: channels.make(owner, name="Bad", kind="webhook", address=url),
            lambda url=url: channels.change(good, owner, address=url),
        ):
            with pytest.raises(InvalidInputError) as refused:
                write()
            assert list(refused.value.fields) == ["address"], url
    assert came() == [] and Channel.objects.get().address == "https://93.184.216.34/hook"


def test_S11_nothing_is_sent_to_an_address_of_the_list_when_it_is_fired(owner, listeners, names, monkeypatch):
    monkeypatch.setattr("performance.notices.webhook.CONNECT_SECONDS", 0.2)
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, f"http://127.0.0.1:{listeners[0]}")
    port, six, came = listeners
    for url in urls(port, six):
        attempt = fire(owner, url)
        assert attempt.status is None and attempt.error, url
    assert came() == [] and "rebind.test" in names


def test_S11_a_name_is_looked_up_once_and_its_address_checked_on_the_connection(owner, listeners, monkeypatch):
    """Rebinding: the name is public when it is checked; whatever it is later is never asked."""
    port, _, _ = listeners
    monkeypatch.setattr("performance.notices.webhook.CONNECT_SECONDS", 0.2)
    real, asked = socket.getaddrinfo, []

    def resolve(host, *given, **more):
        if host == "rebind.test":
            asked.append(host)
        return real("93.184.216.34" if host == "rebind.test" else host, *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    connected = socket.socket.connect
    # The network itself leads the checked address inside: what is connected to is looked at once more.
    monkeypatch.setattr(socket.socket, "connect", lambda self, address: connected(self, ("127.0.0.1", port)))
    sent = []
    monkeypatch.setattr(socket.socket, "sendall", lambda self, data: sent.append(data))
    attempt = fire(owner, f"http://rebind.test:{port}/")
    assert "private network" in attempt.error and sent == [] and len(asked) == 1


def test_S11_a_redirect_is_a_failure_and_is_not_followed(owner, settings):
    settings.TRAINHUB_ALLOW_INTERNAL_WEBHOOKS = ["127.0.0.1"]
    with receiving() as inner, receiving(lambda request: (302, {"Location": inner.url}, b"")) as outer:
        attempt = fire(owner, outer.url)
        assert attempt.status == 302 and "not followed" in attempt.error
        assert len(outer.got) == 1 and inner.accepted == 0


def test_S11_what_a_receiver_says_is_shown_nowhere(owner, settings, client):
    settings.TRAINHUB_ALLOW_INTERNAL_WEBHOOKS = ["127.0.0.1"]
    with receiving(lambda request: (500, {"X-Marker": "marker-h"}, b"marker-b" * 20_000)) as server:
        attempt = fire(owner, server.url)
    assert attempt.error == "It answered with 500."
    assert "marker" not in attempt.delivery.channel.last_error


def test_S11_a_receiver_that_drips_holds_nobody_for_longer_than_five_seconds(owner, settings, monkeypatch):
    settings.TRAINHUB_ALLOW_INTERNAL_WEBHOOKS = ["127.0.0.1"]
    from performance.notices import webhook

    assert webhook.CONNECT_SECONDS + webhook.ANSWER_SECONDS <= 5 and webhook.MAX_ANSWER <= 65_536
    monkeypatch.setattr(webhook, "ANSWER_SECONDS", 0.3)
    hold = threading.Event()
    with receiving(lambda request: (hold.wait(5) and 200) or 200) as server:
        attempt = fire(owner, server.url)
        hold.set()
    assert attempt.error == "It gave no answer within 0.3 s." and attempt.milliseconds < 2000


def test_S11_the_weak_twin_is_caught(owner, listeners, settings):
    """The positive control: with the guard taken away the same list does reach the listeners."""
    port, six, came = listeners
    settings.TRAINHUB_ALLOW_INTERNAL_WEBHOOKS = ["127.0.0.0/8", "::1/128", "localhost"]
    for url in urls(port, six)[:2]:
        fire(owner, url)
    assert len(came()) == 2


def test_the_list_is_that_of_the_tool():
    if not PAYLOADS.exists():
        pytest.skip("the tool lies beside a developer's checkout")
    text = PAYLOADS.read_text()
    assert all(ascii(url)[1:-1] in text or url in text or "①" in url for url in URLS)
