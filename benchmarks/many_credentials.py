"""What a timer's work costs with many credentials in the store: signing a list, publishing anew, verifying the log.

    python -m benchmarks.many_credentials [COUNT …]        10000, 100000 and 1000000 if none is named

Each count is measured in a SQLite store of its own, with one status list in which one credential in a hundred is
revoked, issued in batches of a thousand. Times are seconds of the processor, the best of three.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from issuer.audit import examine_log
from issuer.comparing import compare_log
from issuer.publishing import Publisher
from issuer.status import ListSigner
from issuer.store import Reservation, SqliteStore, StatusPlan, Store
from tests.listed import AUTHORITY, LIST_SIGNER, MDL, ROOT, Clock, fill
from tests.status_forgery import LIST_KEY
from tests.stores import ROLE

_COUNTS: Final = (10_000, 100_000, 1_000_000)
_BATCH: Final = 1000
_ROUNDS: Final = 3
_PLAN: Final = StatusPlan(uri="https://mdl.example/status/{list}", size=1 << 21)


def issue(store: Store, count: int, clock: Clock) -> None:
    """Record that so many credentials were issued, and that one in a hundred is revoked."""
    one = Reservation(valid_from=clock.now, valid_until=clock.now + timedelta(days=30))
    for _ in range(count // _BATCH):
        with store.transaction(at=clock, actor=ROLE) as tx:
            signer = AUTHORITY.ds_certificate.fingerprint
            batch = tx.reserve_batch([one] * _BATCH, signer=signer, key="ds-1", doctype=MDL, plan=_PLAN)
            tx.complete_batch(batch)
            for credential in batch.credentials[::100]:
                tx.revoke_credentials(reference=credential.reference)


def best(work: Callable[[], object]) -> float:
    """The least time that the work takes, seconds of the processor."""
    times = []
    for _ in range(_ROUNDS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def measure(count: int, folder: Path) -> dict[str, float]:
    """What the work costs with so many credentials."""
    clock = Clock()
    with SqliteStore(folder / f"{count}.db", create=True) as store:
        fill(store)
        issue(store, count, clock)
        signer = ListSigner(store, LIST_KEY, LIST_SIGNER, key="revocation-list-1", root=ROOT, at=clock)
        publisher = Publisher(store, folder / f"www-{count}")
        (record,) = signer.due()

        def look_at_list() -> None:
            with store.reading() as reader:
                reader.revoked_indices(record.list_id)

        def verify() -> None:
            with store.reading() as reader:
                found = examine_log(reader.audit_records(), log_id=reader.log_id, head=reader.audit_head())
                assert found.findings == ()
                assert compare_log(reader.audit_records(), reader.holdings()) == []

        result = {
            "what a list shows": best(look_at_list),
            "sign it": best(lambda: signer.sign(record)),
            "nothing is due": best(signer.due),
        }
        publisher.publish(at=clock)
        return result | {
            "publish, nothing changed": best(lambda: publisher.publish(at=clock)),
            "audit verify": best(verify),
        }


def main() -> int:
    """Measure, and print a table."""
    counts = [int(word) for word in sys.argv[1:]] or [*_COUNTS]
    with tempfile.TemporaryDirectory(prefix="mdl-bench-") as folder:
        columns = {count: measure(count, Path(folder)) for count in counts}
    print(f"{'seconds':28}" + "".join(f"{count:>12,}" for count in counts))
    for name in next(iter(columns.values())):
        print(f"{name:28}" + "".join(f"{columns[count][name]:12.4f}" for count in counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
