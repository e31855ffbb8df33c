"""Issues and revokes without end, until it is killed: python issuing.py AUTHORITY OUT RECORD.json

A licence is written to OUT under its reference as soon as it is handed out, and not before.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from issuer.audit import Actor
from issuer.authority import Authority
from issuer.folder import write_file
from issuer.issuance import Order
from issuer.records import parse_record, read_below
from issuer.store import StatusPlan
from mdl.mdoc import ValidityInfo
from mdl.testing import deterministic_key


def _clock() -> datetime:
    return datetime.now(UTC)


def _run(folder: Path, out: Path, record: Path) -> None:
    authority = Authority(folder)
    namespaces = parse_record(record.read_text(), read_file=read_below(record.parent)).namespaces
    plan = StatusPlan(uri="https://mdl.example/status/{list}", size=512)
    with authority.open_issuer(at=_clock, plan=plan) as issuer, authority.open_store() as store:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        while True:
            at = _clock().replace(microsecond=0)
            order = Order(
                namespaces=namespaces,
                device_key=deterministic_key("device").public_key,
                validity=ValidityInfo(signed=at, valid_from=at, valid_until=at + timedelta(days=7)),
            )
            issued = issuer.issue_batch([order] * 5)
            for one in issued:
                assert one.credential is not None
                write_file(out / f"{one.record.reference.hex()}.cbor", one.credential.encode())
            with store.transaction(at=_clock, actor=Actor.ISSUING_SERVICE) as tx:
                tx.revoke_credentials(reference=issued[0].record.reference, reason=1)


if __name__ == "__main__":
    _run(*map(Path, sys.argv[1:]))
