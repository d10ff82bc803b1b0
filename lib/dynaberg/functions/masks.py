"""Masks: what happens to a sensitive attribute before its change leaves the Lambda.

`hash` and `tokenise` need a key. `hash` is the HMAC-SHA256 of the SHA-256 of the text: without the key,
nobody can try card numbers until one fits. `tokenise` can be reversed with the key. It is the SIV
construction (Rogaway and Shrimpton, "Deterministic Authenticated-Encryption", 2006), with HMAC-SHA256 as its
only primitive. The first 16 bytes of the HMAC of a value are its synthetic initialization vector; a second
HMAC of the vector and a counter makes the key stream. Reversing computes the first HMAC again, so a token
that was changed is refused. Equal values have equal tokens, on purpose, and nothing else shows but the
length, in steps of 16 bytes. The secret is used for no purpose directly: three keys are derived from it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from .attributes import to_json

Mask = Callable[[Any], Any]
Rules = Mapping[str, Any]
"""By attribute: a mask, None to leave the attribute out, or the rules of its members."""
KEYED = ("hash", "tokenise")
HASHED, TOKEN = "h{}:", "t{}:"
"""What the masked values of a key's version begin with."""
_NULL = {"NULL": True}
_YEAR = re.compile(r"(?!0000)[0-9]{4}(?=-|$)")
_BLOCK, _VECTOR = 32, 16
# Half a character is refused later, by the conversion, with its reason.
_ANY_TEXT = ("utf-8", "surrogatepass")
# Of an item's old and new image, most values are the same; so are many of one batch.
_REMEMBERED = 4_096


class MaskKeyError(ValueError):
    """A mask needs a key that is not there, or that cannot be used."""


def mask_rules(paths: Iterable[Sequence[Any]], key: MaskKey | None = None) -> Rules:
    """The rules of paths with the name of a mask each: `(["address", "phone"], "hash")`.

    Args:
        paths: The paths and masks.
        key: The key, needed for `hash` and `tokenise`.

    Raises:
        MaskKeyError: A mask needs a key, and there is none.
    """
    return rules_of((path, mask_of(mask, path[-1], key)) for path, mask in paths)


def rules_of(paths: Iterable[tuple[Sequence[str], Mask | None]]) -> Rules:
    """The rules of paths with a mask each, or None to leave the attribute out."""
    rules: dict[str, Any] = {}
    for (*parents, name), mask in paths:
        inner = rules
        for parent in parents:
            inner = inner.setdefault(parent, {})
        inner[name] = mask
    return rules


def mask_of(mask: str, name: str, key: MaskKey | None) -> Mask | None:
    """The mask of an attribute by the mask's name.

    Raises:
        MaskKeyError: It needs a key, and there is none.
    """
    if mask not in KEYED:
        return MASKS[mask]
    if key is None:
        msg = f"{name!r} has the mask {mask!r}, which needs a key, and there is none"
        raise MaskKeyError(msg)
    return key.hash if mask == "hash" else key.tokenise


class Masks:
    """The masks of one table.

    Args:
        contract: The table contract, as the Lambda has it.
        key: The key, needed for `hash` and `tokenise`.

    Attributes:
        paths: The path and the name of each mask, also of those that columns have.
        rules: The same as rules.

    Raises:
        MaskKeyError: A mask needs a key, and there is none.
    """

    def __init__(self, contract: Mapping[str, Any], key: MaskKey | None) -> None:
        of_columns = [
            [[c.get("attribute", c["name"])], _of_type(c)] for c in contract["columns"] if c["mask"]
        ]
        self.paths = [*of_columns, *([list(path), mask] for path, mask in contract.get("masks", ()))]
        self._key = key
        self.rules = mask_rules(self.paths, key)

    def missing(self, applied: Sequence[Any]) -> tuple[Rules, list[Any]]:
        """The masks that an image still needs, as rules and as paths.

        Args:
            applied: The paths and names of those that it has.
        """
        paths = [path for path in self.paths if path not in applied] if applied else self.paths
        return mask_rules(paths, self._key), paths


def _of_type(column: Mapping[str, Any]) -> str:
    """The mask of a column; a year is written as its type wants it."""
    dated = column["mask"] == "year" and column["type"] in ("date", "timestamptz")
    return f"year of {column['type']}" if dated else str(column["mask"])


def mask_image(image: Mapping[str, Any], rules: Rules) -> dict[str, Any]:
    """A copy of an image with its sensitive attributes masked, also inside maps and lists of maps.

    NULL stays NULL: the absence of a value is not secret.
    """
    masked = dict(image)
    for name, rule in rules.items():
        attribute = image.get(name, _NULL)
        if attribute == _NULL:
            continue
        if rule is None:
            del masked[name]
        else:
            masked[name] = _mask_members(attribute, rule) if isinstance(rule, dict) else rule(attribute)
    return masked


def _mask_members(attribute: Any, rules: Rules) -> Any:
    match attribute:
        case {"M": dict(members)}:
            return {"M": mask_image(members, rules)}
        case {"L": list(items)}:
            return {"L": [_mask_members(item, rules) for item in items]}
        case _:
            return attribute


class MaskKey:
    """The key of `hash` and `tokenise`.

    Args:
        secret: The key, a text of at least 32 characters.
        version: Its version, which every masked value names.

    Raises:
        MaskKeyError: The key is too short.
    """

    def __init__(self, secret: str, version: int = 1) -> None:
        if len(secret) < 32:
            msg = f"The key of the masks has {len(secret)} characters; it must have 32 or more"
            raise MaskKeyError(msg)
        self.version = version
        self._hash_start, self._token_start = HASHED.format(version), TOKEN.format(version)
        self._hash, self._vector, self._stream = (_prf(secret, use) for use in (b"hash", b"siv", b"ctr"))
        self._hashed = lru_cache(_REMEMBERED)(self._hash_text)
        self._token = lru_cache(_REMEMBERED)(self._seal)

    def hash(self, attribute: Any) -> Any:
        """The keyed hash of the text: equal values stay equal, and can be joined."""
        hashed: Any = self._hashed(_text(attribute))
        return hashed

    def rehash(self, unkeyed: str) -> str:
        """The keyed hash of a value, from its unkeyed SHA-256 in hexadecimal, as masks made it before.

        Args:
            unkeyed: 64 hexadecimal digits.
        """
        return self._hash_start + self._hash(unkeyed.encode()).hex()

    def _hash_text(self, text: str) -> Any:
        return {"S": self.rehash(hashlib.sha256(text.encode(*_ANY_TEXT)).hexdigest())}

    def tokenise(self, attribute: Any) -> Any:
        """The token of an attribute: equal values have equal tokens, and the key takes them back."""
        text = attribute.get("S") if type(attribute) is dict else None
        token: Any = self._token(f"S{text}" if type(text) is str else f"J{to_json(attribute)}")
        return token

    def _seal(self, text: str) -> Any:
        plain = text.encode(*_ANY_TEXT) + b"\x80"
        plain += bytes(-len(plain) % _VECTOR)
        vector = self._vector(plain)[:_VECTOR]
        sealed = base64.urlsafe_b64encode(vector + self._crypt(vector, plain)).rstrip(b"=")
        return {"S": self._token_start + sealed.decode()}

    def detokenise(self, token: str) -> Any:
        """The attribute behind a token, as DynamoDB JSON.

        Args:
            token: As `tokenise` made it.

        Raises:
            MaskKeyError: It is no token of this key, or it was changed.
        """
        start = self._token_start
        text = token.removeprefix(start)
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
        except ValueError:
            sealed = b""
        vector, plain = sealed[:_VECTOR], self._crypt(sealed[:_VECTOR], sealed[_VECTOR:])
        intact = hmac.compare_digest(vector, self._vector(plain)[:_VECTOR])
        spelled = start + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()
        if len(vector) < _VECTOR or not intact or token != spelled:
            msg = f"{token[:24]!r} is not a token of version {self.version} of the key"
            raise MaskKeyError(msg)
        text = plain.rstrip(b"\0").removesuffix(b"\x80").decode(*_ANY_TEXT)
        return {"S": text[1:]} if text.startswith("S") else json.loads(text[1:])

    def _crypt(self, vector: bytes, data: bytes) -> bytes:
        """Data combined with the key stream of a vector: the same call takes it back."""
        blocks = range(-(-len(data) // _BLOCK))
        stream = b"".join(self._stream(vector + number.to_bytes(4, "big")) for number in blocks)
        mixed = int.from_bytes(data, "big") ^ int.from_bytes(stream[: len(data)], "big")
        return mixed.to_bytes(len(data), "big")


def read_key(secret: str) -> MaskKey:
    """The newest key in a secret of Secrets Manager; see `read_keys`."""
    return read_keys(secret)[0]


def read_keys(secret: str) -> list[MaskKey]:
    """The keys in a secret of Secrets Manager, the newest first.

    Args:
        secret: The secret's text: `{"version": 2, "key": "…", "older": {"1": "…"}}`.

    Raises:
        MaskKeyError: It has another form.
    """
    try:
        found = json.loads(secret)
        keys = {int(found["version"]): str(found["key"])}
        keys |= {int(version): str(key) for version, key in found.get("older", {}).items()}
        return [MaskKey(keys[version], version) for version in sorted(keys, reverse=True)]
    except (AttributeError, KeyError, TypeError, json.JSONDecodeError) as error:
        msg = 'The secret of the masks must hold {"version": 1, "key": "…"}'
        raise MaskKeyError(msg) from error


def _prf(secret: str, use: bytes) -> Callable[[bytes], bytes]:
    """HMAC-SHA256 with a key that is derived for one use (RFC 2104; both halves are prepared once)."""
    key = hmac.digest(secret.encode(), b"dynaberg mask: " + use, "sha256").ljust(64, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in key)) for pad in (0x36, 0x5C))

    def prf(data: bytes) -> bytes:
        first, second = inner.copy(), outer.copy()
        first.update(data)
        second.update(first.digest())
        return second.digest()

    return prf


def _last4(attribute: Any) -> Any:
    text = _text(attribute)
    return {"S": f"****{text[-4:]}" if len(text) > 8 else "****"}


def _year(form: str) -> Mask:
    def year(attribute: Any) -> Any:
        """The year of a date or a moment; NULL if it does not begin with one."""
        text = attribute.get("S") if isinstance(attribute, Mapping) else None
        match = _YEAR.match(text) if isinstance(text, str) else None
        return {"S": form.format(match[0])} if match else _NULL

    return year


def _text(attribute: Any) -> str:
    # Faster than isinstance; what DynamoDB hands over is a plain dict.
    text = attribute.get("S") if type(attribute) is dict else None
    return text if type(text) is str else to_json(attribute)


MASKS: dict[str, Mask | None] = {
    "drop": None,
    "null": lambda _: _NULL,
    "last4": _last4,
    "year": _year("{}"),
    # In a column of dates or moments, a year is its first moment.
    "year of date": _year("{}-01-01"),
    "year of timestamptz": _year("{}-01-01T00:00:00Z"),
}
ANY_KEY = MaskKey("0" * 64, 0)
"""For conversions of which only the key is read, or which table they concern: neither depends on it."""
