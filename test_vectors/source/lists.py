"""Status lists and identifier lists: revoked, valid, and lists that must not be believed, one defect each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from mdl.cbor import encode
from mdl.keys import SoftwareSigner
from mdl.pki import Certificate
from mdl.testing import (
    TEST_TIME,
    CertificateRecipe,
    Recipe,
    ThrowawayAuthority,
    deterministic_key,
    distinguished_name,
    throwaway_authority,
)
from reader.report import Outcome
from test_vectors.source.case import Attacks, Honest, Kind
from test_vectors.source.encodings import SMALL
from test_vectors.source.stage import AUTHORITY, DAY, SECOND, Fields, evidence, moment, usage
from tests.status_forgery import (
    ALG,
    CA_KEY,
    EXP,
    IAT,
    LIST_KEY,
    NBF,
    REVOKED_ID,
    REVOKED_INDEX,
    STATUS_LIST,
    SUB,
    TTL,
    TYP,
    URI,
    VALID_ID,
    VALID_INDEX,
    X5CHAIN,
    Token,
    below,
    ca_recipe,
    deflated,
    signer_recipe,
    status_list,
)

HOUSE = throwaway_authority()
OTHER_HOUSE = ThrowawayAuthority("Other")
NAMESAKE = ThrowawayAuthority(generation=2)
ROOT = HOUSE.iaca_certificate
SIGNER = signer_recipe(HOUSE)
CA = ca_recipe(HOUSE)
STRANGER = deterministic_key("stranger")

VALID = {"status_list": {"idx": VALID_INDEX, "uri": URI}}
REVOKED = {"status_list": {"idx": REVOKED_INDEX, "uri": URI}}
VALID_BY_ID = {"identifier_list": {"id": VALID_ID, "uri": URI}}
REVOKED_BY_ID = {"identifier_list": {"id": REVOKED_ID, "uri": URI}}


def by(
    recipe: CertificateRecipe, *above: CertificateRecipe, signer: SoftwareSigner = LIST_KEY, **changes: Any
) -> Token:
    """A token signed under that certificate and those above it."""
    return Token(signer=signer, chain=tuple(one.build() for one in (recipe, *above)), **changes)


def pinned(certificate: bytes, index: int = VALID_INDEX) -> dict[str, Any]:
    return {"status_list": {"idx": index, "uri": URI, "certificate": certificate}}


def purpose(oid: str, *, critical: bool = False) -> tuple[x509.ExtensionType, bool]:
    return x509.ExtendedKeyUsage([ObjectIdentifier(oid)]), critical


def constraints(path_length: int | None, *, ca: bool = True) -> tuple[x509.ExtensionType, bool]:
    return x509.BasicConstraints(ca=ca, path_length=path_length), True


def foreign_key_identifier() -> tuple[x509.ExtensionType, bool]:
    return x509.AuthorityKeyIdentifier(b"\x01" * 20, None, None), False


# --- lists and their defects ------------------------------------------------------------------------------------------

DEEP = ca_recipe(HOUSE, deterministic_key("deep CA")).with_changes(
    subject=distinguished_name(C="US", ST="US-UT", CN="Deep CA")
)
DEEP_KEY = deterministic_key("deep CA")

NOBODY: dict[str, tuple[Token, str]] = {
    # (2) the signature
    "a stranger's key": (Token(signer=STRANGER), "signature"),
    "changed after signing": (Token(tamper=Token(content=status_list({1: 1})).encoded_claims()), "signature"),
    "another algorithm than the key's": (Token(protected={ALG: -35}), "does not go with"),
    "no algorithm": (Token(protected={ALG: None}), "no signature algorithm"),
    "no certificate": (Token(protected={X5CHAIN: None}), "no certificate"),
    "certificate outside the protected header": (
        Token(protected={X5CHAIN: None}, unprotected={X5CHAIN: Token().chain[0]}),
        "no certificate",
    ),
    "garbage for a certificate": (Token(chain=(b"\x30\x03\x02\x01\x00",)), "not"),
    # (3), (4) the chain
    "a stranger issued it under the root's name": (by(SIGNER.with_changes(signer=STRANGER)), "does not lead"),
    "another root issued it": (by(signer_recipe(OTHER_HOUSE)), "does not lead"),
    "a namesake's root issued it": (by(signer_recipe(NAMESAKE)), "does not lead"),
    "self-signed": (by(SIGNER.with_changes(issuer=SIGNER.subject, signer=LIST_KEY)), "does not lead"),
    "the document signer issued it": (
        by(below(SIGNER, HOUSE.ds_recipe, HOUSE.ds_key), HOUSE.ds_recipe),
        "revocation-list-ca.",
    ),
    "issued under another name": (
        by(SIGNER.with_changes(issuer=distinguished_name(C="US", ST="US-UT", CN="Somebody"))),
        "revocation-list.issuer.name",
    ),
    "issued by another key identifier": (
        by(SIGNER.with_changes(extensions={"aki": foreign_key_identifier()})),
        "revocation-list.aki.mismatch",
    ),
    "the CA is left out": (by(below(SIGNER, CA, CA_KEY)), "does not lead"),
    "the chain upside down": (
        Token(chain=tuple(reversed(by(below(SIGNER, CA, CA_KEY), CA).chain))),
        "signature",
    ),
    "a stranger on top": (by(below(SIGNER, CA, CA_KEY), CA, OTHER_HOUSE.iaca_recipe), "does not lead"),
    "the CA is none": (
        by(below(SIGNER, CA, CA_KEY), CA.with_changes(extensions={"bc": constraints(None, ca=False)})),
        "revocation-list-ca.bc.not-ca",
    ),
    "the CA says nothing of being one": (
        by(below(SIGNER, CA, CA_KEY), CA.with_changes(extensions={"bc": None})),
        "revocation-list-ca.bc.missing",
    ),
    "the CA may not sign certificates": (
        by(below(SIGNER, CA, CA_KEY), CA.with_changes(extensions={"ku": usage(digital_signature=True)})),
        "revocation-list-ca.ku.bits",
    ),
    "the CA has no key usage": (
        by(below(SIGNER, CA, CA_KEY), CA.with_changes(extensions={"ku": None})),
        "revocation-list-ca.ku.missing",
    ),
    "the CA has a critical extension": (
        by(
            below(SIGNER, CA, CA_KEY),
            CA.with_changes(
                extensions={"odd": (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)}
            ),
        ),
        "revocation-list-ca.extension.unknown",
    ),
    "the CA has name constraints": (
        by(
            below(SIGNER, CA, CA_KEY),
            CA.with_changes(extensions={"nc": (x509.NameConstraints([x509.DNSName("x.example")], None), False)}),
        ),
        "revocation-list-ca.extension.forbidden",
    ),
    "the CA is below one that permits none": (
        by(below(SIGNER, DEEP, DEEP_KEY), below(DEEP, CA, CA_KEY), CA),
        "longer than one of its CAs permits",
    ),
    "the CA's name is not the issuer's": (
        by(below(SIGNER, CA, CA_KEY).with_changes(issuer=distinguished_name(C="US", ST="US-UT", CN="Else")), CA),
        "revocation-list.issuer.name",
    ),
    "below the CA, of another country": (
        by(
            below(SIGNER, CA, CA_KEY).with_changes(
                subject=distinguished_name(C="CA", CN="Signer"),
                issuer=distinguished_name(C="CA", CN="List CA"),
            ),
            CA.with_changes(subject=distinguished_name(C="CA", CN="List CA")),
        ),
        "revocation-list.issuer.country",
    ),
    # (5) the profile
    "the document signer signs lists": (
        Token(signer=HOUSE.ds_key, chain=(HOUSE.ds_certificate.der,)),
        "revocation-list.eku.foreign",
    ),
    "a reader's certificate": (by(SIGNER.with_changes(extensions={"eku": purpose("1.0.18013.5.1.6")})), "eku.foreign"),
    "a CA's key usage": (
        by(SIGNER.with_changes(extensions={"ku": usage(digital_signature=True, key_cert_sign=True)})),
        "revocation-list.ku.ca-bits",
    ),
    "no digitalSignature": (
        by(SIGNER.with_changes(extensions={"ku": usage(content_commitment=True)})),
        "revocation-list.ku.bits",
    ),
    "no key usage": (by(SIGNER.with_changes(extensions={"ku": None})), "revocation-list.ku.missing"),
    "a CA signs lists": (by(SIGNER.with_changes(extensions={"bc": constraints(None)})), "revocation-list.bc.ca"),
    "the root signs lists": (
        Token(signer=HOUSE.iaca_key, chain=(ROOT.der,)),
        "revocation-list.ku.",
    ),
    "another country": (
        by(SIGNER.with_changes(subject=distinguished_name(C="CA", ST="US-UT", CN="Signer"))),
        "revocation-list.issuer.country",
    ),
    "another state": (
        by(SIGNER.with_changes(subject=distinguished_name(C="US", ST="US-NV", CN="Signer"))),
        "revocation-list.issuer.state",
    ),
    "a critical extension": (
        by(
            SIGNER.with_changes(
                extensions={"odd": (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)}
            )
        ),
        "revocation-list.extension.unknown",
    ),
}
UNUSABLE: dict[str, tuple[Token, str]] = {
    # (6), (7) the times
    "no exp": (Token(claims={EXP: None}), "does not say when it expires"),
    "expired": (Token(expires=TEST_TIME), "expired"),
    "from the future": (Token(issued=TEST_TIME + SECOND), "future"),
    "not to be used yet": (Token(claims={NBF: int(TEST_TIME.timestamp()) + 1}), "future"),
    "the signer has expired": (by(SIGNER.with_changes(not_after=TEST_TIME - SECOND)), "is not valid"),
    "the signer is not valid yet": (by(SIGNER.with_changes(not_before=TEST_TIME + SECOND)), "is not valid"),
    "the CA has expired": (
        by(below(SIGNER, CA, CA_KEY), CA.with_changes(not_after=TEST_TIME - SECOND)),
        "is not valid",
    ),
}
UNREADABLE: dict[str, tuple[Token, str]] = {
    # (8) the list
    "two bits": (Token(content=status_list(bits=2)), "one bit"),
    "no status": (Token(content={"bits": 1, "lst": deflated(b"")}), "without a status"),
    "no index": (Token(content={"bits": 8, "lst": deflated(bytes(7))}), "no such index"),
    "cut off": (Token(content={"bits": 1, "lst": deflated(bytes(8))[:-2]}), "cut off"),
    "a bomb": (Token(content={"bits": 1, "lst": deflated(bytes((16 << 20) + 1))}), "inflates to more"),
    # (1) what it is for
    "another kind of list": (Token.of_identifiers(), "another kind"),
}
NOT_VALID: dict[str, tuple[Token, str]] = {
    "revoked": (Token(content=status_list({VALID_INDEX: 1}, bits=8)), "revoked"),
    "suspended": (Token(content=status_list({VALID_INDEX: 2}, bits=2)), "suspended"),
    "something else": (Token(content=status_list({VALID_INDEX: 3}, bits=2)), "something else"),
    "the application's own": (Token(content=status_list({VALID_INDEX: 0x0C}, bits=4)), "something else"),
}
FORGERIES = NOBODY | UNUSABLE | UNREADABLE

PROFILE = ("status.profile",)
TOLERATED: dict[str, tuple[Token, tuple[str, ...]]] = {
    "short typ": (Token(protected={TYP: "statuslist+cwt"}), ("status.typ.short",)),
    "typ among the claims": (
        Token(protected={TYP: None}, claims={TYP: "application/statuslist+cwt"}),
        ("status.typ.claim",),
    ),
    "no authority key identifier": (by(SIGNER.with_changes(extensions={"aki": None})), PROFILE),
    "longer than 1187 days": (
        by(SIGNER.with_changes(not_after=SIGNER.not_before + 1188 * DAY)),
        PROFILE,
    ),
    "a purpose of its own": (by(SIGNER.with_changes(extensions={"eku": purpose("1.3.6.1.5.5.7.3.99")})), ()),
    "a CA in between, which the root does not permit": (
        by(below(SIGNER, CA, CA_KEY), CA),
        ("status.path_length",),
    ),
    "a CA in between that sets no limit": (
        by(below(SIGNER, CA, CA_KEY), CA.with_changes(extensions={"bc": constraints(None)})),
        ("status.path_length",),
    ),
    "a CA in between whose constraints are not critical": (
        by(
            below(SIGNER, CA, CA_KEY),
            CA.with_changes(extensions={"bc": (x509.BasicConstraints(ca=True, path_length=0), False)}),
        ),
        ("status.profile", "status.path_length"),
    ),
    "two CAs in between": (
        by(
            below(SIGNER, DEEP, DEEP_KEY),
            below(DEEP, CA, CA_KEY),
            CA.with_changes(extensions={"bc": constraints(1)}),
        ),
        ("status.path_length",),
    ),
    "the root sent along": (by(SIGNER, HOUSE.iaca_recipe), ()),
    "an end before the list begins": (Token(claims={NBF: 1}), ()),
    "a time to live that is negative": (Token(claims={TTL: -1}), ("status.ttl",)),
}

attack = Attacks()
accept = Honest()
accept.section("status", "18013-5 second edition (draft) 12.3.6")
_status: Any
STATUS = "mso.status"


def with_status(status: Any, *tokens: Token | bytes, required: bool = False) -> Fields:
    """A licence with that status member, the tokens at hand, and a fresh CRL."""
    built = tuple(token.build() if isinstance(token, Token) else token for token in tokens)
    return {"mso_status": status, **evidence(AUTHORITY.crl(), required=required, tokens=built)}


def judged(name: str, status: Any, *tokens: Token | bytes, **expected: Any) -> None:
    """An attack on the status, where the CRL has decided about the document signer."""
    attack(STATUS, name, lambda: with_status(status, *tokens), judged=True, **expected)


def useless(name: str, fields: Callable[..., Fields], *, kind: Kind = Kind.MUST_REJECT, judged: bool = True) -> None:
    """Lists that can neither revoke nor clear count as absent: refused where evidence is demanded, else left open.

    Args:
        name: What is wrong.
        fields: What departs from the honest scene, given whether evidence is demanded.
        kind: What any reader makes of it where evidence is demanded.
        judged: Whether evidence has decided about the document signer's revocation.
    """
    attack(STATUS, name, lambda: fields(required=True), outcome=Outcome.INDETERMINATE, judged=judged, kind=kind)
    accept(
        f"a list that can neither revoke nor clear: {name}",
        lambda: fields(required=False),
        judged=judged,
        left_open=(STATUS,),
        kind=Kind.MAY_REJECT,
    )


def unusable(name: str, status: Any, *tokens: Token | bytes, kind: Kind = Kind.MUST_REJECT) -> None:
    """As `useless`, of a licence with that status member and these tokens."""
    useless(name, lambda required: with_status(status, *tokens, required=required), kind=kind)


# --- the status member ------------------------------------------------------------------------------------------------

for _name, _status in {"text": "valid", "a list": [], "an integer": 0, "true": True}.items():
    attack(STATUS, f"a status that is {_name}", {"mutate_mso": lambda mso, value=_status: mso.update(status=value)})
for _name, _status in {
    "a negative index": {"status_list": {"idx": -1, "uri": URI}},
    "an index that is text": {"status_list": {"idx": "7", "uri": URI}},
    "an index that is true": {"status_list": {"idx": True, "uri": URI}},
    "no index": {"status_list": {"uri": URI}},
    "no address": {"status_list": {"idx": VALID_INDEX}},
    "an address that is bytes": {"status_list": {"idx": VALID_INDEX, "uri": URI.encode()}},
    "no identifier": {"identifier_list": {"uri": URI}},
    "an identifier that is text": {"identifier_list": {"id": "7", "uri": URI}},
    "a reference that is a list": {"status_list": [VALID_INDEX, URI]},
    "a reference that is null": {"status_list": None},
    "a certificate that is text": {"status_list": {"idx": VALID_INDEX, "uri": URI, "certificate": "x"}},
}.items():
    judged(f"malformed: {_name}", _status, Token(), Token.of_identifiers())
accept(
    "a status list that nobody can look into",
    {"mso_status": {"status_list": {"idx": 1, "uri": "https://a.example"}}},
    left_open=(STATUS,),
)
for _required in (False, True):
    accept(
        f"a status that is null{', evidence demanded' if _required else ''}",
        lambda required=_required: {
            "mutate_mso": lambda mso: mso.update(status=None),
            **evidence(AUTHORITY.crl(), required=required),
        },
        judged=True,
        warnings=["status.null"],
    )
accept("a status that is empty", {"mso_status": {}}, left_open=(STATUS,))
accept("a status of a kind that is not known", {"mso_status": {"later": {"idx": 1}}}, left_open=(STATUS,))
accept(
    "a status in the flat form of another profile",
    {"mso_status": {"type": "TokenStatusList", "purpose": "revocation", "index": 7, "uri": URI}},
    left_open=(STATUS,),
    kind=Kind.MAY_REJECT,
)
accept(
    "a kind of list that is not known beside one that is",
    lambda: with_status(VALID | {"later": 1}, Token()),
    judged=True,
    warnings=["status.unknown"],
    kind=Kind.VALID,
)
accept(
    "references with members that are not known",
    lambda: with_status({"status_list": VALID["status_list"] | {"later": 1}}, Token()),
    judged=True,
)

# --- revoked, and valid -----------------------------------------------------------------------------------------------

judged("revoked by a status list", REVOKED, Token())
judged("revoked by an identifier list", REVOKED_BY_ID, Token.of_identifiers())
judged("revoked by an identifier list of many", REVOKED_BY_ID,
       Token.of_identifiers(*(bytes((number,)) * 16 for number in range(190, 220))))  # fmt: skip
attack(STATUS, "revoked, evidence demanded", lambda: with_status(REVOKED, Token(), required=True), judged=True)
judged("revoked by a list that is stale", REVOKED, Token(expires=moment(-SECOND)))
judged("revoked by a list that is stale, and a newer one forgets it", REVOKED,
       Token(issued=moment(-30 * DAY), expires=moment(-29 * DAY)), Token(content=status_list({0: 1})))  # fmt: skip
judged("revoked by the older of two lists", REVOKED, Token(content=status_list({0: 1})), Token(issued=moment(-DAY)))
judged("revoked by a list that has no end", REVOKED, Token(claims={EXP: None}))
judged("revoked by a list that is as old as one that forgets it", REVOKED, Token(content=status_list({0: 1})), Token())
judged("suspended by a list that is stale", VALID,
       Token(content=status_list({VALID_INDEX: 2}, bits=2), expires=moment(-SECOND)))  # fmt: skip
judged("suspended by a list that is as old as one that says valid", VALID, Token(),
       Token(content=status_list({VALID_INDEX: 2}, bits=2)))  # fmt: skip
unusable("suspended, and a newer list that says valid has expired", VALID,
         Token(content=status_list({VALID_INDEX: 2}, bits=2), issued=moment(-DAY)),
         Token(expires=moment(-SECOND)))  # fmt: skip
unusable("a list that was fresh for longer than the newer one", VALID, Token(issued=moment(-DAY)),
         Token(expires=moment(-SECOND)))  # fmt: skip
judged("revoked by a list whose signer has expired", REVOKED,
       by(SIGNER.with_changes(not_after=TEST_TIME - SECOND)))  # fmt: skip
judged("revoked by a status list and a kind of list that is not known", REVOKED | {"later": 1}, Token())
for _name, _status in {"valid": VALID, "valid, by identifier": VALID_BY_ID}.items():
    for _required in (False, True):
        accept(
            f"{_name}, evidence {'demanded' if _required else 'given'}",
            lambda status=_status, required=_required: with_status(
                status, Token(), Token.of_identifiers(), required=required
            ),
            judged=True,
        )
_ELSEWHERE = "https://lists.throwaway.example/2"


def _doubled_claim() -> bytes:
    """Claims with two lists, of which one says that nobody is revoked."""
    claims = Token().encoded_claims()
    return bytes((claims[0] + 1,)) + claims[1:] + encode(STATUS_LIST) + encode(status_list({0: 1}))


def both(index: int, identifier: bytes) -> dict[str, Any]:
    """A status list and an identifier list, at two addresses."""
    return {
        "status_list": {"idx": index, "uri": URI},
        "identifier_list": {"id": identifier, "uri": _ELSEWHERE},
    }


def _two_documents(*tokens: Token, required: bool = False) -> Fields:
    """Two licences with lists at two addresses."""
    second = {"status_list": {"idx": VALID_INDEX, "uri": _ELSEWHERE}}
    return {
        "others": [Recipe(namespaces=SMALL, mso_status=second)],
        "namespaces": SMALL,
        **with_status(VALID, *tokens, required=required),
    }


_IDENTIFIERS = Token.of_identifiers(uri=_ELSEWHERE)
accept("valid by two lists", lambda: with_status(both(VALID_INDEX, VALID_ID), Token(), _IDENTIFIERS), judged=True)
judged("two lists named, revoked by the first", both(REVOKED_INDEX, VALID_ID), Token(), _IDENTIFIERS)
judged("two lists named, revoked by the second", both(VALID_INDEX, REVOKED_ID), Token(), _IDENTIFIERS)
judged("two lists named, revoked by the only one at hand", both(VALID_INDEX, REVOKED_ID), _IDENTIFIERS)
attack(
    STATUS,
    "two lists named, one at hand where both are demanded",
    lambda: with_status(both(VALID_INDEX, VALID_ID), Token(), required=True),
    outcome=Outcome.INDETERMINATE,
    judged=True,
)
accept("two lists named, one at hand", lambda: with_status(both(VALID_INDEX, VALID_ID), Token()), judged=True,
       left_open=(STATUS,))  # fmt: skip
for _name, (_token, _) in NOT_VALID.items():
    judged(f"the list says: {_name}", VALID, _token,
           kind=Kind.MUST_REJECT if _name in {"revoked", "suspended"} else Kind.MAY_REJECT)  # fmt: skip
# The Token Status List has them, its profile for the mdoc has not.
unusable("a list of eight bits that says valid", VALID, Token(content=status_list({REVOKED_INDEX: 1}, bits=8)),
       kind=Kind.MAY_REJECT)  # fmt: skip
unusable("a list without its tag", VALID, Token(tag=b""), kind=Kind.MAY_REJECT)
unusable("an index beyond the list", {"status_list": {"idx": 64, "uri": URI}}, Token())
unusable("an index far beyond the list", {"status_list": {"idx": 2**62, "uri": URI}}, Token())
accept(
    "the last index of the list",
    lambda: with_status({"status_list": {"idx": 63, "uri": URI}}, Token()),
    judged=True,
)
accept(
    "the neighbours of a revoked index",
    lambda: with_status({"status_list": {"idx": REVOKED_INDEX + 8, "uri": URI}}, Token()),
    judged=True,
)
accept("an identifier list in which nobody is listed",
       lambda: with_status(VALID_BY_ID, Token.of_identifiers().but(content={"identifiers": {}})),
       judged=True)  # fmt: skip
accept("an identifier that begins as a revoked one does",
       lambda: with_status({"identifier_list": {"id": REVOKED_ID[:-1], "uri": URI}}, Token.of_identifiers()),
       judged=True)  # fmt: skip

# --- lists that must not be believed ----------------------------------------------------------------------------------

# The standard leaves these to the reader, or a reader of other limits takes them.
_LEFT_TO_THE_READER = frozenset(("certificate outside the protected header", "two bits", "a bomb", "no exp"))
for _name, (_token, _) in FORGERIES.items():
    unusable(f"a list of one who says valid: {_name}", VALID, _token,
           kind=Kind.MAY_REJECT if _name in _LEFT_TO_THE_READER else Kind.MUST_REJECT)  # fmt: skip
unusable("a list by a stranger's signer, who pardons", REVOKED,
       by(signer_recipe(NAMESAKE), content=status_list({0: 1})))  # fmt: skip
for _name, _status, _token, _kind in (
    ("no typ", VALID, Token(protected={TYP: None}), Kind.MUST_REJECT),
    ("the typ of the other kind", VALID, Token(protected={TYP: "application/identifierlist+cwt"}), Kind.MUST_REJECT),
    ("the typ of another token", VALID, Token(protected={TYP: "application/cwt"}), Kind.MUST_REJECT),
    ("a typ that is a number", VALID, Token(protected={TYP: 61}), Kind.MUST_REJECT),
    ("an identifier list as a status list", VALID_BY_ID, Token.of_identifiers(
        protected={TYP: "application/statuslist+cwt"}), Kind.MUST_REJECT),
    ("no sub", VALID, Token(claims={SUB: None}), Kind.MUST_REJECT),
    ("a sub that is bytes", VALID, Token(claims={SUB: URI.encode()}), Kind.MUST_REJECT),
    ("no iat", VALID, Token(claims={IAT: None}), Kind.MUST_REJECT),
    ("an iat that is text", VALID, Token(claims={IAT: "now"}), Kind.MUST_REJECT),
    ("an exp that is text", VALID, Token(claims={EXP: "later"}), Kind.MUST_REJECT),
    ("an exp that is not a number", VALID, Token(claims={EXP: float("nan")}), Kind.MUST_REJECT),
    ("an exp without end", VALID, Token(claims={EXP: float("inf")}), Kind.MUST_REJECT),
    ("no list", VALID, Token(claims={STATUS_LIST: None}), Kind.MUST_REJECT),
    ("a list that is text", VALID, Token(content={"bits": 1, "lst": "eNoDAAAAAAE"}), Kind.MUST_REJECT),
    ("a list that is not compressed", VALID, Token(content={"bits": 1, "lst": bytes(8)}), Kind.MUST_REJECT),
    ("a list with bytes behind it", VALID,
     Token(content={"bits": 1, "lst": deflated(bytes(8)) + b"\0"}), Kind.MAY_REJECT),
    ("bits that no list has", VALID, Token(content=status_list() | {"bits": 3}), Kind.MUST_REJECT),
    ("no bits", VALID, Token(content={"lst": deflated(bytes(8))}), Kind.MUST_REJECT),
    ("identifiers in an array", VALID_BY_ID,
     Token.of_identifiers().but(content={"identifiers": [REVOKED_ID]}), Kind.MUST_REJECT),
    ("identifiers that are text", VALID_BY_ID,
     Token.of_identifiers().but(content={"identifiers": {"cc": {}}}), Kind.MUST_REJECT),
    ("no identifiers", VALID_BY_ID, Token.of_identifiers().but(content={}), Kind.MUST_REJECT),
    ("in the wrapping of a CWT", VALID, Token(tag=b"\xd8\x3d\xd2"), Kind.MAY_REJECT),
    ("under the tag of a MAC", VALID, Token(tag=b"\xd1"), Kind.MUST_REJECT),
    ("claims that are a list", VALID, Token(payload=b"\x80"), Kind.MUST_REJECT),
    ("claims with a byte behind them", VALID, Token(payload=Token().encoded_claims() + b"\0"), Kind.MUST_REJECT),
    ("a claim twice", VALID, Token(payload=_doubled_claim()), Kind.MUST_REJECT),
):  # fmt: skip
    unusable(f"a malformed list: {_name}", _status, _token, kind=_kind)
useless(
    "a token that is none",
    lambda required: {"mso_status": VALID, **evidence(required=required, tokens=(b"token",))},
    judged=False,
)
attack(
    STATUS,
    "evidence demanded and absent",
    lambda: with_status(VALID, required=True),
    outcome=Outcome.INDETERMINATE,
    judged=True,
)
attack(
    STATUS,
    "evidence demanded, and only another address's list at hand",
    lambda: with_status(VALID, Token(uri=URI + "2"), required=True),
    outcome=Outcome.INDETERMINATE,
    judged=True,
)
unusable("lists of other addresses only", VALID, Token(uri=_ELSEWHERE), kind=Kind.MAY_REJECT)
unusable("a list of another address, by nobody", VALID, Token(uri=_ELSEWHERE, signer=STRANGER), kind=Kind.MAY_REJECT)
unusable("two lists named, one at hand, and one of another address", both(VALID_INDEX, VALID_ID), Token(),
       Token(uri=URI + "3"), kind=Kind.MAY_REJECT)  # fmt: skip
useless(
    "two documents, the list of the first and one of another address",
    lambda required: _two_documents(Token(), Token(uri=URI + "3"), required=required),
    kind=Kind.MAY_REJECT,
)
attack(
    STATUS,
    "two documents, one list at hand where both are demanded",
    lambda: _two_documents(Token(), required=True),
    outcome=Outcome.INDETERMINATE,
    judged=True,
)
attack(
    STATUS,
    "evidence demanded, and the status of a kind that is not known",
    lambda: with_status({"later": {"idx": 1}}, Token(), required=True),
    outcome=Outcome.INDETERMINATE,
    judged=True,
    kind=Kind.MAY_REJECT,
)
for _name, _certificate in {
    "empty": b"",
    "garbage": b"\xaa",
    "of a namesake": NAMESAKE.iaca_certificate.der,
    "of another authority": OTHER_HOUSE.iaca_certificate.der,
    "of the list's own signer": SIGNER.build(),
    "expired": HOUSE.iaca_recipe.with_changes(not_after=TEST_TIME - SECOND).build(),
    "not valid yet": HOUSE.iaca_recipe.with_changes(not_before=TEST_TIME + SECOND).build(),
}.items():
    unusable(f"a certificate is named that did not sign the list: {_name}", pinned(_certificate), Token())
for _name, _certificate, _token, _kind in (
    ("a root of others", OTHER_HOUSE.iaca_certificate.der, by(SIGNER, OTHER_HOUSE.iaca_recipe), Kind.MUST_REJECT),
    ("a CA", CA.build(), by(SIGNER, CA), Kind.MUST_REJECT),
    ("a CA, above a stranger's signer", CA.build(), by(below(SIGNER, CA, STRANGER), CA), Kind.MUST_REJECT),
    (
        "in another certificate of the same CA",
        CA.build(),
        by(below(SIGNER, CA, CA_KEY), CA.with_changes(serial=7)),
        Kind.MAY_REJECT,
    ),
):
    unusable(f"a certificate is named and sent along that did not sign the list: {_name}", pinned(_certificate), _token,
           kind=_kind)  # fmt: skip
_SIGNER_SERIAL = Certificate(SIGNER.build()).serial
_CA_SERIAL = Certificate(CA.build()).serial
for _name, _serial, _token in (
    ("signer", _SIGNER_SERIAL, Token()),
    ("CA", _CA_SERIAL, by(below(SIGNER, CA, CA_KEY), CA)),
):
    useless(
        f"the list's {_name} is revoked",
        lambda required, serial=_serial, token=_token: {
            "mso_status": VALID,
            **evidence(AUTHORITY.crl(revoked=[serial]), required=required, tokens=(token.build(),)),
        },
    )
for _name, _changes in {
    "with the key identifier of nobody": {
        "extensions": {"aki": (x509.AuthorityKeyIdentifier(bytes(20), None, None), False)}
    },
    "under another name": {"issuer": distinguished_name(C="US", ST="US-UT", CN="Throwaway IACA 2")},
    "that is stale": {"this_update": moment(-60 * DAY)},
    "that is a delta": {"number": 2, "extensions": {"delta": (x509.DeltaCRLIndicator(1), True)}},
    "with a critical extension that is not known": {
        "extensions": {"odd": (x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)}
    },
}.items():
    useless(
        f"the list's signer is revoked by a CRL {_name}",
        lambda required, changes=_changes: {
            "mso_status": VALID,
            **evidence(
                AUTHORITY.crl(),
                AUTHORITY.crl(revoked=[_SIGNER_SERIAL], **changes),
                required=required,
                tokens=(Token().build(),),
            ),
        },
    )
    accept(
        f"a CRL {_name} that lists another than the list's signer, beside the root's own",
        lambda changes=_changes: {
            "mso_status": VALID,
            **evidence(
                AUTHORITY.crl(), AUTHORITY.crl(revoked=[_SIGNER_SERIAL + 1], **changes), tokens=(Token().build(),)
            ),
        },
        judged=True,
        kind=Kind.MAY_REJECT,
    )

# --- lists out of the ordinary ----------------------------------------------------------------------------------------

for _name, (_token, _codes) in TOLERATED.items():
    accept(f"a list of its own kind: {_name}", lambda token=_token: with_status(VALID, token), judged=True,
           warnings=_codes)  # fmt: skip
for _curve in ("P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "Ed25519", "Ed448"):
    accept(
        f"a list signed on {_curve}",
        lambda curve=_curve: with_status(
            VALID,
            by(
                signer_recipe(HOUSE, deterministic_key("list signer", curve)),
                signer=deterministic_key("list signer", curve),
            ),
        ),
        judged=True,
        warnings=PROFILE if _curve.startswith("Ed") else (),
    )
accept("a list with an aggregation address and a time to live",
       lambda: with_status(VALID, Token(content=status_list() | {"aggregation_uri": URI}, claims={TTL: 3600})),
       judged=True)  # fmt: skip
accept("a list with claims and headers that are not known",
       lambda: with_status(VALID, Token(claims={1: "issuer", 99: [1]}, protected={4: b"kid"})),
       judged=True)  # fmt: skip
accept("a list in its first second", lambda: with_status(VALID, Token(issued=TEST_TIME)), judged=True)
accept("a list in its last second", lambda: with_status(VALID, Token(expires=moment(SECOND))), judged=True)
accept("a stale list and a fresh one",
       lambda: with_status(VALID, Token(issued=moment(-2 * DAY), expires=moment(-DAY)), Token()),
       judged=True)  # fmt: skip
accept("suspended no longer, by a newer list",
       lambda: with_status(VALID, Token(content=status_list({VALID_INDEX: 2}, bits=2), issued=moment(-DAY)), Token(),
                           required=True), judged=True, kind=Kind.MAY_REJECT)  # fmt: skip
accept("a forged list beside the true one",
       lambda: with_status(VALID, Token(signer=STRANGER, content=status_list({VALID_INDEX: 1})), Token()),
       judged=True)  # fmt: skip
accept("lists of other addresses", lambda: with_status(VALID, Token(uri=_ELSEWHERE), Token(), _IDENTIFIERS),
       judged=True)  # fmt: skip
accept("a list of another address beside one for a document that names none",
       lambda: {"others": [Recipe(namespaces=SMALL, authority=AUTHORITY)], "namespaces": SMALL,
                **with_status(VALID, Token(uri=_ELSEWHERE), Token())}, judged=True)  # fmt: skip
accept("lists for the first of two documents only", lambda: _two_documents(Token()), judged=True,
       left_open=(STATUS,))  # fmt: skip
accept("a certificate is named, and its holder's signer signed",
       lambda: with_status(pinned(OTHER_HOUSE.iaca_certificate.der), by(signer_recipe(OTHER_HOUSE))),
       judged=True)  # fmt: skip
accept("the root's own certificate is named", lambda: with_status(pinned(ROOT.der), Token()), judged=True)
accept("a CA below the root is named", lambda: with_status(pinned(CA.build()), by(below(SIGNER, CA, CA_KEY))),
       judged=True)  # fmt: skip

accept("a CA below the root is named, and sent along",
       lambda: with_status(pinned(CA.build()), by(below(SIGNER, CA, CA_KEY), CA)), judged=True)  # fmt: skip
accept("a root is named, and sent along",
       lambda: with_status(pinned(OTHER_HOUSE.iaca_certificate.der),
                           by(signer_recipe(OTHER_HOUSE), OTHER_HOUSE.iaca_recipe)), judged=True)  # fmt: skip

accept("a list of its own kind: short typ, of identifiers",
       lambda: with_status(VALID_BY_ID, Token.of_identifiers(protected={TYP: "identifierlist+cwt"})), judged=True,
       warnings=["status.typ.short"])  # fmt: skip
accept("a list of its own kind: times with a fraction",
       lambda: with_status(VALID, Token(claims={EXP: Token().expires.timestamp() + 0.5})), judged=True,
       kind=Kind.MAY_REJECT)  # fmt: skip
accept("identifiers with something to say about them",
       lambda: with_status(VALID_BY_ID, Token.of_identifiers().but(
           content={"identifiers": {REVOKED_ID: {"since": 1}}, "aggregation_uri": URI})), judged=True)  # fmt: skip
for _name, _identifier in {"one byte": b"\x01", "64 bytes": bytes(range(64))}.items():
    accept(
        f"an identifier of {_name}",
        lambda identifier=_identifier: with_status(
            {"identifier_list": {"id": identifier, "uri": URI}}, Token.of_identifiers()
        ),
        judged=True,
    )
accept("a status list of one byte",
       lambda: with_status({"status_list": {"idx": 7, "uri": URI}}, Token(content=status_list(size=8))),
       judged=True)  # fmt: skip
accept("a status list of a million documents",
       lambda: with_status({"status_list": {"idx": 999_999, "uri": URI}}, Token(content=status_list(size=1_000_000))),
       judged=True)  # fmt: skip

CASES = [*attack.rows, *accept.rows]
