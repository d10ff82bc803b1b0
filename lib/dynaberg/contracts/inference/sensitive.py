"""Attributes that are likely to be sensitive, by their names and by the forms of their values.

These are suspicions: a contract that is inferred from them suggests masks and sets none.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

# What each kind is called, and the mask that is suggested for it.
KINDS = {
    "card": ("card numbers", "last4"),
    "iban": ("IBANs", "last4"),
    "mail": ("mail addresses", "hash"),
    "phone": ("phone numbers", "last4"),
    "ip": ("IP addresses", "hash"),
    "secret": ("tokens or secrets", "drop"),
    "person": ("names of persons", "drop"),
    "address": ("postal addresses", "drop"),
    "birth": ("dates of birth", "drop"),
    "identity": ("numbers of identity documents", "last4"),
}
# A number passes Luhn's check by chance one time in ten, and digits with dots can be a version.
_LEAST_SHARES = {"card": 0.5, "ip": 0.5, "phone": 0.2, "person": 0.5}
_MAIL = re.compile(r"[^\s@<>\"']+@[^\s@<>\"']+\.[A-Za-z]{2,}")
_CARD = re.compile(r"[3-6][0-9]{3}(?:[ -]?[0-9]{2,4}){3,5}")
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}")
_PHONE = re.compile(r"(?![0-9]{4}-)(?:\+|00|\()[0-9][0-9 ()./-]{5,20}[0-9]")
_SECRET = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]+\.[\w-]*|AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}|xox[abprs]-[\w-]{8,}"
    r"|[sr]k_(?:live|test)_\w{8,}|-----BEGIN [A-Z ]*PRIVATE KEY-----|\$2[aby]\$[0-9]{2}\$[./0-9A-Za-z]{53}"
)
_IDENTITY = re.compile(r"[0-9]{3}-[0-9]{2}-[0-9]{4}")
_IP = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9a-fA-F]{0,4}(?::[0-9a-fA-F]{0,4}){2,7}")
# The last words of a snake_case name; the first kind that has them decides.
_NAMES = {
    "secret": "password passwd passphrase secret token jwt api_?key private_key credentials? otp cvv cvc",
    "mail": "e_?mails? mail_address",
    "phone": "phones? phone_(no|number) mobile mobile_(no|number) telephone msisdn fax",
    "card": "card_?(no|number) pan credit_card debit_card",
    "iban": "iban account_?(no|number) bank_account",
    "ip": "ip ip_?addr(ess)? ipv4 ipv6 remote_addr",
    "identity": "ssn social_security(_number)? passport(_no|_number)? tax_id national_id driver_?licen[cs]e",
    "birth": "dob birth_?day birth_?date date_of_birth born(_on|_at)?",
    "address": "street address(_?line)? postal_?code post_?code zip(_?code)? house_number",
    "person": "(first|last|full|middle|given|family|customer|contact|holder|recipient|patient|guest)_?name "
    "user_?name surname forename holder",
}
# Two words in capitals can be anything, but not in something that is called like a person.
_PERSONAL = re.compile(r"name|user|owner|author|contact|customer|person|holder|guest|patient|driver")
_BY_NAME = {
    kind: re.compile(rf"(?:^|_)(?:{words.replace(' ', '|')})(?:_(?:hash|value|text|number))?(?:_?[0-9])?$")
    for kind, words in _NAMES.items()
}


@dataclass(frozen=True)
class Suspicion:
    """Why something may be sensitive, and what could be done about it.

    Attributes:
        mask: One of those that a contract can have.
        reason: Why, in a few words.
    """

    mask: str
    reason: str


def suspicions(text: str) -> Iterator[str]:
    """The kinds of sensitive values that a text looks like, or contains."""
    if "@" in text and _MAIL.search(text):
        yield "mail"
    if any(_is_card(found[0]) for found in _CARD.finditer(text)):
        yield "card"
    if any(_is_iban(found[0]) for found in _IBAN.finditer(text)):
        yield "iban"
    if _PHONE.fullmatch(text.strip()) and 8 <= sum(map(str.isdigit, text)) <= 15:
        yield "phone"
    if _IP.fullmatch(text) and _is_address(text):
        yield "ip"
    if _SECRET.search(text):
        yield "secret"
    if _IDENTITY.fullmatch(text):
        yield "identity"
    if " " in text and _is_name(text):
        yield "person"


def suspect(name: str, found: Mapping[str, int], examined: int) -> Suspicion | None:
    """The suspicion that a name, or the values that were examined, give.

    Args:
        name: The name in snake_case.
        found: How many values looked like each kind.
        examined: How many values were examined.
    """
    for kind in KINDS:
        count = found.get(kind, 0) if kind != "person" or _PERSONAL.search(name) else 0
        if count and count >= examined * _LEAST_SHARES.get(kind, 0.0):
            what, mask = KINDS[kind]
            # Among other text, the rest of the value is sensitive, too.
            alone = count * 2 >= examined
            return Suspicion(mask if alone else "drop", f"{count:,} of {examined:,} values look like {what}")
    for kind, words in _BY_NAME.items():
        if words.search(name):
            what, mask = KINDS[kind]
            return Suspicion(mask, f"by its name, it may hold {what}")
    return None


def _is_name(text: str) -> bool:
    """Two to four words, each with one capital at its beginning."""
    words = text.split(" ")
    return 2 <= len(words) <= 4 and all(word.istitle() and len(word) < 25 for word in words)


def _is_card(text: str) -> bool:
    """Luhn's check of 13 to 19 digits."""
    digits = [int(character) for character in text if character.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [divmod(2 * digit, 10) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(tens + ones for tens, ones in doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """The check of ISO 13616: the account number, letters as two digits, is 1 modulo 97."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    moved = plain[4:] + plain[:4]
    return int("".join(str(int(character, 36)) for character in moved)) % 97 == 1


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
