"""Which kinds of presentation the cases cover, told by the tables of docs/standards.

A kind is one row of a table: what a reader has to check, or what others have tripped over. `KINDS` maps it to the
cases that show it, good and bad; a pattern stands for all cases whose ids match. `ELSEWHERE` names the rows that are no
matter of a response, and where they belong instead. Together they are the tables mdoc §4.1, §4.2, §4.5 and §6 and pki
§3, §4, §5.2, §5.3, §7 and §8, row by row; a test sees to it that no kind is without a case.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from types import MappingProxyType

from test_vectors.source.case import Case

__all__ = ["ELSEWHERE", "KINDS", "kinds_of", "sources_of"]

# Section of docs/standards and a row of it, in short -> patterns of case ids.
KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        # What is written, and how.
        "mdoc §1.1 heads that are not of the shortest form": (
            "accepted-a-head-of-nine-bytes-*",
            "accepted-items-whose-*",
        ),
        "mdoc §1.1 indefinite lengths": ("malformed-an-indefinite-length-*", "issuer-data-encoding-*indefinite*"),
        "mdoc §1.1 maps in any order": ("accepted-every-map-*", "accepted-members-of-items-*"),
        "mdoc §1.1 a key twice": ("malformed-a-key-twice-*", "issuer-data-encoding-*-twice*"),
        "mdoc §1.1 tag 24 where it belongs": (
            "malformed-*its-tag*",
            "malformed-*bare-bytes*",
            "malformed-*another-tag*",
        ),
        "mdoc §1.1 members that are not known": ("accepted-unknown-members-*", "accepted-items-with-more-members"),
        "mdoc §1.1 versions as two numbers": ("accepted-version-*", "response-version-*", "mso-version-*"),
        "mdoc §1.2 forms of a moment": ("accepted-a-validity-with-*", "mso-validity-*-is-a-time-*"),
        "mdoc §1.3 what is digested": ("issuer-data-digest-the-digest-is-*",),
        "mdoc §1.3 digest ids": ("accepted-the-largest-digest-id", "accepted-digest-ids-*", "*-a-digest-id-of-2-31"),
        "mdoc §1.3 the random of an item": ("issuer-data-random-*", "accepted-an-item-with-a-salt-*"),
        "mdoc §1.3 an element once": ("issuer-data-unique-*",),
        "mdoc §1.3 digests of nothing": ("accepted-digests-of-nothing*", "accepted-a-credential-without-an-element-*"),
        "mdoc §2.1 keyAuthorizations": ("device-data-authorized-*", "malformed-*keyauthorizations*"),
        "mdoc §2.1 order of the times": ("mso-validity-valid-from-before-it-was-signed", "mso-validity-valid-until-*"),
        "mdoc §2.4 an empty device-signed part": ("accepted-the-plain-scene",),
        "mdoc §2.4 device-signed elements": ("accepted-device-signed-*",),
        "mdoc §2.5 statuses": ("response-status-*",),
        "mdoc §2.5 errors beside documents": ("accepted-errors-for-*",),
        "mdoc §2.5 forms of the second edition": (
            "accepted-zkdocuments-*",
            "response-documents-only-*documents-where-*",
        ),
        # The reader's ordered checks.
        "mdoc §4.1 0a the response decodes": ("malformed-the-response-*",),
        "mdoc §4.1 0a a version of major number 1": ("response-version-*", "accepted-version-*"),
        "mdoc §4.1 0a status 0": ("response-status-*",),
        "mdoc §4.1 0a documents are present": ("response-documents-*",),
        "mdoc §4.1 0b the structure of a document": ("malformed-a-document-*", "malformed-issuerauth-*"),
        "mdoc §4.1 0b issuerAuth carries its payload": ("issuer-auth-signature-the-payload-detached",),
        "mdoc §4.1 0b one form of deviceAuth": ("device-auth-present-*",),
        "mdoc §4.1 0b tag 24 where it is required": ("malformed-namespaces-an-item-*", "malformed-the-payload-*"),
        "mdoc §4.1 1a x5chain is present": ("issuer-auth-x5chain-*",),
        "mdoc §4.1 1a a path to a trusted root": ("issuer-auth-path-*",),
        "mdoc §4.1 1a the certificates are valid now": ("issuer-auth-certificate-validity-*",),
        "mdoc §4.1 1a the certificates are of their profile": ("issuer-auth-profile-*",),
        "mdoc §4.1 1b the root is trusted for the document type": (
            "issuer-auth-trust-scope-*",
            "accepted-a-root-trusted-*",
        ),
        "mdoc §4.1 1c the certificate is not revoked": ("issuer-auth-certificate-revocation-*", "accepted-evidence*"),
        "mdoc §4.1 1c revocation is not known": (
            "*-evidence-demanded-and-absent",
            "accepted-no-evidence-and-none-demanded",
        ),
        "mdoc §4.1 2 the issuer's signature": ("issuer-auth-signature-*",),
        "mdoc §4.1 2 the algorithm goes with the key": ("issuer-auth-algorithm-*", "accepted-a-document-signer-on-*"),
        "mdoc §4.1 3a the digest algorithm": ("mso-digest-algorithm-*", "accepted-digests-by-*"),
        "mdoc §4.1 3b a digest is missing": (
            *("issuer-data-digest-a-digest-id-that-is-not-listed", "issuer-data-digest-a-namespace-that-*"),
            *("issuer-data-digest-an-item-that-the-security-object-does-not-list",),
        ),
        "mdoc §4.1 3b a digest does not match": ("issuer-data-digest-*",),
        "mdoc §4.1 3b an element or an id twice": ("issuer-data-unique-*",),
        "mdoc §4.1 4 the document type is the signed one": ("mso-doctype-*",),
        "mdoc §4.1 4 the document type was asked for": ("request-doctype-*",),
        "mdoc §4.1 5a signed within the certificate's validity": (
            "mso-signed-within-certificate-*",
            "accepted-signed-in-*",
        ),
        "mdoc §4.1 5b not valid yet": (
            "mso-validity-valid-from-the-next-second",
            "accepted-the-first-second-of-the-security-*",
        ),
        "mdoc §4.1 5b expired": ("mso-validity-expired-*", "accepted-the-last-second-of-the-security-object"),
        "mdoc §4.1 5c outlives the certificate": ("accepted-a-security-object-that-outlives-its-signer",),
        "mdoc §4.1 6 revoked by a status or identifier list": ("mso-status-revoked-*", "mso-status-the-list-says-*"),
        "mdoc §4.1 6 no list at hand": (
            "accepted-a-status-list-that-nobody-can-look-into",
            "mso-status-evidence-demanded-*",
        ),
        "mdoc §4.1 7a device-signed elements are authorised": ("device-data-authorized-*", "accepted-device-signed-*"),
        "mdoc §4.1 7b deviceSignature": ("device-auth-signature-*", "accepted-a-device-key-on-*"),
        "mdoc §4.1 7b deviceMac": ("device-auth-mac-*", "accepted-a-mac-on-*"),
        "mdoc §4.1 7b the algorithm of the MAC": ("device-auth-algorithm-devicemac-*",),
        "mdoc §4.1 7b the device key": ("device-auth-algorithm-a-device-key-*", "accepted-a-compressed-device-key"),
        "mdoc §4.1 8 issuing country": ("subject-country-*",),
        "mdoc §4.1 8 issuing jurisdiction": ("subject-jurisdiction-*", "accepted-an-authority-without-a-state"),
        "mdoc §4.1 9 a requested element is missing": ("request-elements-*",),
        "mdoc §4.1 9 an element that was not requested": ("request-unrequested-*",),
        "mdoc §4.1 10 types and ranges of elements": ("elements-types-*", "accepted-elements-*"),
        # What others check, or do not.
        "mdoc §4.2 chain to the root": ("issuer-auth-path-*",),
        "mdoc §4.2 certificate revocation": ("issuer-auth-certificate-revocation-revoked*",),
        "mdoc §4.2 issuer signature": ("issuer-auth-signature-by-another-key",),
        "mdoc §4.2 digests over the received bytes": (
            *("accepted-items-whose-*", "accepted-a-value-*", "accepted-members-of-items-*"),
            *("issuer-data-digest-the-length-*", "issuer-data-digest-its-members-in-another-order"),
        ),
        "mdoc §4.2 document type": ("mso-doctype-*",),
        "mdoc §4.2 signed within the certificate": ("mso-signed-within-certificate-*",),
        "mdoc §4.2 validFrom and validUntil": ("mso-validity-expired-*", "mso-validity-valid-from-*"),
        "mdoc §4.2 status": ("mso-status-*",),
        "mdoc §4.2 keyAuthorizations": ("device-data-authorized-*",),
        "mdoc §4.2 deviceSignature": ("device-auth-signature-*",),
        "mdoc §4.2 deviceMac": ("device-auth-mac-*",),
        "mdoc §4.2 country and jurisdiction": ("subject-*",),
        "mdoc §4.2 every document of the response": (
            "*-the-second-of-two-documents-*",
            "*-the-first-of-two-documents-*",
        ),
        "mdoc §4.2 the version": ("response-version-*",),
        # Statements of age.
        "mdoc §4.5 18 asked, 21 true": ("accepted-an-age-answered-by-the-nearest-statement-18-by-21",),
        "mdoc §4.5 asked between two statements": ("request-elements-an-age-between-*", "request-elements-*-between-*"),
        "mdoc §4.5 65 asked, 60 false": ("accepted-an-age-answered-by-the-nearest-statement-65-by-not-60",),
        "mdoc §4.5 21 asked, 21 false or 18 false": ("accepted-an-age-answered-by-the-nearest-statement-21-by-not-18",),
        "mdoc §4.5 statements that prove nothing": ("request-elements-an-age-that-does-not-answer-*",),
        # What has gone wrong in the field.
        "mdoc §6 digest over a re-encoded item": (
            "accepted-a-value-*",
            "accepted-items-*",
            "accepted-members-of-items-*",
        ),
        "mdoc §6 device namespaces encoded again": (
            *("accepted-device-signed-namespaces-whose-maps-*", "accepted-the-devices-namespaces-in-a-head-*"),
            *("device-auth-signature-the-namespaces-encoded-in-another-way",),
        ),
        "mdoc §6 fractions, offsets and local time": (
            "accepted-a-validity-with-*",
            "mso-validity-*-is-a-time-without-a-zone",
        ),
        "mdoc §6 signed at a midnight before the certificate": (
            "mso-signed-within-certificate-signed-at-a-midnight-*",
        ),
        "mdoc §6 dates without their tag": ("elements-types-*-as-text-without-its-tag", "mso-validity-*-is-plain-text"),
        "mdoc §6 COSE_Sign1 under tag 18": (
            "accepted-cose-messages-under-their-tags-*",
            "malformed-issuerauth-under-tag-*",
        ),
        "mdoc §6 x5chain as an array of one": ("accepted-x5chain-as-an-array-of-one",),
        "mdoc §6 x5chain with the root": ("accepted-x5chain-with-the-root-in-it",),
        "mdoc §6 x5chain in the wrong order": ("issuer-auth-path-the-root-first-and-the-document-signer-behind-it",),
        "mdoc §6 the value of a code as a number": (
            "elements-types-driving-privileges-as-a-code-whose-value-is-a-number",
        ),
        "mdoc §6 keyAuthorizations missing or ignored": ("device-data-authorized-*",),
        "mdoc §6 a wrong key or transcript": ("device-auth-*-session*", "device-auth-mac-another-readers-key"),
        "mdoc §6 versions above 1.1, or compared as text": ("accepted-version-1-2", "accepted-version-1-10"),
        "mdoc §6 errors that are not sent": ("request-elements-one-is-missing",),
        "mdoc §6 digest ids that run across namespaces": ("accepted-digest-ids-that-run-on-*",),
        "mdoc §6 country or state is not the certificate's": ("subject-*", "issuer-auth-profile-of-another-*"),
        "mdoc §6 the certificate's validity": ("issuer-auth-profile-valid-for-a-second-more-than-457-days",),
        "mdoc §6 the security object outlives its signer": ("accepted-a-security-object-that-outlives-its-signer",),
        "mdoc §6 spellings of document types": (
            "accepted-another-document-type-*",
            "mso-doctype-issued-as-a-type-in-*",
        ),
        "mdoc §6 ninety-nine statements of age": ("accepted-ninety-nine-statements-of-age",),
        "mdoc §6 Latin-1 counted in bytes": (
            "accepted-elements-a-name-of-150-letters",
            "accepted-elements-a-name-of-151-letters",
        ),
        # The validation of the chain.
        "pki §3.1 1 the signer's certificate in x5chain": ("issuer-auth-x5chain-*", "accepted-x5chain-*"),
        "pki §3.1 1a one certificate or several, and no root": ("accepted-x5chain-*",),
        "pki §3.1 2 validation of the signer": ("issuer-auth-path-*", "issuer-auth-profile-*"),
        "pki §3.1 3 the signature, its algorithm, its external data": (
            *("issuer-auth-signature-*", "issuer-auth-algorithm-*"),
        ),
        "pki §3.1 4 the digests": ("issuer-data-digest-*",),
        "pki §3.1 5 the document type": ("mso-doctype-*",),
        "pki §3.1 6 validityInfo": ("mso-validity-*", "mso-signed-within-certificate-*"),
        "pki §3.1 7 country and state": ("subject-*", "accepted-a-jurisdiction-that-is-not-disclosed"),
        "pki §3.1 8 the status": ("mso-status-*", "accepted-valid-*"),
        "pki §3.1 order of signed, validFrom and validUntil": (
            "mso-validity-valid-from-*",
            "mso-validity-valid-until-*",
        ),
        "pki §3.1 validUntil beyond the certificate": ("accepted-a-security-object-that-outlives-its-signer",),
        "pki §3.1 signed rounded to midnight": ("mso-signed-within-certificate-signed-at-a-midnight-*",),
        "pki §3.2 the anchor and the signer, nothing in between": (
            "issuer-auth-path-a-ca-in-between-*",
            "*-the-link-from-*",
        ),
        "pki §3.2 the signer has expired since": ("issuer-auth-certificate-validity-expired-*",),
        "pki §3.2 signature of the certificate": (
            "issuer-auth-path-one-bit-*",
            "issuer-auth-path-another-key-put-into-it",
        ),
        "pki §3.2 name of the issuer": ("issuer-auth-path-issuer*",),
        "pki §3.2 key identifier of the issuer": ("issuer-auth-path-*key-identifier*",),
        "pki §3.2 basicConstraints and keyUsage of the root": ("issuer-auth-profile-the-root-*",),
        "pki §3.2 one country": ("issuer-auth-profile-*countr*",),
        "pki §3.2 one state": ("issuer-auth-profile-of-another-state-*", "accepted-a-root-that-says-which-state-*"),
        "pki §3.2 the purpose": (
            "issuer-auth-profile-a-certificate-for-another-role-*",
            "accepted-a-document-signer-of-*",
        ),
        "pki §3.2 unknown critical extensions": ("issuer-auth-profile-an-unknown-critical-extension",),
        "pki §3.2 the CRL lists the signer": ("issuer-auth-certificate-revocation-revoked*",),
        "pki §3.2 no CRL to be had": (
            "accepted-no-evidence-*",
            "issuer-auth-certificate-revocation-evidence-demanded-*",
        ),
        "pki §3.2 several roots of one name": ("accepted-five-roots-of-one-name-*", "accepted-two-roots-of-one-name-*"),
        "pki §3.2 the profile of the root": ("issuer-auth-profile-the-root-*", "accepted-a-root-*"),
        "pki §3.2 the scope of the root": ("issuer-auth-trust-scope-*", "accepted-a-root-trusted-*"),
        "pki §3.3 the clock, to the second": (
            "accepted-the-first-second-*",
            "accepted-the-last-second-*",
            "*-the-next-second",
        ),
        # Certificate revocation lists.
        "pki §4 signer of the list": ("issuer-auth-certificate-revocation-a-list-signed-by-*",),
        "pki §4 whole, direct and not a delta": ("*-a-delta-list", "*-an-indirect-list", "*-a-partial-list-*"),
        "pki §4 thisUpdate and nextUpdate": (
            "*-stale-by-a-second",
            "*-from-the-future-by-a-second",
            "*-that-never-ages",
        ),
        "pki §4 nothing is revoked": ("accepted-evidence-an-empty-list", "*-a-list-that-is-empty-*"),
        "pki §4 entries without extensions": ("*-with-a-critical-entry-extension", "*-a-reason-for-another-*"),
        "pki §4 extensions of the list": (
            "*-a-list-without-a-*",
            "*-revocation-an-unknown-critical-extension",
        ),
        "pki §4 ninety days": ("accepted-evidence-a-list-for-90-days", "*-a-list-for-91-days-*"),
        "pki §4 in PEM": ("accepted-evidence-a-list-in-pem", "*-revoked-by-a-list-in-pem"),
        # What a list of roots comes to, for the reader of a response.
        "pki §5.2 several roots of one state": ("accepted-five-roots-of-one-name-*",),
        "pki §5.2 several document types of one root": ("accepted-a-root-trusted-for-pids-and-licences",),
        "pki §5.3 9 a root only for its document types": ("issuer-auth-trust-scope-*",),
        # Revocation of the document itself.
        "pki §7.1 both kinds of list": ("accepted-valid-by-two-lists", "mso-status-two-lists-named-*"),
        "pki §7.1 other members": (
            "accepted-a-status-of-a-kind-*",
            "accepted-a-kind-of-list-*",
            "accepted-references-with-*",
        ),
        "pki §7.2 the certificate that is named": (
            "mso-status-a-certificate-is-named-*",
            "accepted-a-certificate-is-named-*",
        ),
        "pki §7.2 the chain of the list's signer": ("mso-status-a-list-of-one-who-says-valid-*",),
        "pki §7.3 its header and claims": ("mso-status-*-no-exp", "accepted-a-list-of-its-own-kind-short-typ"),
        "pki §7.3 its algorithms": ("accepted-a-list-signed-on-*",),
        "pki §7.4 statuses and indices": (
            "mso-status-the-list-says-*",
            "mso-status-an-index-*",
            "accepted-the-last-index-*",
        ),
        "pki §7.4 a bound for what is inflated": ("mso-status-*-a-bomb",),
        "pki §7.5 identifiers": ("mso-status-revoked-by-an-identifier-list*", "accepted-an-identifier-*"),
        # Algorithms.
        "pki §8.1 curves and algorithms": ("accepted-a-document-signer-on-*", "accepted-a-device-key-on-*"),
        "pki §8.1 pairs that do not go together": ("issuer-auth-algorithm-a-signer-on-*",),
        "pki §8.2 fully specified names": (
            "*-a-fully-specified-name-of-the-same",
            "issuer-auth-algorithm-*-names-esp384",
        ),
        "pki §8.3 algorithms of no edition": ("issuer-auth-algorithm-*-names-ml-dsa-44",),
    }
)

# Rows of the same tables that are no matter of a response -> where they belong.
ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "mdoc §4.1 wallet side": "what a wallet checks in a request: another task",
        "mdoc §6 ItemsRequest encoded again": "what a wallet checks in a request: another task",
        "mdoc §6 BLE and NFC": "transport: the response is the same",
        "mdoc §6 versions of an engagement, keys 0 and 1 of its options": "engagement: before there is a response",
        "mdoc §6 reader authentication": "what a wallet checks in a request: another task",
        "mdoc §6 one counter for both directions": "session encryption: the response is given decrypted",
        "pki §3.3 reader authentication": "what a wallet checks in a request: another task",
        "pki §5.2 deviations of VICAL files": "a VICAL is another input: it has cases of its own",
        "pki §5.3 1-8 signer, dates and entries of a VICAL": "a VICAL is another input: it has cases of its own",
    }
)


@cache
def kinds_of(case_id: str) -> tuple[str, ...]:
    """The kinds that a case shows, by its id."""
    return tuple(kind for kind, patterns in KINDS.items() if any(fnmatchcase(case_id, each) for each in patterns))


def sources_of(case: Case) -> str:
    """Where docs/standards has the kinds of a case; for a case of no kind, the table of its group."""
    return "; ".join(kinds_of(case.id)) or _GENERAL[case.group]


# What stands behind a case that is in no row of its own.
_GENERAL: Mapping[str, str] = MappingProxyType(
    {
        "device": "mdoc §2.4 the device-signed part",
        "items": "mdoc §2.1 the issuer-signed items",
        "malformed": "mdoc §2 the structures",
        "request": "mdoc §5 data elements",
        "response": "mdoc §2.5 the response",
        "revocation": "pki §4 revocation lists",
        "security-object": "mdoc §2.1 the security object",
        "signature": "mdoc §2.2 issuerAuth",
        "signer": "pki §2 certificate profiles",
        "status": "pki §7 revocation of the document",
    }
)
