"""Bytes that nobody should have written, and ways to spoil those that somebody should have."""

from __future__ import annotations

import json
import random
from typing import Any

DEEP = 5_000
HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n",
    "no JSON": b"not JSON",
    "cut": b'{"name":"x',
    "null": b"null",
    "number": b"-1",
    "text": b'"x"',
    "list": b"[]",
    "object": b"{}",
    "list of nothing": b"[null,{},[],1]",
    "deep list": b"[" * DEEP + b"]" * DEEP,
    "deep object": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep, open": b"[" * 100_000,
    "as deep as Python goes": b"[" * 900 + b"]" * 900,
    "a deep member": b'{"name":' + b"[" * 1_000 + b"]" * 1_000 + b"}",
    "a deep stranger": b'{"x":' + b"[" * 980 + b"]" * 980 + b"}",
    "not UTF-8": b"\xff\xfe{}",
    "not UTF-8 within": b'{"name":"\xff"}',
    "a name not UTF-8": b'{"\xff":1}',
    "half a pair": b'{"name":"\\ud800"}',
    "half a pair, raw": b'{"name":"\xed\xa0\x80"}',
    "NUL": b'{"name":"\\u0000"}',
    "a mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "NaN": b'{"vrf_id":NaN}',
    "infinity": b'{"vrf_id":1e999}',
    "many digits": b'{"vrf_id":' + b"9" * 5_000 + b"}",
    "a large number": b'{"vrf_id":123456789012345678901234567890}',
    "twins": b'{"name":"x","name":"y"}',
    "a member twice, two spellings": b'{"vrf_id":1,"vrfId":2}',
    "escapes": b'{"name":"\\u001b[31m\\u202e\\u200b"}',
    "large": b'{"name":"' + b"x" * (10 << 20) + b'"}',
    "many": b"[" + b"[]," * 500_000 + b"[]]",
    "long": b'{"name":"' + b"x" * 200_000 + b'"}',
}
"""By what is wrong with it."""

ODD: tuple[Any, ...] = (
    *(None, True, 0, -1, 1.5, 2**31, 2**63, 2**64, 10**30, "", "x", "0", "²", "\x00", "\x1b[31m"),
    *("::", "::1", "fd00::5", "fd00::5%eth0", "::ffff:1.2.3.4", "1.2.3.4", "1.2.3.4/32", "/"),
    *("fd00::/129", "fd00::5/-1", "fd00::5/128", "a" * 3_000, "é" * 90, "\u202e", [], {}, [[]]),
    *([None], [1], [""], [{}], {"": 1}, {"a": {"a": {}}}, ["fd00::5", "fd00::5"], [["x"]] * 3),
)
"""Values that may stand anywhere in a value of JSON."""


def spoilt(chance: random.Random, value: bytes) -> bytes:
    """The value with something wrong in it: in its bytes, or in what they mean."""
    if chance.random() < 0.5:
        return _with_other_bytes(chance, value)
    try:
        body = json.loads(value)
    except (ValueError, RecursionError):
        return _with_other_bytes(chance, value)
    for _ in range(chance.randint(1, 3)):
        body = _with_another_part(chance, body)
    return json.dumps(body, ensure_ascii=chance.random() < 0.5).encode(errors="surrogatepass")


_TOKENS = (
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b"null", b"1e999", b"-", b"\x00", b"\xff"),
    *(b"\\ud800", b"\xed\xa0\x80", b" ", b"\n", b"[" * 200, b"[" * 2_000, b'{"a":' * 2_000),
)


def _with_other_bytes(chance: random.Random, value: bytes) -> bytes:
    found = bytearray(value or b" ")
    for _ in range(chance.randint(1, 4)):
        at, to = sorted(chance.randrange(len(found) + 1) for _ in range(2))
        match chance.randrange(5):
            case 0:
                found[at:to] = b""
            case 1:
                found[at:at] = found[at:to]
            case 2:
                found[at:at] = chance.choice(_TOKENS)
            case 3:
                found[at : at + 1] = bytes([chance.randrange(256)])
            case _:
                found[at:to] = bytes(reversed(found[at:to]))
    return bytes(found)


def _with_another_part(chance: random.Random, body: Any) -> Any:
    if chance.random() < 0.3 or not isinstance(body, dict | list) or not body:
        return chance.choice(ODD)
    if isinstance(body, list):
        index = chance.randrange(len(body))
        if chance.random() < 0.2:
            return [*body, *body]
        return [*body[:index], _with_another_part(chance, body[index]), *body[index + 1 :]]
    name = chance.choice(sorted(body))
    match chance.randrange(5):
        case 0:
            return {key: item for key, item in body.items() if key != name}
        case 1:
            return {**body, chance.choice(("", "x", "vrfId", "ipAddresses", "\x00")): body[name]}
        case _:
            return {**body, name: _with_another_part(chance, body[name])}
