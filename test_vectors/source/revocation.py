"""The document signer's revocation: lists that revoke it, and lists that must not be believed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from asn1crypto import core
from asn1crypto import x509 as asn1_x509
from cryptography import x509

from mdl.pki import Certificate, Crl
from mdl.pki.structures import enclosed
from mdl.testing import TEST_TIME, Recipe, ThrowawayAuthority
from reader.report import Outcome, Revocation
from reader.revocation import Evidence
from reader.trust import ANY_DOCTYPE, TrustAnchor, TrustStore
from test_vectors.source.case import Attacks, Honest, Kind
from test_vectors.source.encodings import SMALL
from test_vectors.source.signers import (
    PROFILE,
    ROOT,
    named,
    other_authority,
    stranger,
    unknown_extension,
)
from test_vectors.source.stage import (
    AUTHORITY,
    DAY,
    PRINTABLE,
    SECOND,
    Fields,
    evidence,
    link,
    moment,
    root,
    trust_in,
    usage,
)
from test_vectors.source.trusted import generations
from tests.vical_forgery import provider
from tests.x509_forgery import forge_crl, set_field

attack = Attacks()
accept = Honest()

REVOCATION = "issuer_auth.certificate_revocation"
_SERIAL = AUTHORITY.ds_certificate.serial
_DELTA: dict[str, Any] = {"delta": (x509.DeltaCRLIndicator(1), True)}
_HERE, _ELSEWHERE = "https://throwaway.example/iaca.crl", "https://throwaway.example/2.crl"


def _pem(der: bytes) -> bytes:
    return Crl(der).pem.encode()


def _forged_crl(change: Any, *, revoked: Sequence[int] = ()) -> bytes:
    return forge_crl(Crl(AUTHORITY.crl(revoked=revoked)), change, signer=AUTHORITY.iaca_key).der


def _entry(oid: str, *, critical: bool) -> Any:
    """A CRL entry extension on the first entry."""

    def change(body: Any) -> None:
        body["revoked_certificates"][0]["crl_entry_extensions"] = [
            {"extn_id": oid, "critical": critical, "extn_value": core.ParsableOctetString(b"\x05\x00")}
        ]

    return change


for _name, _crls in {
    "revoked": lambda: [AUTHORITY.crl(revoked=[_SERIAL])],
    "revoked, among others": lambda: [AUTHORITY.crl(revoked=[1, 2**100, _SERIAL, _SERIAL + 1])],
    "revoked by a list that is stale": lambda: [
        AUTHORITY.crl(revoked=[_SERIAL], this_update=moment(-60 * DAY), next_update=moment(-30 * DAY))
    ],
    "revoked by the older of two lists": lambda: [AUTHORITY.crl(number=2), AUTHORITY.crl(revoked=[_SERIAL])],
    "revoked by the newer of two lists": lambda: [AUTHORITY.crl(), AUTHORITY.crl(revoked=[_SERIAL], number=2)],
    "revoked by a list in PEM": lambda: [_pem(AUTHORITY.crl(revoked=[_SERIAL]))],
    "revoked by a list with an issuer it does not know before it": lambda: [
        other_authority().crl(),
        AUTHORITY.crl(revoked=[_SERIAL]),
    ],
    "revoked by a list from the future": lambda: [AUTHORITY.crl(revoked=[_SERIAL], this_update=moment(SECOND))],
}.items():
    attack(REVOCATION, _name, lambda crls=_crls: evidence(*crls()))


def useless(name: str, crls: Any, *, kind: Kind = Kind.MUST_REJECT) -> None:
    """Lists that can neither revoke nor clear count as absent: refused where evidence is demanded, else left open."""
    attack(REVOCATION, name, lambda: evidence(*crls(), required=True), outcome=Outcome.INDETERMINATE, kind=kind)
    accept(
        f"evidence that can neither revoke nor clear: {name}",
        lambda: evidence(*crls()),
        group="revocation",
        clause="18013-5 B.3",
        kind=Kind.MAY_REJECT,
    )


for _name, _crls in {
    "stale by a second": lambda: [AUTHORITY.crl(this_update=moment(-30 * DAY), next_update=TEST_TIME - SECOND)],
    "from the future by a second": lambda: [AUTHORITY.crl(this_update=moment(SECOND))],
    "a list signed by a stranger": lambda: [AUTHORITY.crl(signer=stranger().iaca_key)],
    "a list signed by the document signer": lambda: [AUTHORITY.crl(signer=AUTHORITY.ds_key)],
    "a list changed after signing": lambda: [
        AUTHORITY.crl(revoked=[_SERIAL]).replace(_SERIAL.to_bytes(16), (_SERIAL ^ 1).to_bytes(16), 1)
    ],
    "no list at all": lambda: [b"no list"],
    "an empty file": lambda: [b""],
    "a certificate in place of a list": lambda: [ROOT],
    "a PEM text with two lists": lambda: [_pem(AUTHORITY.crl()) * 2],
    "a list cut short": lambda: [AUTHORITY.crl()[:-1]],
    "a list with bytes behind it": lambda: [AUTHORITY.crl() + b"\0"],
    "an unknown critical extension": lambda: [AUTHORITY.crl(extensions={"other": unknown_extension()})],
    "a partial list, by distribution point": lambda: [
        AUTHORITY.crl(
            extensions={
                "idp": (
                    x509.IssuingDistributionPoint(
                        full_name=None,
                        relative_name=None,
                        only_contains_user_certs=False,
                        only_contains_ca_certs=True,
                        only_some_reasons=None,
                        indirect_crl=False,
                        only_contains_attribute_certs=False,
                    ),
                    True,
                )
            }
        )
    ],
    "a delta list": lambda: [AUTHORITY.crl(extensions={"delta": (x509.DeltaCRLIndicator(1), True)})],
    "a list that never ages": lambda: [_forged_crl(set_field("next_update", None))],
    "a list with a critical entry extension": lambda: [
        _forged_crl(_entry("1.2.3.4.5", critical=True), revoked=[12345])
    ],
    "an error page": lambda: [b"<html>404</html>"],
    "a list that was fresh for longer than the newer one": lambda: [
        AUTHORITY.crl(),
        AUTHORITY.crl(number=2, next_update=moment(-SECOND)),
    ],
    "a list of two years ago, for ten": lambda: [
        AUTHORITY.crl(this_update=moment(-700 * DAY), next_update=moment(3000 * DAY))
    ],
    "a list whose 90 days are over by a second, for 91": lambda: [
        AUTHORITY.crl(this_update=moment(-90 * DAY - SECOND), next_update=moment(DAY))
    ],
}.items():
    useless(_name, _crls)

attack(REVOCATION, "evidence demanded and absent", lambda: evidence(required=True), outcome=Outcome.INDETERMINATE)
attack(
    REVOCATION,
    "evidence demanded, and only other roots' at hand",
    lambda: evidence(other_authority().crl(), generations()[0].crl(revoked=[_SERIAL]), required=True),
    outcome=Outcome.INDETERMINATE,
)
attack(
    REVOCATION,
    "evidence demanded, and the root's list under another name",
    lambda: evidence(AUTHORITY.crl(issuer=named(CN="Throwaway IACA 2")), required=True),
    outcome=Outcome.INDETERMINATE,
)

# What the root's own key has signed is the root's word, whatever name or key identifier it bears. It revokes; but it
# clears nobody, as little as a list in the root's name that no trusted root has signed.
_FOREIGN_KEY = {"aki": (x509.AuthorityKeyIdentifier(bytes(20), None, None), False)}
_OTHER_NAME = named(CN="Throwaway IACA 2")
for _name, _crls in {
    "revoked by a list with the key identifier of nobody": lambda: [
        AUTHORITY.crl(revoked=[_SERIAL], extensions=_FOREIGN_KEY)
    ],
    "revoked by a list under another name": lambda: [AUTHORITY.crl(revoked=[_SERIAL], issuer=_OTHER_NAME)],
    "revoked by a list with the key identifier of nobody, and a regular one forgets it": lambda: [
        AUTHORITY.crl(revoked=[_SERIAL], extensions=_FOREIGN_KEY),
        AUTHORITY.crl(number=2),
    ],
    "revoked by a list under another name, and a regular one forgets it": lambda: [
        AUTHORITY.crl(revoked=[_SERIAL], issuer=_OTHER_NAME),
        AUTHORITY.crl(number=2),
    ],
}.items():
    attack(REVOCATION, _name, lambda crls=_crls: evidence(*crls()))
for _name, _crls in {
    "a list with the key identifier of nobody": lambda: [AUTHORITY.crl(extensions=_FOREIGN_KEY)],
    "a list under another name": lambda: [AUTHORITY.crl(issuer=_OTHER_NAME)],
    "a list of a root of the same name that is not trusted": lambda: [stranger().crl()],
    "a list of a root of the same name that is not trusted, with the same serial number": lambda: [
        stranger().crl(revoked=[_SERIAL])
    ],
    "a list of a stranger who claims the root's key identifier": lambda: [
        other_authority().crl(extensions={"aki": AUTHORITY.ds_recipe.extensions["aki"]})
    ],
}.items():
    useless(_name, _crls, kind=Kind.MAY_REJECT)
attack(
    PROFILE,
    "a list by a root that must not sign lists",
    lambda: root(extensions={"ku": usage(key_cert_sign=True)}) | evidence(AUTHORITY.crl()),
    id="issuer-auth-certificate-revocation-a-list-by-a-root-that-must-not-sign-lists",
)

for _name, _crls in {
    "revoked, with a reason": lambda: [_forged_crl(_reason(x509.ReasonFlags.superseded), revoked=[_SERIAL])],
    "taken off hold by a full list, which lists it still": lambda: [
        _forged_crl(_reason(x509.ReasonFlags.remove_from_crl), revoked=[_SERIAL])
    ],
    "revoked from tomorrow": lambda: [_forged_crl(_dated(moment(DAY)), revoked=[_SERIAL])],
    "revoked by a list without an end": lambda: [_forged_crl(set_field("next_update", None), revoked=[_SERIAL])],
    "revoked by a list signed over SHA-384": lambda: [
        forge_crl(
            Crl(AUTHORITY.crl(revoked=[_SERIAL])),
            set_field("signature", {"algorithm": "sha384_ecdsa"}),
            signer=AUTHORITY.iaca_key,
            digest="sha384",
        ).der
    ],
    "revoked by a partial list, behind a complete one that does not list it": lambda: [
        AUTHORITY.crl(),
        AUTHORITY.crl(revoked=[_SERIAL], extensions={"idp": _distribution(only_contains_user_certs=True)}),
    ],
    "revoked by a delta list, before a complete one that does not list it": lambda: [
        AUTHORITY.crl(number=2, revoked=[_SERIAL], extensions={"delta": (x509.DeltaCRLIndicator(1), True)}),
        AUTHORITY.crl(),
    ],
    "revoked by a list with an unknown critical extension, behind a regular one": lambda: [
        AUTHORITY.crl(),
        AUTHORITY.crl(
            number=2,
            revoked=[_SERIAL],
            extensions={"more": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)},
        ),
    ],
    "suspended": lambda: [_forged_crl(_reason(x509.ReasonFlags.certificate_hold), revoked=[_SERIAL])],
    "suspended by a list that is stale": lambda: [_on_hold(this_update=moment(-60 * DAY))],
    "suspended by a list that is as old as one that is silent": lambda: [_on_hold(), AUTHORITY.crl()],
    "suspended by a list that is newer than one that is silent": lambda: [_on_hold(number=2), AUTHORITY.crl()],
    "suspended, and a newer delta list is silent": lambda: [
        _on_hold(),
        AUTHORITY.crl(number=2, extensions={"delta": (x509.DeltaCRLIndicator(1), True)}),
    ],
    "suspended, and a newer list of another partition is silent": lambda: [
        _on_hold(),
        AUTHORITY.crl(number=2, extensions=_partition(_ELSEWHERE)),
    ],
    "revoked by a list of another partition, behind a complete one that does not list it": lambda: [
        AUTHORITY.crl(number=2),
        AUTHORITY.crl(revoked=[_SERIAL], extensions=_partition(_ELSEWHERE)),
    ],
    "revoked by the older of two lists, and taken off hold by a delta list": lambda: [
        AUTHORITY.crl(revoked=[_SERIAL]),
        _on_hold(x509.ReasonFlags.remove_from_crl, number=3, extensions=_DELTA),
    ],
    "revoked by an old list that is misnamed, and a newer one clears": lambda: [
        AUTHORITY.crl(revoked=[_SERIAL], issuer=_OTHER_NAME, this_update=moment(-60 * DAY)),
        AUTHORITY.crl(number=2),
    ],
}.items():
    attack(REVOCATION, _name, lambda crls=_crls: evidence(*crls()))
for _name, _crls in {
    "an indirect list": lambda: [AUTHORITY.crl(extensions={"idp": _distribution(indirect_crl=True)})],
    "a partition of another address": lambda: [AUTHORITY.crl(extensions=_partition(_ELSEWHERE))],
    "a partition of this address, of CAs": lambda: [
        AUTHORITY.crl(extensions=_partition(_HERE, only_contains_ca_certs=True))
    ],
    "a partition of this address, for some reasons": lambda: [
        AUTHORITY.crl(extensions=_partition(_HERE, reasons=frozenset([x509.ReasonFlags.key_compromise])))
    ],
    "a delta list that takes it off hold": lambda: [
        _on_hold(x509.ReasonFlags.remove_from_crl, number=2, extensions=_DELTA)
    ],
    "suspended, and a newer delta list takes it off hold": lambda: [
        _on_hold(),
        _on_hold(x509.ReasonFlags.remove_from_crl, number=2, extensions=_DELTA),
    ],
}.items():
    useless(_name, _crls)


def _reason(reason: x509.ReasonFlags) -> Any:
    """A reason on the first entry."""
    code = {"superseded": 4, "certificateHold": 6, "removeFromCRL": 8}[reason.value]

    def change(body: Any) -> None:
        body["revoked_certificates"][0]["crl_entry_extensions"] = [
            {"extn_id": "2.5.29.21", "critical": False, "extn_value": core.ParsableOctetString(bytes((10, 1, code)))}
        ]

    return change


def _dated(moment: datetime) -> Any:
    """Another date on the first entry."""

    def change(body: Any) -> None:
        body["revoked_certificates"][0]["revocation_date"] = asn1_x509.Time({"utc_time": moment})

    return change


_PARTS = ("only_contains_user_certs", "only_contains_ca_certs", "indirect_crl", "only_contains_attribute_certs")


def _distribution(**flags: bool) -> tuple[x509.ExtensionType, bool]:
    return (
        x509.IssuingDistributionPoint(
            full_name=None, relative_name=None, only_some_reasons=None, **(dict.fromkeys(_PARTS, False) | flags)
        ),
        True,
    )


def _partition(*uris: str, reasons: frozenset[x509.ReasonFlags] | None = None, **flags: bool) -> dict[str, Any]:
    point = x509.IssuingDistributionPoint(
        [x509.UniformResourceIdentifier(uri) for uri in uris],
        relative_name=None,
        only_some_reasons=reasons,
        **(dict.fromkeys(_PARTS, False) | flags),
    )
    return {"idp": (point, True)}


def _on_hold(reason: x509.ReasonFlags = x509.ReasonFlags.certificate_hold, **changes: Any) -> bytes:
    """A list with that reason for the document signer."""
    original = Crl(AUTHORITY.crl(revoked=[_SERIAL], **changes))
    return forge_crl(original, _reason(reason), signer=AUTHORITY.iaca_key).der


# A root that nobody has chosen, but a link or a list of a provider leads to: what revokes the link,
# the list's signer or a CA above it takes the root away, whenever the reader has followed or imported it.


def _proven(*chains: Sequence[Certificate]) -> Fields:
    """The second root of the authority's, trusted on the word of these chains."""
    anchor = TrustAnchor(certificate=_NEXT.iaca_certificate, doctypes=ANY_DOCTYPE)
    for chain in chains:
        anchor = anchor.within(chain)
    return {"authority": _NEXT, "trust": TrustStore([anchor])}


_NEXT, _OLDEST = ThrowawayAuthority(generation=2), ThrowawayAuthority(generation=0)
_LINK, _OLDER_LINK = link(AUTHORITY, _NEXT), link(_OLDEST, AUTHORITY)
_BY_LINK = (_LINK, AUTHORITY.iaca_certificate)
_BY_LINKS = ((_OLDER_LINK, _OLDEST.iaca_certificate), _BY_LINK)
_BY_LIST = (provider().signer, provider().ca, provider().root)
_PROVIDERS = [provider().crl(), provider().crl(of_root=True)]
for _name, _chains, _lists in (
    ("revoked: the link that leads to the root", [_BY_LINK], [AUTHORITY.crl(revoked=[_LINK.serial])]),
    (
        "revoked: the link that leads to the root, by a list that is stale",
        [_BY_LINK],
        [AUTHORITY.crl(revoked=[_LINK.serial], this_update=moment(-60 * DAY), next_update=moment(-30 * DAY))],
    ),
    (
        "revoked: the link that leads to the root, by the older of two lists",
        [_BY_LINK],
        [AUTHORITY.crl(revoked=[_LINK.serial]), AUTHORITY.crl(number=2)],
    ),
    ("revoked: the first of two links", _BY_LINKS, [AUTHORITY.crl(), _OLDEST.crl(revoked=[_OLDER_LINK.serial])]),
    ("revoked: the second of two links", _BY_LINKS, [AUTHORITY.crl(revoked=[_LINK.serial]), _OLDEST.crl()]),
    (
        "revoked: the signer of the list that names the root",
        [_BY_LIST],
        [provider().crl(revoked=[provider().signer.serial]), _PROVIDERS[1]],
    ),
    (
        "revoked: the CA above the signer of the list that names the root",
        [_BY_LIST],
        [_PROVIDERS[0], provider().crl(of_root=True, revoked=[provider().ca.serial])],
    ),
):
    attack(
        REVOCATION,
        _name,
        lambda chains=_chains, crls=_lists: _proven(*chains) | evidence(_NEXT.crl(), *crls),
    )
for _name, _chains, _lists in (
    ("the link that leads to the root", [_BY_LINK], []),
    ("one of two links", _BY_LINKS, [AUTHORITY.crl()]),
    ("the signer of the list that names the root", [_BY_LIST], _PROVIDERS[1:]),
    ("the CA above the signer of the list that names the root", [_BY_LIST], _PROVIDERS[:1]),
):
    attack(
        REVOCATION,
        f"evidence demanded, and absent for {_name}",
        lambda chains=_chains, crls=_lists: _proven(*chains) | evidence(_NEXT.crl(), *crls, required=True),
        outcome=Outcome.INDETERMINATE,
    )
for _name, _chains, _lists in (
    ("a link", [_BY_LINK], [AUTHORITY.crl()]),
    ("two links", _BY_LINKS, [AUTHORITY.crl(), _OLDEST.crl()]),
    ("a list", [_BY_LIST], _PROVIDERS),
):
    accept(
        f"a root that {_name} brought, and evidence that clears all of it",
        lambda chains=_chains, crls=_lists: _proven(*chains) | evidence(_NEXT.crl(), *crls, required=True),
        group="revocation",
        clause="18013-5 B.3",
        judged=True,
    )
attack(
    "issuer_auth.trust_scope",
    "a root whose link has expired",
    lambda: _proven((link(AUTHORITY, _NEXT, not_after=moment(-SECOND)), AUTHORITY.iaca_certificate)),
)


def _naming(issuer: bytes, *, critical: bool) -> Any:
    """A certificateIssuer on the first entry, which holds for those behind it."""

    def change(body: Any) -> None:
        value = core.ParsableOctetString(enclosed(b"\xa4" + bytes((len(issuer),)) + issuer))
        body["revoked_certificates"][0]["crl_entry_extensions"] = [
            {"extn_id": "2.5.29.29", "critical": critical, "extn_value": value}
        ]

    return change


def _listed_behind(named: bytes, /, *, critical: bool = True, **changes: Any) -> bytes:
    """A list of the root's key that lists the document signer behind an entry which names a certificate issuer."""
    original = Crl(AUTHORITY.crl(revoked=[12345, _SERIAL], **changes))
    return forge_crl(original, _naming(named, critical=critical), signer=AUTHORITY.iaca_key).der


_ANOTHER = other_authority().iaca_certificate.subject.der
_OWN = AUTHORITY.iaca_certificate.subject.der
_OWN_PRINTABLE = x509.Name(
    [
        x509.NameAttribute(one.oid, one.value, PRINTABLE)
        for one in x509.load_der_x509_certificate(AUTHORITY.iaca_certificate.der).subject
    ]
).public_bytes()
_INDIRECT: dict[str, Any] = {"extensions": {"idp": _distribution(indirect_crl=True)}}
for _name, _crls in {
    "revoked behind an entry that names another issuer, in a list that is not indirect": lambda: [
        _listed_behind(_ANOTHER, critical=False)
    ],
    "revoked behind an entry that names another issuer, in a list that is not indirect, and a newer one is silent": (
        lambda: [_listed_behind(_ANOTHER, critical=False), AUTHORITY.crl(number=2)]
    ),
    "revoked behind an entry that critically names another issuer, in a list that is not indirect": lambda: [
        _listed_behind(_ANOTHER)
    ],
    "revoked behind an entry that names the root in other string types, in a list that is not indirect": lambda: [
        _listed_behind(_OWN_PRINTABLE, critical=False)
    ],
    "revoked behind an entry that names another issuer, in a partition that is not indirect": lambda: [
        _listed_behind(_ANOTHER, critical=False, extensions=_partition(_HERE))
    ],
    "revoked behind an entry that names the root, in an indirect list": lambda: [_listed_behind(_OWN, **_INDIRECT)],
    "revoked behind an entry that names the root in other string types, in an indirect list": lambda: [
        _listed_behind(_OWN_PRINTABLE, **_INDIRECT)
    ],
    "revoked behind an entry that names the root, in an indirect list under another name": lambda: [
        _listed_behind(_OWN, issuer=_OTHER_NAME, **_INDIRECT)
    ],
    "suspended, and a newer delta list under another name takes it off hold": lambda: [
        _on_hold(),
        _on_hold(x509.ReasonFlags.remove_from_crl, number=2, extensions=_DELTA, issuer=_OTHER_NAME),
    ],
    "suspended, and a newer delta list of another partition takes it off hold": lambda: [
        _on_hold(),
        _on_hold(x509.ReasonFlags.remove_from_crl, number=2, extensions=_DELTA | _partition(_ELSEWHERE)),
    ],
    "revoked by a list in the root's name, in other string types, that names no key": lambda: [
        forge_crl(
            Crl(AUTHORITY.crl(revoked=[_SERIAL], extensions={"aki": None})),
            set_field("issuer", asn1_x509.Name.load(_OWN_PRINTABLE)),
            signer=AUTHORITY.iaca_key,
        ).der
    ],
}.items():
    attack(REVOCATION, _name, lambda crls=_crls: evidence(*crls()))
useless("listed behind an entry that names another issuer, in an indirect list",
        lambda: [_listed_behind(_ANOTHER, **_INDIRECT)])  # fmt: skip

attack(
    REVOCATION,
    "the second of two document signers revoked",
    lambda: {
        "others": [Recipe(namespaces=SMALL, authority=generations()[0])],
        "namespaces": SMALL,
        **evidence(AUTHORITY.crl(), generations()[0].crl(revoked=[generations()[0].ds_certificate.serial])),
    },
)
attack(
    REVOCATION,
    "evidence demanded for two documents of two roots, and one list at hand",
    lambda: {
        "others": [Recipe(namespaces=SMALL, authority=generations()[0])],
        "namespaces": SMALL,
        **evidence(AUTHORITY.crl(), required=True),
    },
    outcome=Outcome.INDETERMINATE,
)

# --- lists that let it pass -------------------------------------------------------------------------------------------

accept.section("revocation", "18013-5 B.3")
_OTHER = AUTHORITY.ds_certificate.serial + 1
for _name, _crls in {
    "an empty list": lambda: [AUTHORITY.crl()],
    "a list of others": lambda: [AUTHORITY.crl(revoked=[1, 2, _OTHER])],
    "a list in PEM": lambda: [Crl(AUTHORITY.crl()).pem.encode()],
    "a stale list and a fresh one": lambda: [
        AUTHORITY.crl(this_update=moment(-60 * DAY), next_update=moment(-30 * DAY)),
        AUTHORITY.crl(number=2),
    ],
    "other roots' lists with the same serial number": lambda: [
        generations()[0].crl(revoked=[AUTHORITY.ds_certificate.serial]),
        AUTHORITY.crl(),
    ],
    "a list in its first second": lambda: [AUTHORITY.crl(this_update=TEST_TIME)],
    "a list in its last second": lambda: [AUTHORITY.crl(this_update=moment(-DAY), next_update=TEST_TIME)],
    "a list for 90 days": lambda: [AUTHORITY.crl(next_update=moment(89 * DAY))],
}.items():
    for _required in (False, True):
        accept(
            f"evidence{' demanded' if _required else ''}: {_name}",
            lambda crls=_crls, required=_required: evidence(*crls(), required=required),
            judged=True,
        )
accept(
    "evidence that is not used: a list of another root",
    lambda: evidence(generations()[0].crl(revoked=[AUTHORITY.ds_certificate.serial])),
)
for _name, _changes in {
    "": {},
    ", which names no key": {"aki": None},
    ", which names this root's key": {"aki": AUTHORITY.ds_recipe.extensions["aki"]},
}.items():
    accept(
        f"evidence that is not used: a list of another trusted root of the same name{_name}",
        lambda changes=_changes: (
            evidence(stranger().crl(revoked=[AUTHORITY.ds_certificate.serial], extensions=changes))
            | {"trust": trust_in(AUTHORITY.iaca_certificate, stranger().iaca_certificate)}
        ),
        kind=Kind.MAY_REJECT if _changes else Kind.VALID,
    )
accept(
    "evidence: a list of a root of the same name that is not trusted, and the root's own",
    lambda: evidence(stranger().crl(revoked=[AUTHORITY.ds_certificate.serial]), AUTHORITY.crl(), required=True),
    judged=True,
)
accept(
    "evidence: a list with the key identifier of nobody, and a regular one",
    lambda: evidence(AUTHORITY.crl(extensions=_FOREIGN_KEY), AUTHORITY.crl(number=2), required=True),
    judged=True,
    kind=Kind.MAY_REJECT,
)
accept(
    "evidence demanded for two documents of two roots",
    lambda: {
        "others": [Recipe(namespaces=SMALL, authority=generations()[0])],
        "namespaces": SMALL,
        "evidence": Evidence(crls=(AUTHORITY.crl(), generations()[0].crl())),
        "revocation": Revocation.REQUIRED,
    },
    judged=True,
)

# The root has signed them and they are fresh; they break rules of the profile that leave their meaning clear.
for _name, _crls in {
    "a list for 91 days": lambda: [AUTHORITY.crl(next_update=moment(91 * DAY))],
    "a list for ten years": lambda: [AUTHORITY.crl(next_update=moment(3650 * DAY))],
    "a list without a number": lambda: [AUTHORITY.crl(extensions={"number": None})],
    "a list without a key identifier": lambda: [AUTHORITY.crl(extensions={"aki": None})],
    "a list with a reason for another": lambda: [_forged_crl(_reason(x509.ReasonFlags.superseded), revoked=[12345])],
    "a list on which another is on hold": lambda: [
        _forged_crl(_reason(x509.ReasonFlags.certificate_hold), revoked=[12345])
    ],
    "a list with an entry extension that is not known, for another": lambda: [
        _forged_crl(_entry("1.2.3.4.5", critical=False), revoked=[12345])
    ],
    "a list that is empty and says so": lambda: [_forged_crl(_emptied, revoked=[12345])],
    "a list with an extension that is not known": lambda: [
        AUTHORITY.crl(
            extensions={"more": (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), False)}
        )
    ],
    "a complete list that names its distribution point": lambda: [AUTHORITY.crl(extensions=_partition(_HERE))],
    "a partition of two addresses": lambda: [AUTHORITY.crl(extensions=_partition(_ELSEWHERE, _HERE))],
    "a partition of user certificates": lambda: [
        AUTHORITY.crl(extensions={"idp": _distribution(only_contains_user_certs=True)})
    ],
    "two partitions": lambda: [
        AUTHORITY.crl(number=2, extensions=_partition(_ELSEWHERE)),
        AUTHORITY.crl(extensions=_partition(_HERE)),
    ],
}.items():
    accept(
        f"evidence: {_name} is all that there is",
        lambda crls=_crls: evidence(*crls(), required=True),
        judged=True,
        warnings=["crl.profile"],
    )
for _name, _crls in {
    "suspended no longer, by a newer list": lambda: [_on_hold(), AUTHORITY.crl(number=2)],
    "suspended no longer, by a delta list and a complete one": lambda: [
        AUTHORITY.crl(number=2),
        _on_hold(x509.ReasonFlags.remove_from_crl, number=3, extensions=_DELTA),
    ],
    "a delta list that takes it off hold, and an older complete one": lambda: [
        AUTHORITY.crl(),
        _on_hold(x509.ReasonFlags.remove_from_crl, number=2, extensions=_DELTA),
    ],
}.items():
    accept(f"evidence: {_name}", lambda crls=_crls: evidence(*crls(), required=True), judged=True, kind=Kind.MAY_REJECT)
for _order in (1, -1):
    accept(
        f"evidence: a list without a number {'before' if _order == 1 else 'behind'} a regular one",
        lambda order=_order: evidence(
            *[AUTHORITY.crl(extensions={"number": None}), AUTHORITY.crl(number=2)][::order], required=True
        ),
        judged=True,
        kind=Kind.MAY_REJECT,
    )


def _emptied(body: Any) -> None:
    body["revoked_certificates"] = []


accept(
    "evidence: a list signed over SHA-384 by a root on P-256",
    lambda: evidence(
        forge_crl(
            Crl(AUTHORITY.crl()),
            set_field("signature", {"algorithm": "sha384_ecdsa"}),
            signer=AUTHORITY.iaca_key,
            digest="sha384",
        ).der,
        required=True,
    ),
    judged=True,
    warnings=["crl.profile.minor"],
)
accept(
    "evidence: a thousand others", lambda: evidence(AUTHORITY.crl(revoked=range(1, 1001)), required=True), judged=True
)
accept("no evidence, and none demanded")

CASES = [*attack.rows, *accept.rows]
