"""An authority whose keys lie in a PKCS#11 token issues a thousand licences, signed by several processes.

python examples/issue_with_hsm.py

The token is SoftHSM in a temporary folder. With another one, give `Founding` its URI as `token=`.
"""

import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from issuer.authority import Authority, Founding
from issuer.issuance import CredentialIssuer, Order
from issuer.keystore import Pkcs11Uri, SigningProcesses, secret_from_file
from mdl.cbor import FullDate
from mdl.doctypes import MDL_NAMESPACE
from mdl.keys import SoftwareSigner
from mdl.mdoc import ValidityInfo
from mdl.pki import Subject
from mdl.testing import sample_image

COUNT = 1000


def order(number: int, at: datetime) -> Order:
    """A licence, one of many; each has a device key of its own."""
    elements = {
        "family_name": "Sample",
        "given_name": f"Ada {number}",
        "birth_date": FullDate("1990-12-10"),
        "issue_date": FullDate.of(at.date()),
        "expiry_date": FullDate.of(at.date() + timedelta(days=1500)),
        "issuing_country": "XU",
        "issuing_authority": "Utopia Motor Vehicles",
        "document_number": f"EX-{number:06}",
        "portrait": sample_image(2000),
        "driving_privileges": [{"vehicle_category_code": "B"}],
        "un_distinguishing_sign": "XU",
    }
    return Order(
        namespaces={MDL_NAMESPACE: elements},
        device_key=SoftwareSigner.generate().public_key,
        validity=ValidityInfo(signed=at, valid_from=at, valid_until=at + timedelta(days=14)),
    )


def main() -> None:
    """Found, certify, issue."""
    now = datetime.now(UTC).replace(microsecond=0)
    with tempfile.TemporaryDirectory() as folder:
        founding = Founding(
            subject=Subject(country="XU", common_name="Utopia IACA"),
            crl_uri="https://mdl.example/iaca.crl",
            contact_uri="https://mdl.example",
        )
        authority = Authority.found(Path(folder) / "authority", founding, at=now)
        document_signer = authority.certify_signer(at=now)
        print("a document signer in the token:", document_signer.certificate.subject)

        uri = Pkcs11Uri.parse(authority.token).for_key(document_signer.key)
        assert authority.pin_file is not None
        with SigningProcesses(uri, secret=secret_from_file(authority.pin_file), processes=2) as signers:
            issuer = CredentialIssuer(signers, document_signer.certificate, doctype=authority.doctype)
            orders = [order(number, now) for number in range(COUNT)]
            start = time.perf_counter()
            issued = [*issuer.issue_many(orders, signers.sign_many)]
            seconds = time.perf_counter() - start
        assert len({one.issuer_auth.signature for one in issued}) == COUNT
        print(f"{len(issued)} licences issued, {len(issued) / seconds:.0f} a second")


if __name__ == "__main__":
    main()
