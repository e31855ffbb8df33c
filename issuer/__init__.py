"""The issuing authority's side: keys, certificates, and the issuing of credentials.

The front doors are `issuer.authority` (all of it, in a folder), `issuer.keystore` (signers by URI),
`issuer.certificates` (roots and what they certify), `issuer.lifecycle` (what is due, and what expires),
`issuer.records` (licence records), `issuer.issuance` (credentials), `issuer.batches` (credentials that are remembered),
`issuer.store` (what must not be forgotten) and `issuer.audit` (what was done).
"""

from issuer.certificates import Iaca, request_document_signer
from issuer.issuance import CredentialIssuer, Order, PreparedMdoc
from issuer.keystore import SigningProcesses, generate_key, open_signer
from issuer.records import LicenceRecord, parse_record, read_below

__all__ = [
    "CredentialIssuer",
    "Iaca",
    "LicenceRecord",
    "Order",
    "PreparedMdoc",
    "SigningProcesses",
    "generate_key",
    "open_signer",
    "parse_record",
    "read_below",
    "request_document_signer",
]
