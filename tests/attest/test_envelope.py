"""Envelopes: DSSE as others write it is taken, anything else is refused before it is believed."""

from __future__ import annotations

import base64
import json
import time

import pytest

from dataguard.attest.envelope import PAYLOAD_TYPE, pae, parse_envelopes, sign
from dataguard.attest.keys import keygen, load_private, load_public
from dataguard.errors import RefusedError

PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1"}\xf0\x9f\x94\x92'  # base64 of it differs by alphabet


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return [load_private(keygen(folder / f"{n}.pem", ed25519=n == 2)[0]) for n in range(3)]


def signed(keys, *which):
    return json.loads(sign(PAYLOAD, [keys[n] for n in which or (0,)]))


def dumped(envelope) -> bytes:
    return json.dumps(envelope).encode()


def test_the_specification_s_vector():
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


def test_lengths_are_those_of_bytes():
    assert pae("é", b"") == b"DSSEv1 2 \xc3\xa9 0 "


def test_an_envelope_is_one_canonical_line(keys):
    data = sign(PAYLOAD, [keys[0]])
    assert data.count(b"\n") == 1
    assert data.endswith(b"\n")
    assert list(json.loads(data)) == ["payload", "payloadType", "signatures"]


@pytest.mark.parametrize("which", [(0,), (2,), (0, 1, 2)])
def test_the_caller_s_keys_decide(keys, which):
    [envelope] = parse_envelopes(sign(PAYLOAD, [keys[n] for n in which]))
    assert envelope.payload == PAYLOAD
    everyone = [key.public for key in keys]
    assert envelope.signers(everyone) == {keys[n].public.key_id for n in which}
    assert envelope.signers([]) == frozenset()


def test_a_key_under_two_ids_counts_once(keys):
    envelope = signed(keys)
    again = signed(keys)["signatures"][0]  # ECDSA: another signature by the same key
    envelope["signatures"].append({**again, "keyid": "another"})
    [parsed] = parse_envelopes(dumped(envelope))
    assert parsed.signers([keys[0].public, keys[0].public]) == {keys[0].public.key_id}


def good(change):
    def changed(envelope):
        change(envelope)
        return dumped(envelope)

    return changed


def url_safe(envelope):
    for holder, key in ((envelope, "payload"), (envelope["signatures"][0], "sig")):
        holder[key] = base64.urlsafe_b64encode(base64.b64decode(holder[key])).decode()


GOOD = [
    ("as it was signed", good(lambda e: None)),
    ("the key id is a hint: wrong", good(lambda e: e["signatures"][0].update(keyid="wrong"))),
    ("the key id is a hint: empty", good(lambda e: e["signatures"][0].update(keyid=""))),
    ("the key id is a hint: absent", good(lambda e: e["signatures"][0].pop("keyid"))),
    ("URL-safe base64", good(url_safe)),
    ("keys that DSSE may add later", good(lambda e: e.update(future={"a": [1]}))),
    ("keys that DSSE may add later to a signature", good(lambda e: e["signatures"][0].update(cert="x"))),
    ("a signature by somebody else beside it", good(lambda e: e["signatures"].append({"sig": "AAAA"}))),
    ("somebody else's signature first", good(lambda e: e["signatures"].insert(0, {"sig": "AAAA"}))),
    ("100 signatures", good(lambda e: e["signatures"].extend({"sig": base64.b64encode(bytes([n + 1])).decode()} for n in range(99)))),
    ("spaces and line breaks", lambda e: json.dumps(e, indent=2).encode()),
    ("keys in another order", lambda e: json.dumps(dict(reversed(e.items()))).encode()),
    ("escapes in strings", lambda e: dumped(e).replace(b"application/vnd", b"\\u0061pplication\\/vnd")),
    ("no line break at the end", lambda e: dumped(e)),
    ("a line break at the end", lambda e: dumped(e) + b"\n"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "change"), GOOD, ids=[case[0] for case in GOOD])
def test_good_envelopes_are_taken(keys, why, change):
    [parsed] = parse_envelopes(change(signed(keys)))
    assert parsed.payload == PAYLOAD
    assert parsed.signers([keys[0].public]) == {keys[0].public.key_id}


def put(**values):
    return good(lambda e: e.update(values))


def put_signature(**values):
    return good(lambda e: e["signatures"][0].update(values))


def text_of(key, change):
    def changed(envelope):
        holder = envelope if key == "payload" else envelope["signatures"][0]
        holder[key] = change(holder[key])
        return dumped(envelope)

    return changed


def last_bits(text):
    """Another text of the same bytes: the bits behind the end set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    bare = text.rstrip("=")
    assert len(bare) < len(text), "the sample needs padding"
    return bare[:-1] + alphabet[alphabet.index(bare[-1]) | 1] + "=" * (len(text) - len(bare))


PADDED = base64.b64encode(b"abcd").decode()
BAD = [
    ("another payload type would be parsed by other rules", put(payloadType="application/json")),
    ("a payload type that only looks like ours", put(payloadType=PAYLOAD_TYPE + " ")),
    ("a payload type in other case", put(payloadType=PAYLOAD_TYPE.upper())),
    ("a payload type that is none", put(payloadType=None)),
    ("no payload type", good(lambda e: e.pop("payloadType"))),
    ("no payload", good(lambda e: e.pop("payload"))),
    ("no list of signatures", good(lambda e: e.pop("signatures"))),
    ("no signature: an unsigned statement is none", put(signatures=[])),
    ("signatures that are an object", put(signatures={"0": {"sig": "AAAA"}})),
    ("a signature that is a string", put(signatures=["AAAA"])),
    ("a signature without sig", put(signatures=[{"keyid": "x"}])),
    ("an empty signature", put_signature(sig="")),
    ("a signature that is a number", put_signature(sig=1)),
    ("a key id that is a number", put_signature(keyid=1)),
    ("a signature of a megabyte", put_signature(sig="AAAA" * 300_000)),
    ("the same signature twice, to be counted twice", good(lambda e: e["signatures"].append(dict(e["signatures"][0])))),
    ("the same signature under two key ids", good(lambda e: e["signatures"].append({**e["signatures"][0], "keyid": "x"}))),
    ("101 signatures", put(signatures=[{"sig": base64.b64encode(n.to_bytes(2, "big")).decode()} for n in range(101)])),
    ("100,000 signatures cost time", put(signatures=[{"sig": base64.b64encode(n.to_bytes(3, "big")).decode()} for n in range(100_000)])),
    ("base64 with junk", text_of("payload", lambda text: text[:4] + "!" + text[4:])),
    ("base64 with a line break", text_of("payload", lambda text: text[:4] + "\n" + text[4:])),
    ("base64 with a space", text_of("sig", lambda text: " " + text)),
    ("base64 without its padding", lambda e: put(payload=PADDED.rstrip("="))(e)),
    ("base64 with too much padding", lambda e: put(payload=PADDED + "=")(e)),
    ("base64 behind its padding", lambda e: put(payload=PADDED + "AAAA")(e)),
    ("base64 with bits behind its end: two texts for the same bytes", lambda e: put(payload=last_bits(PADDED))(e)),
    ("base64 in both alphabets at once", lambda e: put(payload="+-AA")(e)),
    ("base64 of other letters", put(payload="ÄÄÄÄ")),
    ("a payload that is an object: decoded twice", put(payload={"_type": "x"})),
    ("a payload twice", lambda e: dumped(e)[:-1] + b',"payload":"AAAA"}'),
    ("a payload type twice", lambda e: dumped(e)[:-1] + b',"payloadType":"' + PAYLOAD_TYPE.encode() + b'"}'),
    ("a sig twice", lambda e: dumped(e).replace(b'"sig":', b'"sig": "AAAA", "sig":')),
    ("a key twice by escape", lambda e: dumped(e)[:-1] + b',"p\\u0061yload":"AAAA"}'),
    ("an array", lambda e: b"[" + dumped(e) + b"]"),
    ("NaN", lambda e: dumped(e)[:-1] + b',"x":NaN}'),
    ("an integer of 5,000 digits", lambda e: dumped(e)[:-1] + b',"x":' + b"9" * 5_000 + b"}"),
    ("200,000 levels", lambda e: dumped(e)[:-1] + b',"x":' + b"[" * 200_000 + b"]" * 200_000 + b"}"),
    ("half a surrogate pair", lambda e: dumped(e)[:-1] + b',"x":"\\ud800"}'),
    ("not UTF-8", lambda e: dumped(e)[:-1] + b',"x":"\xff"}'),
    ("a byte order mark", lambda e: b"\xef\xbb\xbf" + dumped(e)),
    ("something behind it", lambda e: dumped(e) + b"x"),
    ("an empty line behind it", lambda e: dumped(e) + b"\n\n"),
    ("101 lines", lambda e: (dumped(e) + b"\n") * 101),
    ("more than the size limit", lambda e: dumped(e) + b" " * (1 << 24)),
    ("nothing", lambda e: b""),
    ("cut off", lambda e: dumped(e)[:-1]),
    ("a bundle of another kind", lambda e: dumped({"dsseEnvelope": e})),
]  # fmt: skip


@pytest.mark.parametrize(("why", "change"), BAD, ids=[case[0] for case in BAD])
def test_bad_envelopes_are_refused_quickly(keys, why, change):
    data = change(signed(keys))
    started = time.perf_counter()
    with pytest.raises(RefusedError):
        parse_envelopes(data)
    assert time.perf_counter() - started < 1, why


UNSIGNED = [
    ("a flipped byte of the payload", lambda e: text_of("payload", lambda t: "A" + t[1:] if t[0] != "A" else "B" + t[1:])(e)),
    ("another payload", put(payload=base64.b64encode(PAYLOAD + b" ").decode())),
    ("an empty payload", put(payload="")),
    ("a flipped byte of the signature", lambda e: text_of("sig", lambda t: t[:20] + ("A" if t[20] != "A" else "B") + t[21:])(e)),
    ("a signature cut off", lambda e: text_of("sig", lambda t: base64.b64encode(base64.b64decode(t)[:-1]).decode())(e)),
    ("a signature extended", lambda e: text_of("sig", lambda t: base64.b64encode(base64.b64decode(t) + b"x").decode())(e)),
    ("zeros", put_signature(sig=base64.b64encode(bytes(64)).decode())),
    ("r = s = 0 in DER", put_signature(sig=base64.b64encode(bytes.fromhex("3006020100020100")).decode())),
]  # fmt: skip


@pytest.mark.parametrize(("why", "change"), UNSIGNED, ids=[case[0] for case in UNSIGNED])
def test_what_was_not_signed_has_no_signer(keys, why, change):
    [parsed] = parse_envelopes(change(signed(keys)))
    assert parsed.signers([key.public for key in keys]) == frozenset(), why


@pytest.mark.parametrize("key", [0, 2])
def test_any_flipped_bit_is_refused(keys, key):
    """But in the key id, which is a hint and signed by nobody: there the same payload has the same signer."""
    good = sign(PAYLOAD, [keys[key]])
    start = good.index(b'"keyid":')
    hint = range(start, good.index(b'"sig"', start))
    for bit in range(len(good) * 8):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        try:
            [parsed] = parse_envelopes(bytes(bad))
        except RefusedError:
            continue
        assert parsed.payload == PAYLOAD or not parsed.signers([keys[key].public])
        assert bit // 8 in hint or not parsed.signers([keys[key].public])


def test_a_signature_of_the_bare_payload_is_none(keys):
    envelope = signed(keys)
    envelope["signatures"] = [{"sig": base64.b64encode(keys[0].sign(PAYLOAD)).decode()}]
    [parsed] = parse_envelopes(dumped(envelope))
    assert not parsed.signers([keys[0].public])


def test_a_signature_for_another_type_is_none(keys):
    envelope = signed(keys)
    envelope["signatures"] = [{"sig": base64.b64encode(keys[0].sign(pae("text/plain", PAYLOAD))).decode()}]
    [parsed] = parse_envelopes(dumped(envelope))
    assert not parsed.signers([keys[0].public])


def test_envelopes_stand_a_line_each(keys):
    data = sign(b"1", [keys[0]]) + sign(b"2", [keys[1]])
    assert [envelope.payload for envelope in parse_envelopes(data)] == [b"1", b"2"]


def test_securesystemslib_agrees(keys, tmp_path):
    """Another implementation of DSSE verifies ours, where it is installed."""
    dsse = pytest.importorskip("securesystemslib.dsse", reason="securesystemslib is not installed")
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from securesystemslib.signer import SSlibKey

    for number in (0, 2):
        key = keys[number].public.key
        assert isinstance(key, (ec.EllipticCurvePublicKey, ed25519.Ed25519PublicKey))
        theirs = SSlibKey.from_crypto(key, keyid=keys[number].public.key_id)
        envelope = dsse.Envelope.from_dict(signed(keys, number))
        assert envelope.pae() == pae(PAYLOAD_TYPE, PAYLOAD)
        envelope.verify([theirs], 1)
        envelope.payload += b" "
        with pytest.raises(Exception, match="Accepted signatures"):
            envelope.verify([theirs], 1)


def test_public_keys_load_from_their_files(tmp_path):
    private, public = keygen(tmp_path / "KEY.pem")
    [envelope] = parse_envelopes(sign(PAYLOAD, [load_private(private)]))
    assert envelope.signers([load_public(public)])
