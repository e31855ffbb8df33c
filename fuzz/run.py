"""Fuzz our decoders and the verifier, guided by coverage.

    python fuzz/run.py --seconds 1800 [--target NAME …] [--corpus DIR]

The first byte of an input chooses the target, so that one run covers several: all of them, or those that ``--target``
names. Seeds come from ``test_vectors/cases``; what a run finds interesting is kept in the corpus folder for the next
one. A finding ends the run with the input in a file beside the corpus and a traceback; ``--replay FILE`` runs that
input again, with the same ``--target``.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import atheris

_MOST_SEED: int = 64 * 1024


def main() -> int:
    """Run the fuzzer; it does not come back, and ends the process with a status of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60, help="how long (default: %(default)s)")
    parser.add_argument(
        "--target", nargs="+", action="extend", metavar="NAME", help="these targets only; without it, all of them"
    )
    parser.add_argument(
        "--corpus", type=Path, default=Path(".fuzz"), help="where inputs are kept (default: %(default)s)"
    )
    parser.add_argument("--replay", type=Path, metavar="FILE", help="run the input in this file once")
    arguments = parser.parse_args()
    with atheris.instrument_imports(include=["mdl", "reader", "fuzz"]):
        sys.path.insert(0, str(Path(__file__).parent.parent))
        from fuzz.targets import TARGETS, seeds
    # In the order of the table, so that the same targets in another order are the same run.
    names = [name for name in TARGETS if arguments.target is None or name in arguments.target]
    if arguments.target is not None and not TARGETS.keys() >= set(arguments.target):
        parser.error(f"no such target; there are {', '.join(TARGETS)}")

    def one(data: bytes) -> None:
        if data:
            TARGETS[names[data[0] % len(names)]](data[1:])

    if arguments.replay is not None:
        one(arguments.replay.read_bytes())
        print("no finding")
        return 0
    contents = [
        bytes((names.index(name),)) + data
        for name, inputs in seeds().items()
        if name in names
        for data in sorted(inputs)
        if len(data) < _MOST_SEED
    ]
    # What counts as signed and issued is what the seeds hold: with other seeds it begins anew.
    corpus = arguments.corpus / f"corpus-{hashlib.sha256(b''.join(contents)).hexdigest()[:16]}"
    corpus.mkdir(parents=True, exist_ok=True)
    for content in contents:
        (corpus / f"seed-{hashlib.sha256(content).hexdigest()[:16]}").write_bytes(content)
    options = [f"-max_total_time={arguments.seconds}", f"-max_len={_MOST_SEED}", "-timeout=10", "-rss_limit_mb=2048"]
    options += ["-print_final_stats=1", f"-artifact_prefix={arguments.corpus}/finding-"]
    atheris.Setup([sys.argv[0], str(corpus), *options], one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
