"""What AWS KMS and AWS Private CA have in common: how they are named, reached, and how their refusals read.

A resource is named by a URI, ``awskms:///alias/ds-1?region=eu-central-1`` or ``awspca:///arn:aws:acm-pca:…``. Region
and endpoint come from it and from nowhere else. Credentials come the way boto3 finds them for any program: a role of
the machine or container, the shared files, or the environment.

boto3 is an extra (``mdl-sdk[aws]``); importing this module does not need it. `issuer.keystore` and `issuer.private_ca`
are the front doors.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import SplitResult, urlsplit

from issuer.key_uri import attributes_of, invalid_uri, scheme_of
from mdl.errors import SigningError

__all__ = ["AwsUri", "call", "connect", "malformed_answer", "member"]

_T = TypeVar("_T")

_ATTEMPTS: Final = 4
"""How often a call is made before its failure counts; boto3 waits longer each time, at random."""

_CONNECT_PATIENCE: Final = 5.0
"""Seconds to wait for a connection, each time."""

_READ_PATIENCE: Final = 10.0
"""Seconds to wait for more of an answer, each time."""

_CONNECTIONS: Final = 32
"""Connections kept open, and so threads of one client that need not wait for each other."""


# --- Names -----------------------------------------------------------------------------------------------------------

_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_ALIAS: Final = r"alias/[A-Za-z0-9/_-]{1,250}"
_ARN: Final = r"arn:aws[a-z-]{0,16}:%s:(?P<region>[a-z0-9-]{1,32}):[0-9]{12}:"
_RESOURCES: Final[Mapping[str, tuple[re.Pattern[str], str]]] = {
    "awskms": (
        re.compile(rf"(?:{_ARN % 'kms'})?(?:{_ALIAS}|key/(?:{_UUID}|mrk-[0-9a-f]{{32}}))|{_UUID}|mrk-[0-9a-f]{{32}}"),
        "awskms:///alias/NAME?region=REGION, or with a key id or an ARN instead of the alias",
    ),
    "awspca": (
        re.compile(rf"{_ARN % 'acm-pca'}certificate-authority/{_UUID}"),
        "awspca:///arn:aws:acm-pca:REGION:ACCOUNT:certificate-authority/ID",
    ),
}
_REGION: Final = re.compile(r"[a-z]{2,8}(?:-[a-z]{1,16}){1,3}-[0-9]{1,2}")
_QUERY: Final[Mapping[str, str]] = {"region": "region", "endpoint": "endpoint"}
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsUri:
    """A URI that names a key of AWS KMS (``awskms:``) or a CA of AWS Private CA (``awspca:``).

    Attributes:
        scheme: ``awskms`` or ``awspca``.
        resource: A key id, an alias with its ``alias/``, or an ARN.
        region: The region that holds it.
        endpoint: Whom to ask instead of AWS's public address: an https URL, or http on the loopback interface; or None.
    """

    scheme: str
    resource: str
    region: str
    endpoint: str | None = None

    @classmethod
    def parse(cls, uri: str, *, scheme: str) -> AwsUri:
        """Read a URI.

        Args:
            uri: The URI.
            scheme: Which of the two schemes it must have.

        Raises:
            SigningError: It is not one that we can serve (code ``signing.uri_invalid``). The message holds no values.
        """
        if scheme_of(uri) != scheme:
            raise invalid_uri(f"it does not begin with {scheme}:")
        pattern, example = _RESOURCES[scheme]
        path, _, query = uri.partition(":")[2].partition("?")
        found = pattern.fullmatch(path.removeprefix("///"))
        if found is None:
            raise invalid_uri(f"it is not of the form {example}")
        fields: dict[str, str] = {}
        for name, raw in attributes_of(query, "&", _QUERY).items():
            try:
                fields[name] = raw.decode("ascii")
            except UnicodeDecodeError:
                raise invalid_uri(f"{name} is not ASCII") from None
        named = found["region"]
        region = fields.get("region", named)
        if region is None:
            raise invalid_uri("name the region: region=…")
        if not _REGION.fullmatch(region):
            raise invalid_uri("region is not the name of a region")
        if named not in (None, region):
            raise invalid_uri("region is not the one in the ARN")
        if "endpoint" in fields:
            _check_endpoint(fields["endpoint"])
        # A key id may be written as the last part of its ARN is.
        resource = found[0].removeprefix("key/")
        return cls(scheme=scheme, resource=resource, region=region, endpoint=fields.get("endpoint"))

    def __str__(self) -> str:
        endpoint = "" if self.endpoint is None else f"&endpoint={self.endpoint}"
        return f"{self.scheme}:///{self.resource}?region={self.region}{endpoint}"


def _check_endpoint(url: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise invalid_uri("endpoint is not a URL") from None
    bare = SplitResult(parts.scheme, parts.netloc, "", "", "").geturl()
    if parts.username is not None or port == 0 or not parts.hostname or url.removesuffix("/") != bare:
        raise invalid_uri("endpoint is a scheme, a host and perhaps a port, as in https://host:443")
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        raise invalid_uri("endpoint is an https URL, or http on this machine")


# --- Refusals --------------------------------------------------------------------------------------------------------

_ACCESS: Final = (
    "signing.access_denied",
    False,
    "AWS refuses the credentials or what they are used for: check them, the key policy and the IAM policy",
)
_THROTTLED: Final = ("signing.throttled", True, "AWS asks for fewer requests: try again later, or raise the quota")
_FAILED: Final = ("signing.service_failed", True, "AWS failed: try again later")
_UNUSABLE: Final = ("signing.key_unusable", False, "the key is not one that signs here: it is for another use")
_REFUSALS: Final[Mapping[str, tuple[str, bool, str]]] = {
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccessDeniedException",
            "ExpiredToken",
            "ExpiredTokenException",
            "IncompleteSignature",
            "IncompleteSignatureException",
            "InvalidClientTokenId",
            "InvalidGrantTokenException",
            "InvalidSignatureException",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "NotAuthorized",
            "OptInRequired",
            "SignatureDoesNotMatch",
            "UnrecognizedClientException",
        ),
        _ACCESS,
    ),
    **dict.fromkeys(
        (
            "RequestLimitExceeded",
            "RequestThrottled",
            "RequestThrottledException",
            "SlowDown",
            "Throttling",
            "ThrottlingException",
            "ThrottledException",
            "TooManyRequestsException",
        ),
        _THROTTLED,
    ),
    **dict.fromkeys(
        (
            "DependencyTimeoutException",
            "InternalFailure",
            "InternalServerException",
            "KeyUnavailableException",
            "KMSInternalException",
            "ServiceUnavailable",
            "ServiceUnavailableException",
        ),
        _FAILED,
    ),
    "AlreadyExistsException": ("signing.key_exists", False, "there is a key of that name: a key is never overwritten"),
    "DisabledException": ("signing.key_disabled", False, "the key is disabled: enable it"),
    "InvalidKeyUsageException": _UNUSABLE,
    "InvalidStateException": ("signing.ca_unusable", False, "the CA is in a state in which it does not issue"),
    "KMSInvalidStateException": (
        "signing.key_unusable",
        False,
        "the key is in a state in which it does not sign: look at it in AWS KMS; it may await its deletion",
    ),
    "LimitExceededException": ("signing.quota_exceeded", False, "a quota of the AWS account is used up: raise it"),
    "MalformedCSRException": ("signing.request_refused", False, "the CA does not take the certificate request"),
    "NotFoundException": (
        "signing.key_missing",
        False,
        "AWS KMS has no such key in this account and region: make it, or correct the URI",
    ),
    "RequestFailedException": ("signing.request_refused", False, "the CA could not issue what was asked for"),
    "RequestInProgressException": ("signing.certificate_pending", True, "the CA is still at work on the certificate"),
    "ResourceNotFoundException": (
        "signing.ca_missing",
        False,
        "AWS Private CA has no such CA or certificate in this account and region: correct the URI",
    ),
    "UnsupportedOperationException": _UNUSABLE,
}
_CREDENTIALS: Final = frozenset(
    {
        "ConfigNotFound",
        "ConfigParseError",
        "CredentialRetrievalError",
        "InvalidConfigError",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "ProfileNotFound",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
    }
)
"""What botocore raises when it finds no credentials to ask with."""

# What botocore raises when an answer cannot be taken apart, beside its own ResponseParserError.
_ODD_ANSWERS: Final = (ValueError, LookupError, TypeError, AttributeError)


def _refusal(exc: Exception) -> SigningError:
    """What a caller is told about an exception out of boto3; its own text is never passed on."""
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    if isinstance(exc, exceptions.ClientError):
        return _refusal_of_service(exc.response)
    if isinstance(exc, exceptions.SSLError):
        return SigningError("there is no trustworthy TLS at the AWS endpoint", code="signing.endpoint_untrusted")
    if isinstance(exc, exceptions.HTTPClientError | exceptions.ConnectionError):
        return SigningError(
            f"AWS does not answer ({type(exc).__name__}): try again later, or check network, region and endpoint",
            code="signing.service_unreachable",
            retryable=True,
        )
    if type(exc).__name__ in _CREDENTIALS:
        return SigningError(
            f"boto3 finds no AWS credentials ({type(exc).__name__}): give the machine or the container a role, or name "
            "a profile of the shared files",
            code="signing.credentials_missing",
        )
    if isinstance(exc, (ResponseParserError, *_ODD_ANSWERS)):
        return malformed_answer(type(exc).__name__)
    return SigningError(f"the call to AWS failed ({type(exc).__name__})", code="signing.service_failed")


def _refusal_of_service(response: Mapping[str, Any]) -> SigningError:
    name = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    if name in _REFUSALS:
        code, retryable, message = _REFUSALS[name]
    elif status == 429:
        code, retryable, message = _THROTTLED
    elif isinstance(status, int) and status >= 500:
        code, retryable, message = _FAILED
    else:
        code, retryable, message = "signing.service_refused", False, "AWS refuses the request"
    shown = f" ({name})" if re.fullmatch(r"[A-Za-z]{1,64}", name) else ""
    return SigningError(f"{message}{shown}", code=code, retryable=retryable)


def malformed_answer(what: str) -> SigningError:
    """The error about an answer that is not what AWS documents."""
    return SigningError(f"AWS answered with something malformed ({what})", code="signing.malformed_answer")


# --- Calls -----------------------------------------------------------------------------------------------------------


@contextmanager
def connect(service: str, uri: AwsUri, *, once: bool = False) -> Iterator[Any]:
    """Open a client of an AWS service; threads may share it.

    Args:
        service: boto3's name of the service.
        uri: Says region and endpoint.
        once: Make each call a single time, for what must not happen twice.

    Raises:
        SigningError: boto3 is not installed (code ``signing.extra_missing``), or its own configuration is unusable.
    """
    try:
        from boto3.session import Session
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as exc:
        raise SigningError(
            f"{uri.scheme}: URIs need the boto3 package: pip install 'mdl-sdk[aws]'", code="signing.extra_missing"
        ) from exc
    config = Config(
        connect_timeout=_CONNECT_PATIENCE,
        read_timeout=_READ_PATIENCE,
        retries={"mode": "standard", "total_max_attempts": 1 if once else _ATTEMPTS},
        max_pool_connections=_CONNECTIONS,
        # The URI says whom to ask; the environment does not lead elsewhere.
        ignore_configured_endpoint_urls=True,
    )
    try:
        # A session of its own: boto3's default one is not made for threads.
        client = Session().client(service, region_name=uri.region, endpoint_url=uri.endpoint, config=config)
    except (BotoCoreError, ValueError) as exc:
        raise _refusal(exc) from exc
    try:
        yield client
    finally:
        client.close()


def call(operation: Callable[..., Any], **arguments: Any) -> Mapping[str, Any]:
    """Call an operation of a client.

    Raises:
        SigningError: AWS refused, failed, did not answer or answered with what cannot be read. ``retryable`` says
            whether trying again may help; boto3 has tried several times by then.
    """
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        answer: Mapping[str, Any] = operation(**arguments)
    except (BotoCoreError, ClientError, ResponseParserError, *_ODD_ANSWERS) as exc:
        raise _refusal(exc) from exc
    return answer


def member(answer: Mapping[str, Any], name: str, kind: type[_T]) -> _T:
    """A member of an answer.

    Raises:
        SigningError: It is missing or of another type (code ``signing.malformed_answer``).
    """
    value = answer.get(name)
    if not isinstance(value, kind):
        raise malformed_answer(f"no {name}")
    return value
