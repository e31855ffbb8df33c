"""The stand-in for AWS, and what a test needs to speak to it."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from issuer import aws
from issuer.certificates import Iaca
from mdl.keys import SoftwareSigner
from mdl.pki import Subject
from tests.aws_stand_in import StandIn, require_boto3, serving, set_credentials


@pytest.fixture(scope="session")
def iaca() -> Iaca:
    """A root whose key the stand-in's CA holds, too."""
    return Iaca.create(
        SoftwareSigner.generate("P-384"),
        subject=Subject(country="XU", state="XU-EX", common_name="Utopia IACA"),
        not_before=datetime.now(UTC),
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
