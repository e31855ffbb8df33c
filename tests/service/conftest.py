"""The stand-in for AWS, and what a test needs to speak to it."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from issuer import aws
from issuer.certificates import Iaca
from mdl.keys import SoftwareSigner
from mdl.pki import Subject
from tests.aws_stand_in import StandIn, require_boto3, require_moto, serving, set_credentials


@pytest.fixture(scope="session")
def iaca() -> Iaca:
    """A root whose key the stand-in's CA holds, too."""
    return Iaca.create(
        SoftwareSigner.generate("P-384"),
        subject=Subject(country="XU", state="XU-EX", common_name="Utopia IACA"),
        not_before=datetime.now(UTC) - timedelta(hours=1),
        crl_uri="https://mdl.example/iaca.crl",
        contact_uri="https://mdl.example",
    )


@pytest.fixture
def stand_in(iaca: Iaca, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    require_boto3()
    set_credentials(monkeypatch)
    monkeypatch.setattr(aws, "_ATTEMPTS", 1)
    assert isinstance(iaca.signer, SoftwareSigner)
    with serving(iaca.signer, iaca.certificate) as stand_in:
        yield stand_in


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The endpoint of a moto server of this run's own."""
    require_moto()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env={name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert server.poll() is None, "the moto server has ended"
                assert time.monotonic() < deadline, "the moto server does not start"
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()
