"""Connections that lead out, and never into the hub's own network.

A name is resolved once, every address that it has is checked, and the connection is made to a checked address: no
second look-up can give another one. What is checked is the address, however the host was written.
"""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass

from django.conf import settings

from common.errors import InvalidInputError, UnavailableError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PORTS = {80, 443, 8000, 8080, 8443, 9000}
# Networks whose addresses carry another address inside, or lead where only the network's operator knows.
CARRIERS = [
    ipaddress.ip_network(text)
    for text in ("::ffff:0:0/96", "::ffff:0:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2002::/16",
                 "2001::/32", "fec0::/10", "192.88.99.0/24", "192.0.0.0/24", "198.18.0.0/15")
]  # fmt: skip


@dataclass(frozen=True)
class Allowance:
    """What an administrator allows beside the public internet: hosts by name, and networks."""

    hosts: frozenset[str]
    networks: tuple[Network, ...]

    def covers(self, host: str, address: Address) -> bool:
        return host in self.hosts or any(address in net for net in self.networks if net.version == address.version)


def allowance() -> Allowance:
    hosts, networks = set(), []
    for entry in settings.TRAINHUB_ALLOW_INTERNAL_SOURCES:
        try:
            networks.append(ipaddress.ip_network(entry, strict=False))
        except ValueError:
            hosts.add(entry.lower().rstrip("."))
    return Allowance(frozenset(hosts), tuple(networks))


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """A connection to a host that may be asked.

    InvalidInputError when it leads into a private network or the port is not used for files; UnavailableError when
    the name is unknown or nobody answers.
    """
    allowed = allowance()
    last: OSError | None = None
    for family, address in resolved(host, port, allowed):
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
    raise UnavailableError(
        f"{host} does not answer at port {port}.", "Check the address, then try again."
    ) from last  # fmt: skip


def resolved(host: str, port: int, allowed: Allowance) -> list[tuple[int, tuple[str, int]]]:
    """The addresses of a host, each of which may be asked, in the resolver's order."""
    host = host.strip("[]").lower().rstrip(".")
    if port not in PORTS and not _is_allowed_by_name(host, allowed):
        ports = ", ".join(map(str, sorted(PORTS)))
        raise InvalidInputError(f"Port {port} is not used for files.", f"Use one of these ports: {ports}.")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise UnavailableError(f"The name {host} is not known.", "Check the address, then try again.") from error
    for *_, address in found:
        check_address(host, str(address[0]), allowed)
    return [(int(family), address) for family, _, _, _, address in found]  # type: ignore[misc]


def check_address(host: str, text: str, allowed: Allowance) -> None:
    """InvalidInputError for an address that is not of the public internet, unless an administrator allows it."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if not is_public(address) and not allowed.covers(host.strip("[]").lower().rstrip("."), address):
        raise InvalidInputError(
            f"{host} leads into a private network, which is not asked for files.",
            "Use a public address, upload the files, or have an administrator allow this host.",
        )


def check_literal(host: str) -> None:
    """The same at the doors, for a host that is an address already; names are looked up by the worker alone."""
    try:
        ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        if not host.replace(".", "").isdecimal() and host.lower().rstrip(".") != "localhost":
            return
        resolved(host, 443, allowance())
    else:
        check_address(host, host.strip("[]"), allowance())


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, and carries no other one inside."""
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved or address.is_loopback or address.is_link_local)
        and not (address.is_private or address.is_unspecified)
        and not any(address in net for net in CARRIERS if net.version == address.version)
    )


def _is_allowed_by_name(host: str, allowed: Allowance) -> bool:
    """Whether the administrator named this host, or a network that holds it: then any of its ports will do."""
    if host in allowed.hosts:
        return True
    try:
        return allowed.covers(host, ipaddress.ip_address(host))
    except ValueError:
        return False
