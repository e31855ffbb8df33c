"""A reader decides on the files that ``mdl demo`` leaves, and says exactly why not.

python examples/verify_files.py DEMO-FOLDER [RESPONSE…]
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

from mdl.errors import MdlError
from mdl.keys import EphemeralKey
from mdl.mdoc import DeviceRequest, SessionTranscript
from mdl.pki import Certificate
from reader import Evidence, Policy, Revocation, SessionContext, TrustStore, Verifier

folder = Path(sys.argv[1])
verifier = Verifier(
    TrustStore.from_certificates(
        [Certificate.decode_any((folder / "authority/iaca.pem").read_bytes())],
        doctypes=frozenset({"org.iso.18013.5.1.mDL"}),
    ),
    policy=Policy.ISO_STRICT,
    revocation=Revocation.REQUIRED,
)
context = SessionContext(
    transcript=SessionTranscript((folder / "session/transcript.cbor").read_bytes()),
    reader_key=EphemeralKey.from_pkcs8((folder / "session/reader-key.pem").read_bytes()),
)
# Whatever a stranger sends ends in a verdict: what does not even decode is an MdlError that says where.
for name in ("session/response.cbor", "attacks/changed-birth-date.cbor", *sys.argv[2:]):
    try:
        report = verifier.examine(
            (folder / name).read_bytes(),
            context=context,
            request=DeviceRequest.decode((folder / "session/request.cbor").read_bytes()),
            at=datetime.now(UTC),
            evidence=Evidence(crls=((folder / "authority/iaca.crl").read_bytes(),)),
        )
    except MdlError as refusal:
        print(f"{name}: refused\n  {refusal}")
        continue
    print(f"{name}: {'accepted' if report.accepted else 'refused'}")
    for check in report:
        if report.refuses(check):
            print(f"  {check.id}: {check.detail} ({check.clause})")
