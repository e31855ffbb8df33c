"""What is decided when an authority is founded, and how the decision is tried out before a key is made for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from issuer.addresses import check_address
from issuer.audit import Acting, Actor
from issuer.certificates import Iaca
from issuer.custody import check_token, parse_token
from issuer.folder import PinSource, StorePlace
from issuer.policy import IssuancePolicy, find_time_zone
from issuer.store import Role
from issuer.store.postgres import check_dsn
from mdl.doctypes import find_doctype
from mdl.errors import IssuanceError, LocalProtocolError, ProfileError
from mdl.keys import Signer, SoftwareSigner
from mdl.pki import Crl, Subject

__all__ = ["MAX_CRL_DAYS", "Founding", "check_crl_days"]

MAX_CRL_DAYS: Final = 90
"""Longest time until a CRL's successor, in days, inclusive (18013-5 B.3)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Founding:
    """What is decided when an authority is founded.

    Attributes:
        subject: The root's name.
        crl_uri: Where its CRLs will be found, http or https.
        contact_email: How to reach the authority; this or `contact_uri` must be given.
        contact_uri: The same as a URI.
        doctype: The document type that it issues.
        curve: The root key's curve.
        days: The root's life in days.
        crl_days: Days until the first CRL's successor.
        token: URI of a PKCS#11 token that exists, or of a prefix of aliases in AWS KMS (`issuer.custody`); None makes a
            SoftHSM token in the folder.
        iaca_key: Label of the root key in the token.
        take_key: Whether the root key is in the token already, made with its own tool on `curve`; otherwise it is made.
        pin: Where the PIN comes from. None: a SoftHSM token that is made gets a random PIN in a file beside it, and
            any other token's PIN is asked for each time.
        store: A store in PostgreSQL, empty yet; None makes one in a file of the folder.
        policy: What the authority shall allow; None for all that the program does.
        time_zone: Where its days begin and end, an IANA name as ``America/Denver``; None where that is not said: then
            a day of issue or expiry may be that of any time zone, and nobody comes of age before it is so in all.
    """

    subject: Subject
    crl_uri: str
    contact_email: str | None = None
    contact_uri: str | None = None
    doctype: str = "org.iso.18013.5.1.mDL"
    curve: str = "P-256"
    days: int = 3285
    crl_days: int = 30
    token: str | None = None
    iaca_key: str = "iaca"
    take_key: bool = False
    pin: PinSource | None = None
    store: StorePlace | None = None
    policy: IssuancePolicy | None = None
    time_zone: str | None = None

    def rehearse(self, at: datetime) -> None:
        """Make root and CRL with a throwaway key, so that whatever is wrong with them is told before a key is made.

        Raises:
            MdlError: Something is.
        """
        if find_doctype(self.doctype) is None:
            raise IssuanceError("this document type is not known here", code="authority.doctype")
        if self.contact_email is None and self.contact_uri is None:
            message = "name a way to contact the authority: an e-mail address or a URI"
            raise ProfileError(message, code="authority.contact", clause="18013-5 B.1.2")
        check_address(self.crl_uri)
        if self.time_zone is not None:
            find_time_zone(self.time_zone)
        if self.take_key and self.token is None:
            message = "a key is taken from a token that is there: name the token"
            raise LocalProtocolError(message, code="authority.key_label")
        if self.token is not None:
            check_token(self.token, self.pin)
            parse_token(self.token).for_key(self.iaca_key)
        if self.store is not None:
            check_dsn(self.store.dsn)
        if self.policy is not None:
            self.policy.check_key(Role.IACA, self.curve)
            self.policy.check_certificate(Role.IACA, timedelta(days=self.days))
            self.policy.check_doctype(self.doctype)
            self.policy.check_address(self.crl_uri)
        self.first_crl(self.root(SoftwareSigner.generate(self.curve), at), at)

    def judge(self, actor: Actor | Acting | None) -> None:
        """Refuse somebody whom the policy does not let found an authority.

        Args:
            actor: In which role somebody asks; None names nobody.

        Raises:
            IssuanceError: It does not (codes ``policy.role`` and ``policy.role_required``).
        """
        role = actor.role if isinstance(actor, Acting) else actor
        (self.policy or IssuancePolicy()).check_actor(role, "init")

    @property
    def settings(self) -> dict[str, Any]:
        """What the store keeps of it."""
        policy = {} if self.policy is None else {"policy": self.policy.to_settings()}
        zone = {} if self.time_zone is None else {"time_zone": self.time_zone}
        return {"doctype": self.doctype, **zone, **policy}

    def root(self, signer: Signer, at: datetime, serial: int | None = None) -> Iaca:
        """Make the root for a key; see `issuer.certificates.CertificateAuthority.create`."""
        return Iaca.create(
            signer,
            subject=self.subject,
            not_before=at,
            not_after=at + timedelta(days=self.days),
            crl_uri=self.crl_uri,
            contact_email=self.contact_email,
            contact_uri=self.contact_uri,
            serial=serial,
        )

    def first_crl(self, root: Iaca, at: datetime, number: int = 1) -> Crl:
        """Sign the first CRL, which revokes nothing."""
        check_crl_days(self.crl_days)
        return root.publish_crl(number=number, this_update=at, next_update=at + timedelta(days=self.crl_days))


def check_crl_days(days: int) -> None:
    """Refuse a CRL whose successor comes too late.

    Raises:
        LocalProtocolError: It does (code ``authority.crl_days``).
    """
    if not 1 <= days <= MAX_CRL_DAYS:
        message = f"a CRL's successor is due within 1 to {MAX_CRL_DAYS} days"
        raise LocalProtocolError(message, code="authority.crl_days", clause="18013-5 B.3")
