"""Connections that lead out, and into no private network that an administrator did not allow.

A name is resolved once, every address that it has is checked, and the connection is made to a checked address: no
second look-up can give another one. What is checked is the address, however the host was written. Light.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
import unicodedata
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
MOST_ADDRESSES = 4  # of one name that are tried: each may take its time

# Networks whose addresses carry another address inside, or lead where only the network's operator knows.
CARRIERS = [
    ipaddress.ip_network(text)
    for text in ("::ffff:0:0/96", "::ffff:0:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16",
                 "2001::/32", "fec0::/10", "192.88.99.0/24", "192.0.0.0/24", "198.18.0.0/15")
]  # fmt: skip


class RefusedError(Exception):
    """An address that must not be asked: what it is, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class UnreachableError(RefusedError):
    """An address that may be asked and doesn't answer."""


@dataclass(frozen=True)
class Allowance:
    """What an administrator allows beside the public internet: hosts by name, and networks."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def of(cls, entries: Iterable[str]) -> Allowance:
        """Of names, addresses and networks as they are written."""
        hosts, networks = set(), []
        for entry in entries:
            try:
                networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                hosts.add(entry.lower().rstrip("."))
        return cls(frozenset(hosts), tuple(networks))

    def covers(self, host: str, address: Address) -> bool:
        return host in self.hosts or any(address in net for net in self.networks if net.version == address.version)

    def names(self, host: str) -> bool:
        """Whether the administrator named this host, or a network that holds it: then any of its ports will do."""
        if host in self.hosts:
            return True
        try:
            return self.covers(host, ipaddress.ip_address(host))
        except ValueError:
            return False


def connect(
    host: str, port: int, timeout: float, allowed: Allowance, ports: Collection[int] | None = None
) -> socket.socket:
    """A connection to a host that may be asked, at one of the `ports` (None: any).

    RefusedError when it leads into a private network or to another port, UnreachableError when the name is unknown or
    nobody answers.
    """
    last: OSError | None = None
    for family, address in resolved(host, port, allowed, ports)[:MOST_ADDRESSES]:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout)
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            check_address(host, sock.getpeername()[0], allowed)
            return sock
        except OSError as error:
            sock.close()
            last = error
        except BaseException:
            sock.close()
            raise
    raise UnreachableError(f"{host} does not answer at port {port}.", "Check the address, then try again.") from last


def resolved(
    host: str, port: int, allowed: Allowance, ports: Collection[int] | None = None
) -> list[tuple[int, tuple[str, int]]]:
    """The addresses of a host, each of which may be asked, in the resolver's order."""
    host = bare(host)
    if ports is not None and port not in ports and not allowed.names(host):
        known = ", ".join(map(str, sorted(ports)))
        raise RefusedError(f"Port {port} is not used.", f"Use one of these ports: {known}.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise UnreachableError(f"The name {host} is not known.", "Check the address, then try again.") from error
    for *_, address in found:
        check_address(host, str(address[0]), allowed)
    return [(int(family), address) for family, _, _, _, address in found]  # type: ignore[misc]


def check_address(host: str, text: str, allowed: Allowance) -> None:
    """RefusedError for an address that is not of the public internet, unless an administrator allows it."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if not is_public(address) and not allowed.covers(bare(host), address):
        raise RefusedError(
            f"{host} leads into a private network, which is not asked.",
            "Use a public address, or have an administrator allow this host.",
        )


def check_literal(host: str, allowed: Allowance) -> None:
    """The same for a host that is an address already; names are looked up when they are asked."""
    host = unicodedata.normalize("NFKC", host)  # as it is asked: ① is a 1
    try:
        ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        # An address may be written as 127.1, 2130706433 or 0x7f000001 as well.
        if NUMERIC.fullmatch(bare(host).rpartition(".")[2]) or bare(host) == "localhost":
            resolved(host, 443, allowed)
    else:
        check_address(host, host.strip("[]"), allowed)


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, and carries no other one inside."""
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved or address.is_loopback or address.is_link_local)
        and not (address.is_private or address.is_unspecified)
        and not any(address in net for net in CARRIERS if net.version == address.version)
    )


def bare(host: str) -> str:
    """A host as it is compared."""
    return host.strip("[]").lower().rstrip(".")


class Alarm:
    """Cuts a connection off after so many seconds. A socket's own timeout begins anew with each byte, so a server that
    sends one now and then would hold whoever reads for ever."""

    def __init__(self, sock: socket.socket, seconds: float) -> None:
        self.rung = False
        self._sock = sock
        self._timer = threading.Timer(seconds, self._ring)
        self._timer.daemon = True
        self._timer.start()

    def stop(self) -> None:
        """TimeoutError when it has rung: what was read is not all."""
        self._timer.cancel()
        if self.rung:
            raise TimeoutError("The time for the whole answer is over.")

    def _ring(self) -> None:
        self.rung = True
        with suppress(OSError):  # closed already
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)  # not TLS's own, which another thread is using


class _Timed:
    """A connection whose `timeout` is for the whole answer; the answer has its alarm, which its reader must stop."""

    def getresponse(self) -> Any:
        alarm = Alarm(self.sock, self.timeout)  # type: ignore[attr-defined]
        try:
            answer = super().getresponse()  # type: ignore[misc]
        except BaseException:
            alarm.stop()
            raise
        answer.alarm = alarm
        return answer


class _TimedPlain(_Timed, HTTPConnection): ...


class _TimedSecure(_Timed, HTTPSConnection): ...


class Manager(urllib3.PoolManager):
    """urllib3 over guarded connections: asks no address inside, follows no redirect, trusts no variable about proxies.

    `answer_seconds` is the time for a request and its whole answer, which then has an `alarm` that its reader must
    stop; None: only each read has a limit. `given` are urllib3's own settings. RefusedError and UnreachableError come
    out as they are.
    """

    def __init__(
        self, allowed: Allowance, ports: Collection[int] | None = None, connect_seconds: float = 10,
        answer_seconds: float | None = None, **given: Any,
    ) -> None:  # fmt: skip
        if answer_seconds is not None:
            given["timeout"] = urllib3.Timeout(total=answer_seconds)
        super().__init__(retries=False, cert_reqs="CERT_REQUIRED", **given)
        plain, secure = (HTTPConnection, HTTPSConnection) if answer_seconds is None else (_TimedPlain, _TimedSecure)

        def new(host: str, port: int) -> socket.socket:
            return connect(host, port, connect_seconds, allowed, ports)

        class Plain(plain):  # type: ignore[misc,valid-type]
            def _new_conn(self) -> socket.socket:
                return new(self._dns_host, self.port)

        class Secure(secure):  # type: ignore[misc,valid-type]
            def _new_conn(self) -> socket.socket:
                return new(self._dns_host, self.port)

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        self.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}

    def urlopen(self, method: str, url: str, redirect: bool = False, **given: Any) -> Any:  # type: ignore[override]
        return super().urlopen(method, url, redirect=False, **given)
