"""Document signers, roots and revocation that are in order, however unusual: nobody may be refused for them."""

from __future__ import annotations

from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509.oid import NameOID, ObjectIdentifier

from mdl.pki import Certificate
from mdl.testing import (
    MDL_DOCTYPE,
    TEST_TIME,
    ThrowawayAuthority,
    distinguished_name,
)
from reader.report import Policy
from reader.trust import ANY_DOCTYPE, TrustAnchor, TrustStore
from test_vectors.source.case import Honest, Kind, refused
from test_vectors.source.stage import (
    AUTHORITY,
    DAY,
    EUROPEAN_PURPOSE,
    NAMESPACE,
    PID,
    PRINTABLE,
    Fields,
    asking,
    licence,
    moment,
    pid_signed_for,
    root,
    signer,
    trust_in,
)

accept = Honest()

# --- the document signer ----------------------------------------------------------------------------------------------


accept.section("signer", "18013-5 B.1.4")


def _extension(value: x509.ExtensionType, *, critical: bool = False) -> Fields:
    return signer(extensions={"more": (value, critical)})


_AGENCY = x509.UniformResourceIdentifier("https://throwaway.example/")
for _name, _more in {
    "an unknown extension": x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4.5"), b"\x05\x00"),
    "a subject alternative name": x509.SubjectAlternativeName([_AGENCY]),
    "a certificate policy": x509.CertificatePolicies([x509.PolicyInformation(ObjectIdentifier("1.2.3"), None)]),
    "authority information": x509.AuthorityInformationAccess(
        [x509.AccessDescription(x509.oid.AuthorityInformationAccessOID.CA_ISSUERS, _AGENCY)]
    ),
}.items():
    accept(f"a document signer with {_name}", lambda more=_more: _extension(more))
accept(
    "a document signer whose purpose is not critical",
    lambda: signer(extensions={"eku": (AUTHORITY.ds_recipe.extensions["eku"][0], False)}),
    warnings=["profile.minor"],
)
accept(
    "a document signer of two purposes",
    lambda: signer(
        extensions={
            "eku": (
                x509.ExtendedKeyUsage([ObjectIdentifier("1.0.23220.4.1.2"), ObjectIdentifier("1.0.18013.5.1.2")]),
                True,
            )
        }
    ),
    warnings=["profile.minor"],
)
accept(
    "a document signer that says it is no CA",
    lambda: signer(extensions={"bc": (x509.BasicConstraints(ca=False, path_length=None), True)}),
    warnings=["profile.minor"],
)
accept("a document signer valid for 457 days",
       lambda: signer(not_after=AUTHORITY.ds_recipe.not_before + 457 * DAY))  # fmt: skip
accept("a document signer with a small serial number", lambda: signer(serial=1), warnings=["profile.minor"])
accept("a document signer that outlives its root", lambda: root(not_after=moment(DAY)), warnings=["profile.minor"])
accept(
    "an authority without a state",
    lambda: {"authority": ThrowawayAuthority("Stateless", state=None)},
    kind=Kind.VALID,
    warnings=["state.missing"],
    under={Policy.AAMVA: refused("subject.jurisdiction")},
)
accept(
    "a jurisdiction that is not disclosed",
    {"items": {"issuing_jurisdiction": {"disclosed": False}}, "request": asking(but=["issuing_jurisdiction"])},
)
accept(
    "an authority of another country",
    lambda: (
        {"authority": ThrowawayAuthority("Utopia", country="XU", state=None)}
        | {
            "items": {"issuing_country": {"value": "XU"}, "issuing_jurisdiction": {"value": "XU-1"}},
            "namespaces": licence(),
        }
    ),
    kind=Kind.VALID,
    warnings=["state.missing"],
    under={Policy.AAMVA: refused("subject.jurisdiction")},
)

for _name, _state in {"of one state": "US-UT", "of no state": None}.items():
    accept(
        f"another document type, whose country and state are its own affair, under a signer {_name}",
        lambda state=_state: {
            "authority": ThrowawayAuthority("Stateless or not", state=state),
            "doctype": "org.example",
            "namespaces": {NAMESPACE: {"issuing_country": "CA", "issuing_jurisdiction": "CA-ON"}},
        },
    )

# --- validity, to the second ------------------------------------------------------------------------------------------

accept.section("signer", "18013-5 9.3.3")
accept("the last second of the document signer",
       lambda: signer(not_after=TEST_TIME), warnings=["validity.outlives_certificate"])  # fmt: skip
accept(
    "the first second of the document signer",
    lambda: signer(not_before=TEST_TIME) | {"signed": TEST_TIME, "valid_from": TEST_TIME},
)
accept("the last second of the root", lambda: root(not_after=TEST_TIME), warnings=["profile.minor"])
accept("the first second of the root", lambda: root(not_before=TEST_TIME), warnings=["profile.minor"])

# --- the roots --------------------------------------------------------------------------------------------------------


@cache
def generations() -> tuple[ThrowawayAuthority, ...]:
    return tuple(ThrowawayAuthority("Many", generation=number) for number in range(1, 6))


for _number in range(5):
    accept(
        f"five roots of one name, the document signer of number {_number + 1}",
        lambda number=_number: {
            "authority": generations()[number],
            "trust": trust_in(*(one.iaca_certificate for one in generations())),
        },
    )
accept(
    "a root and its renewal with the same key",
    lambda: {
        "trust": trust_in(
            Certificate(AUTHORITY.iaca_recipe.with_changes(not_after=moment(-DAY)).build()),
            AUTHORITY.iaca_certificate,
        )
    },
)
accept(
    "a root and its renewal that has not begun",
    lambda: {
        "trust": trust_in(
            Certificate(AUTHORITY.iaca_recipe.with_changes(not_before=moment(DAY)).build()),
            AUTHORITY.iaca_certificate,
        )
    },
)
accept(
    "a root twice",
    lambda: {"trust": trust_in(AUTHORITY.iaca_certificate, Certificate(AUTHORITY.iaca_certificate.der))},
)

for _first in (True, False):
    accept(
        f"the document signer among the anchors, {'before' if _first else 'after'} its root",
        lambda first=_first: {
            "trust": trust_in(
                *(AUTHORITY.ds_certificate, AUTHORITY.iaca_certificate)[:: 1 if first else -1],
            )
        },
        kind=Kind.MAY_REJECT,
    )


@cache
def _crowd() -> tuple[Certificate, ...]:
    return tuple(ThrowawayAuthority(f"Crowd {number}").iaca_certificate for number in range(30))


accept("a root among thirty others", lambda: {"trust": trust_in(*_crowd(), AUTHORITY.iaca_certificate)})


accept("a root trusted for licences only",
       lambda: {"trust": trust_in(AUTHORITY.iaca_certificate, doctypes=[MDL_DOCTYPE])})  # fmt: skip
accept("a root trusted for PIDs and licences",
       lambda: {"trust": trust_in(AUTHORITY.iaca_certificate, doctypes=[PID, MDL_DOCTYPE])})  # fmt: skip
accept(
    "a root trusted for PIDs by one list and for licences by another",
    lambda: {
        "trust": TrustStore(
            TrustAnchor(certificate=Certificate(AUTHORITY.iaca_certificate.der), doctypes=frozenset([doctype]))
            for doctype in (PID, MDL_DOCTYPE)
        )
    },
)
accept(
    "another root of the same name for PIDs",
    lambda: {
        "authority": generations()[0],
        "trust": TrustStore(
            [
                TrustAnchor(certificate=generations()[1].iaca_certificate, doctypes=frozenset([PID])),
                TrustAnchor(certificate=generations()[0].iaca_certificate, doctypes=ANY_DOCTYPE),
            ]
        ),
    },
)

# --- certificates of other makes --------------------------------------------------------------------------------------

accept.section("signer", "18013-5 B.1.4")


def _subject(*attributes: tuple[x509.ObjectIdentifier, str]) -> Fields:
    return signer(subject=x509.Name([x509.NameAttribute(oid, text) for oid, text in attributes]))


_C, _ST, _CN = (NameOID.COUNTRY_NAME, "US"), (NameOID.STATE_OR_PROVINCE_NAME, "US-UT"), (NameOID.COMMON_NAME, "Signer")
accept("a document signer whose name begins with its common name", lambda: _subject(_CN, _ST, _C))
accept(
    "a document signer with organization, locality and serial number in its name",
    lambda: _subject(
        _C,
        _ST,
        (NameOID.LOCALITY_NAME, "Exampleville"),
        (NameOID.ORGANIZATION_NAME, "Throwaway Motor Vehicle Agency"),
        _CN,
        (NameOID.SERIAL_NUMBER, "7"),
    ),
)
accept("a document signer with a name of other letters",
       lambda: _subject(_C, _ST, (NameOID.COMMON_NAME, "Führerscheinstelle \N{GREEK SMALL LETTER OMEGA}")))  # fmt: skip


def _points(*uris: str) -> Fields:
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    return signer(
        extensions={"crldp": (x509.CRLDistributionPoints([x509.DistributionPoint(names, None, None, None)]), False)}
    )


accept("a distribution point with an address without TLS", lambda: _points("http://throwaway.example/iaca.crl"))
accept("a distribution point with two addresses",
       lambda: _points("http://throwaway.example/iaca.crl", "https://throwaway.example/iaca.crl"))  # fmt: skip
accept(
    "two distribution points",
    lambda: signer(
        extensions={
            "crldp": (
                x509.CRLDistributionPoints(
                    [
                        x509.DistributionPoint([x509.UniformResourceIdentifier(uri)], None, None, None)
                        for uri in ("https://a.example/iaca.crl", "https://b.example/iaca.crl")
                    ]
                ),
                False,
            )
        }
    ),
)
for _name, _contacts in {
    "a mail address": [x509.RFC822Name("iaca@throwaway.example")],
    "a mail address and a web address": [x509.RFC822Name("iaca@throwaway.example"), _AGENCY],
}.items():
    accept(
        f"an issuerAltName with {_name}",
        lambda contacts=_contacts: signer(extensions={"ian": (x509.IssuerAlternativeName(contacts), False)}),
    )
_KEY_OF_THE_ROOT: x509.AuthorityKeyIdentifier = AUTHORITY.ds_recipe.extensions["aki"][0]  # type: ignore[assignment]
for _name, _deviation in {
    "a name longer than it may be": {
        "subject": x509.Name(
            [
                *(x509.NameAttribute(oid, text) for oid, text in (_C, _ST, _CN)),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Führerscheinstelle " * 4),
            ]
        )
    },
    "a name of blanks": {"subject": x509.Name([x509.NameAttribute(*one) for one in (_C, _ST, (_CN[0], "  "))])},
    "a contact that is none": {
        "extensions": {"ian": (x509.IssuerAlternativeName([x509.UniformResourceIdentifier("")]), False)}
    },
    "an issuer's serial number that is another certificate's": {
        "extensions": {
            "aki": (
                x509.AuthorityKeyIdentifier(
                    _KEY_OF_THE_ROOT.key_identifier, [x509.DirectoryName(AUTHORITY.iaca_recipe.subject)], 12345
                ),
                False,
            )
        }
    },
}.items():
    accept(f"a document signer with {_name}", lambda more=_deviation: signer(**more), warnings=["profile.minor"])
accept(
    "a distribution point whose address has a blank",
    lambda: _points("https://throwaway.example/the iaca.crl"),
    warnings=["profile.minor"],
)
for _name, _point in {
    "a host": [x509.DNSName("throwaway.example")],
    "a directory": [x509.DirectoryName(AUTHORITY.iaca_recipe.subject)],
}.items():
    accept(
        f"a distribution point that names {_name}",
        lambda point=_point: signer(
            extensions={"crldp": (x509.CRLDistributionPoints([x509.DistributionPoint(point, None, None, None)]), False)}
        ),
        warnings=["profile.minor"],
    )
accept(
    "a subjectKeyIdentifier that is made in another way",
    lambda: signer(extensions={"ski": (x509.SubjectKeyIdentifier(bytes(20)), False)}),
    warnings=["profile.minor"],
)
accept(
    "a document signer of every purpose besides its own",
    lambda: signer(
        extensions={
            "eku": (x509.ExtendedKeyUsage([ObjectIdentifier("1.0.18013.5.1.2"), ObjectIdentifier("2.5.29.37.0")]), True)
        }
    ),
    warnings=["profile.minor"],
)
accept("a document signer with the longest serial number", lambda: signer(serial=2**159 - 1))
accept("a document signer signed over SHA-384 by a root on P-256", lambda: signer(digest=hashes.SHA384()),
       warnings=["profile.minor"])  # fmt: skip
accept("a document signer valid for a week", lambda: signer(not_before=moment(-2 * DAY), not_after=moment(5 * DAY))
       | {"valid_until": moment(5 * DAY)})  # fmt: skip


def _printable() -> Fields:
    """Names are compared by their bytes, which the document signer's issuer has copied."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "US"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "US-UT", PRINTABLE),
            x509.NameAttribute(NameOID.COMMON_NAME, "Throwaway IACA", PRINTABLE),
        ]
    )
    trust = trust_in(Certificate(AUTHORITY.iaca_recipe.with_changes(subject=name, issuer=name).build()))
    return signer(issuer=name) | {"trust": trust}


accept("a root whose name is printable text", _printable)

accept.section("signer", "18013-5 B.1.2")
_ROOT_AKI = (
    x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
        x509.SubjectKeyIdentifier.from_public_key(AUTHORITY.iaca_key.public_key.key)
    ),
    False,
)
for _name, _changes in {
    "with an authority key identifier": {"aki": _ROOT_AKI},
    "with a period of use for its key": {
        "use": (
            x509.PrivateKeyUsagePeriod(AUTHORITY.iaca_recipe.not_before, AUTHORITY.iaca_recipe.not_before + 1825 * DAY),
            False,
        )
    },
}.items():
    accept(f"a root {_name}", lambda changes=_changes: root(extensions=changes))
accept("a root without a distribution point", lambda: root(extensions={"crldp": None}), warnings=["profile.minor"])
accept(
    "a root with a purpose that marks it as a root",
    lambda: root(extensions={"eku": (x509.ExtendedKeyUsage([ObjectIdentifier("1.0.18013.5.1.7")]), False)}),
    warnings=["profile.minor"],
)
accept("a root valid for 20 years", lambda: root(not_after=AUTHORITY.iaca_recipe.not_before + 7305 * DAY))
accept(
    "a root that says which state it is of, and a document signer that does not",
    lambda: _subject(_C, _CN),
    warnings=["profile.minor", "state.missing"],
    under={Policy.AAMVA: refused("subject.jurisdiction")},
)


accept(
    "a root that does not say which state it is of, and a document signer that does",
    lambda: (
        signer(issuer=distinguished_name(C="US", CN="Throwaway IACA"))
        | root(
            subject=distinguished_name(C="US", CN="Throwaway IACA"),
            issuer=distinguished_name(C="US", CN="Throwaway IACA"),
        )
    ),
    warnings=["state.one_sided"],
    under={Policy.AAMVA: refused("issuer_auth.profile")},
)


def _namesake(*, first: bool) -> Fields:
    """Two roots of one name that claim one key identifier; only one of them has issued the document signer."""
    other = ThrowawayAuthority(generation=2)
    claimed = Certificate(
        other.iaca_recipe.with_changes(extensions={"ski": AUTHORITY.iaca_recipe.extensions["ski"]}).build()
    )
    return {
        "trust": trust_in(*((claimed, AUTHORITY.iaca_certificate) if first else (AUTHORITY.iaca_certificate, claimed)))
    }


for _first in (True, False):
    accept(
        f"two roots of one name and one key identifier, the issuer {'last' if _first else 'first'}",
        lambda first=_first: _namesake(first=first),
        kind=Kind.MAY_REJECT,
    )

# --- signers of other document types ----------------------------------------------------------------------------------

accept.section("signer", "18013-5 B.1.4")
accept("a PID by a signer whose purpose the reader has chosen",
       lambda: pid_signed_for(EUROPEAN_PURPOSE, accepted=[EUROPEAN_PURPOSE]))  # fmt: skip
accept("a PID by a signer with one of the purposes that the reader has chosen",
       lambda: pid_signed_for(EUROPEAN_PURPOSE, "1.2.3", accepted=["1.2.4", EUROPEAN_PURPOSE]))  # fmt: skip
accept("a PID by a signer without a purpose, where the reader asks for none", pid_signed_for)
accept("a PID by a signer of a purpose of its own, where the reader asks for none", lambda: pid_signed_for("1.2.3"))
accept("an mDL before a reader that has chosen purposes for PIDs",
       lambda: {"trust": pid_signed_for(accepted=["1.2.3"])["trust"]})  # fmt: skip

CASES = accept.rows
