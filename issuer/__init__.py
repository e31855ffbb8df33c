"""The issuing authority's side: keys, certificates, and the issuing of credentials.

The front doors are `issuer.keystore` (signers by URI), `issuer.certificates` (the root and its document signers),
`issuer.records` (licence records) and `issuer.issuance` (credentials).
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
