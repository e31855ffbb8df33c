"""The rules of the certificate and CRL profiles, each beside the check that decides it.

A check takes one `CertificateContext` or `CrlContext`. It returns None where the rule holds, else a text that says what
was found: object identifiers, sizes and codes, never the text of a name. A profile (`mdl.pki.profiles`) takes the rules
that apply to it; the builder, the linter, the path check and the documentation read the same rules.
"""

from __future__ import annotations

from typing import Final

from mdl.pki.rules import crl, extensions, names, structure

CERTIFICATE_RULES: Final = (*structure.RULES, *names.RULES, *extensions.RULES)
"""The rules on certificates, in the order of checking."""

CRL_RULES: Final = (*crl.RULES,)
"""The rules on CRLs, in the order of checking."""
