"""Finding personal data in text: what names a person, an account or a line. Each kind is checked by its own rule."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator

EMAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24}(?![\w-])")
CARD = re.compile(r"(?<![\d.,-])[2-6](?:[ -]?\d){12,18}(?![\d-])")
IBAN = re.compile(r"(?<![A-Z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Z0-9])")
IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
IPV6 = re.compile(r"(?<![0-9A-Fa-f:])(?:[0-9A-Fa-f]{1,4}:){3,7}(?::?[0-9A-Fa-f]{1,4})+(?![0-9A-Fa-f:])")
SSN = re.compile(r"(?<![\d-])(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\d-])")
# A telephone number costs a look by phonenumbers: only where something like one stands.
PHONE_LIKE = re.compile(r"(?<![\w.,/-])(?:\+|\(?0(?!\.)|\(?[2-9])(?:[ ()./-]{0,2}\d){6,14}(?![\w%])")
GROUPED = re.compile(r"\(?\d{3}\)?[ .-]{1,2}\d{3}[ .-]\d{4}")  # as North America writes them
MAX_NUMBERS = 50  # telephone numbers of one text; more make it no worse

NAMES = {
    "email": "e-mail address", "phone": "telephone number", "card": "card number", "iban": "bank account number",
    "ip": "IP address", "ssn": "social security number",
}  # fmt: skip
# Without a country code a number is read as one of these countries', by the language of the text.
REGIONS = {
    "en": ("US", "GB"), "de": ("DE", "AT", "CH"), "fr": ("FR", "BE", "CH"), "es": ("ES", "MX"), "it": ("IT",),
    "nl": ("NL", "BE"), "pt": ("PT", "BR"), "pl": ("PL",), "sv": ("SE",), "da": ("DK",), "cs": ("CZ",),
}  # fmt: skip
# How long an account number of a country is; others are refused above 34.
IBAN_LENGTHS = {
    "AD": 24, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24,
    "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27, "LI": 21, "LT": 20,
    "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SA": 24, "SE": 24,
    "SI": 19, "SK": 24, "SM": 27, "TR": 26,
}  # fmt: skip


def kinds_in(text: str, language: str = "en") -> Counter[str]:
    """How many of each kind the text holds; the text itself is nowhere kept."""
    found: Counter[str] = Counter()
    if not any(char.isdigit() for char in text):
        if "@" in text:
            found["email"] = sum(1 for _ in EMAIL.finditer(text))
        return +found
    taken: list[tuple[int, int]] = []
    for kind, matches in _matches(text):
        for match in matches:
            if not any(start < match.end() and match.start() < end for start, end in taken):
                taken.append(match.span())
                found[kind] += 1
    for start, end in _phones(text, language):
        if not any(first < end and start < last for first, last in taken):
            taken.append((start, end))
            found["phone"] += 1
    return found


def in_words(kinds: dict[str, int]) -> str:
    """As '2 e-mail addresses and a telephone number'."""
    parts = [_counted(count, NAMES[kind]) for kind, count in sorted(kinds.items())]
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _counted(count: int, name: str) -> str:
    if count == 1:
        return f"an {name}" if name[0] in "eI" else f"a {name}"
    return f"{count:,} {name}{'es' if name.endswith('s') else 's'}"


def _matches(text: str) -> Iterator[tuple[str, Iterator[re.Match[str]]]]:
    if "@" in text:
        yield "email", EMAIL.finditer(text)
    yield "iban", (match for match in IBAN.finditer(text) if is_iban(match.group()))
    yield "card", (match for match in CARD.finditer(text) if is_card(match.group()))
    yield "ssn", SSN.finditer(text)
    yield "ip", (match for match in IPV4.finditer(text) if _is_public(match.group()))
    yield "ip", (match for match in IPV6.finditer(text) if _is_public(match.group()))


def is_card(text: str) -> bool:
    """A number of 13 to 19 digits of a known network whose last digit is right (Luhn)."""
    digits = [int(char) for char in text if char.isdigit()]
    if (
        not 13 <= len(digits) <= 19
        or len(set(digits)) < 2
        or not _is_network("".join(map(str, digits[:4])), len(digits))
    ):
        return False
    doubled = [digit if place % 2 == 0 else digit * 2 - 9 * (digit > 4) for place, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def _is_network(start: str, length: int) -> bool:
    """Visa, Mastercard, American Express, Discover, Diners, JCB, UnionPay, Maestro, by first digits and length."""
    first, two, four = start[0], int(start[:2]), int(start)
    if first == "4":
        return length in {13, 16, 19}
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return length == 16
    if two in {34, 37}:
        return length == 15
    if two in {36, 38} or 3000 <= four <= 3059:
        return length == 14
    return (3528 <= four <= 3589 or two in {50, 60, 62, 63, 64, 65, 67}) and length >= 16


def is_iban(text: str) -> bool:
    """An account number of the right length whose checksum is right (ISO 13616, modulo 97)."""
    plain = text.replace(" ", "")
    if len(plain) != IBAN_LENGTHS.get(plain[:2], len(plain)) or not 15 <= len(plain) <= 34:
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(char, 36)) for char in turned)) % 97 == 1


def _is_public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _phones(text: str, language: str) -> Iterator[tuple[int, int]]:
    """Where valid telephone numbers stand."""
    candidates = [match for match, _ in zip(PHONE_LIKE.finditer(text), range(MAX_NUMBERS), strict=False)]
    if not candidates:
        return
    import phonenumbers

    for match in candidates:
        written = match.group().strip()
        if written[0] not in "+0(" and not GROUPED.fullmatch(written):
            continue  # any number looks like that: only those that are written as telephone numbers count
        for region in (None,) if written.startswith("+") else REGIONS.get(language, REGIONS["en"]):
            try:
                number = phonenumbers.parse(written, region)
            except phonenumbers.NumberParseException:
                continue
            if phonenumbers.is_valid_number(number):
                yield match.span()
                break
