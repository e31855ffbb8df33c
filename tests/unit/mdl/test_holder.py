"""The software holder: what leaves it, what does not, and how it authenticates."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdl.cbor import FullDate, wrap24
from mdl.doctypes import MDL_NAMESPACE
from mdl.errors import (
    DecodeError,
    LocalProtocolError,
    MdlError,
    RemoteProtocolError,
    SigningError,
    UnsupportedError,
    VerificationError,
)
from mdl.holder import MAX_DOC_REQUESTS, Credential, Holder
from mdl.keys import EphemeralKey, PublicKey, SoftwareSigner
from mdl.mdoc import (
    DeviceRequest,
    DeviceResponse,
    DeviceSigned,
    DocRequest,
    Document,
    IssuerSigned,
    ItemsRequest,
    SessionTranscript,
    device_authentication_bytes,
    device_mac_key,
)
from mdl.testing import (
    MDL_DOCTYPE,
    Recipe,
    deterministic_ephemeral_key,
    deterministic_key,
    request_for,
    sample_licence,
    sample_transcript,
)
from tests import external

DOMESTIC = "org.iso.18013.5.1.US-UT"
READER = deterministic_ephemeral_key("reader")
SESSION = sample_transcript(READER.public_key)
ANOTHER_SESSION = sample_transcript(READER.public_key, seed="another")
ELEMENTS = tuple(sample_licence()[MDL_NAMESPACE])


def holder_with(*recipes: Recipe) -> Holder:
    holder = Holder()
    for recipe in recipes or (Recipe(),):
        holder.add(recipe.issue(), recipe.device_key)
    return holder


def ask(*identifiers: str, doctype: str = MDL_DOCTYPE, namespace: str = MDL_NAMESPACE) -> DeviceRequest:
    return request_for((doctype, {namespace: identifiers}))


def disclosed(document: Document) -> dict[str, Any]:
    """Values by identifier, whatever the namespace."""
    return {identifier: value for _, identifier, value in document.issuer_signed.elements()}


def device_signed(document: Document) -> DeviceSigned:
    assert document.device_signed is not None
    return document.device_signed


def assert_signed(document: Document, key: PublicKey, transcript: SessionTranscript) -> None:
    signed = device_signed(document)
    assert signed.mac is None
    assert signed.signature is not None
    payload = device_authentication_bytes(transcript, document.doctype, signed.name_spaces_bytes.raw)
    signed.signature.verify(key, detached=payload)


def assert_authenticated(
    document: Document, reader_key: EphemeralKey, device_key: PublicKey, transcript: SessionTranscript
) -> None:
    signed = device_signed(document)
    assert signed.signature is None
    assert signed.mac is not None
    payload = device_authentication_bytes(transcript, document.doctype, signed.name_spaces_bytes.raw)
    signed.mac.verify(device_mac_key(reader_key, device_key, transcript), detached=payload)


@dataclass
class HardwareKey:
    """A key that signs and does nothing else, as a phone's hardware gives it; it may be broken."""

    signer: SoftwareSigner
    broken: bool = False

    @property
    def public_key(self) -> PublicKey:
        return self.signer.public_key

    def sign(self, data: bytes) -> bytes:
        if self.broken:
            raise SigningError("the key is locked", code="signing.refused", retryable=True)
        return self.signer.sign(data)


# --- keeping a credential ---------------------------------------------------------------------------------------------


def test_a_credential_is_kept_as_it_was_issued() -> None:
    recipe = Recipe()
    holder = Holder()
    credential = holder.add(recipe.issue(), recipe.device_key)
    assert holder.credentials == (credential,)
    assert credential.doctype == MDL_DOCTYPE
    assert tuple(credential.items[MDL_NAMESPACE]) == ELEMENTS
    assert credential.issuer_signed.encode() == recipe.issue()


def test_a_credential_of_another_device_key_is_refused() -> None:
    holder = Holder()
    with pytest.raises(VerificationError) as caught:
        holder.add(Recipe().issue(), deterministic_key("somebody else"))
    assert caught.value.code == "credential.device_key"
    assert holder.credentials == ()


@pytest.mark.parametrize(
    ("recipe", "code"),
    [
        (Recipe(items={"birth_date": {"presented": {"elementValue": FullDate("2001-01-01")}}}), "credential.digest"),
        (Recipe(items={"birth_date": {"listed": False}}), "credential.digest"),
        (Recipe(items={"birth_date": {"digest": bytes(32)}}), "credential.digest"),
        (Recipe(items={"birth_date": {"copies": 2}}), "credential.duplicate_element"),
        (Recipe(items={"birth_date": {"identifier": "family_name"}}), "credential.duplicate_element"),
        (Recipe(digest_algorithm="SHA-1"), "credential.digest_algorithm"),
        (Recipe(items={"birth_date": {"order": ("digestID", "random", "elementIdentifier")}}), "mdoc.structure"),
        (Recipe(items={"birth_date": {"order": ("random", "elementIdentifier", "elementValue")}}), "mdoc.structure"),
        (Recipe(items={"birth_date": {"identifier": 7}}), "mdoc.structure"),
        (Recipe(items={"birth_date": {"encoded": wrap24(b"\x80")}}), "mdoc.structure"),
        (Recipe(items={"birth_date": {"encoded": wrap24(b"\xa0\x00")}}), "cbor.trailing"),
        (Recipe(mso_device_key={1: 2, -1: 1, -2: bytes(32), -3: bytes(32)}), "key.malformed"),
        (Recipe(mso_device_key={1: 2, -1: 8, -2: bytes(32), -3: bytes(32)}), "key.unsupported"),
    ],
)
def test_a_credential_that_could_not_be_presented_is_refused(recipe: Recipe, code: str) -> None:
    holder = Holder()
    with pytest.raises(MdlError) as caught:
        holder.add(recipe.issue(), recipe.device_key)
    assert caught.value.code == code
    assert holder.credentials == ()


def test_a_digest_id_that_is_true_does_not_pass_for_the_number_one() -> None:
    item = IssuerSigned.decode(Recipe().issue()).name_spaces[MDL_NAMESPACE][1]
    odd = item.raw.replace(b"\x68digestID\x01", b"\x68digestID\xf5")
    assert odd != item.raw
    recipe = Recipe(items={"given_name": {"encoded": odd}})
    with pytest.raises(DecodeError):
        Holder().add(recipe.issue(), recipe.device_key)


@pytest.mark.parametrize("data", [b"", b"\xa0", b"\x80", b"\xa1\x6aissuerAuth\xf6"])
def test_bytes_that_are_no_credential_are_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        Holder().add(data, deterministic_key("device"))


def test_an_error_tells_no_value() -> None:
    recipe = Recipe(items={"family_name": {"presented": {"elementValue": "Somebody"}}})
    with pytest.raises(VerificationError) as caught:
        Holder().add(recipe.issue(), recipe.device_key)
    assert "Somebody" not in str(caught.value)


def test_the_device_key_does_not_show() -> None:
    recipe = Recipe()
    assert "SoftwareSigner" not in repr(Holder().add(recipe.issue(), recipe.device_key))


# --- selective disclosure ---------------------------------------------------------------------------------------------


@cache
def sample_holder() -> tuple[Holder, dict[str, bytes]]:
    """A holder of the sample licence, and each item as it was issued."""
    issued = IssuerSigned.decode(Recipe().issue())
    names = [identifier for _, identifier, _ in issued.elements()]
    return holder_with(), dict(zip(names, (item.raw for item in issued.name_spaces[MDL_NAMESPACE]), strict=True))


@given(wanted=st.sets(st.sampled_from(ELEMENTS), min_size=1))
def test_exactly_what_was_requested_leaves_as_it_was_issued(wanted: set[str]) -> None:
    holder, issued = sample_holder()
    encoded = holder.respond(ask(*wanted), SESSION).encode()
    (document,) = DeviceResponse.decode(encoded).documents
    items = document.issuer_signed.name_spaces[MDL_NAMESPACE]
    assert {item.raw for item in items} == {issued[identifier] for identifier in wanted}
    assert len(items) == len(wanted)
    assert all((item in encoded) is (identifier in wanted) for identifier, item in issued.items())


def test_items_with_long_heads_leave_with_long_heads() -> None:
    recipe = Recipe(items={"family_name": {"length_size": 4}})
    response = holder_with(recipe).respond(ask("family_name"), SESSION)
    (item,) = response.documents[0].issuer_signed.name_spaces[MDL_NAMESPACE]
    assert item.raw.startswith(b"\xd8\x18\x5a\x00\x00\x00")
    assert item.raw in response.encode()


def test_elements_of_a_namespace_that_was_not_requested_stay() -> None:
    recipe = Recipe(namespaces=sample_licence(aamva=True))
    (document,) = holder_with(recipe).respond(ask("sex", "family_name"), SESSION).documents
    assert list(document.issuer_signed.name_spaces) == [MDL_NAMESPACE]
    assert disclosed(document) == {"sex": 2, "family_name": "Mustermann"}


def test_what_is_not_permitted_stays() -> None:
    seen: list[tuple[str, str]] = []

    def permit(request: DocRequest, namespace: str, identifier: str) -> bool:
        assert request.items_request.doctype == MDL_DOCTYPE
        seen.append((namespace, identifier))
        return identifier != "birth_date"

    response = holder_with().respond(ask("family_name", "birth_date", "no_such"), SESSION, permit=permit)
    assert disclosed(response.documents[0]) == {"family_name": "Mustermann"}
    assert seen == [(MDL_NAMESPACE, "family_name"), (MDL_NAMESPACE, "birth_date")]


def test_nobody_is_asked_to_permit_what_is_not_held() -> None:
    def permit(_request: DocRequest, _namespace: str, _identifier: str) -> bool:
        raise AssertionError

    response = holder_with().respond(ask("no_such", "age_over_40"), SESSION, permit=permit)
    assert response.documents == ()


def test_refused_not_held_and_unknown_look_the_same() -> None:
    refused = holder_with().respond(ask("family_name"), SESSION, permit=lambda *_: False)
    lacking = holder_with().respond(ask("no_such"), SESSION)
    elsewhere = holder_with().respond(ask("family_name", namespace="no.such"), SESSION)
    empty = Holder().respond(ask("family_name"), SESSION)
    assert refused.encode() == lacking.encode() == elsewhere.encode() == empty.encode()
    assert refused == DeviceResponse("1.0", (), ({MDL_DOCTYPE: 0},), 0)


def test_an_unknown_doctype_is_reported_beside_the_one_that_is_held() -> None:
    request = request_for(
        ("org.example.library", {"org.example": ["card"]}),
        (MDL_DOCTYPE, {MDL_NAMESPACE: ["family_name"]}),
        ("org.example.library", {"org.example": ["name"]}),
    )
    response = holder_with().respond(request, SESSION)
    assert [document.doctype for document in response.documents] == [MDL_DOCTYPE]
    assert response.document_errors == ({"org.example.library": 0},)
    assert response.status == 0
    assert DeviceResponse.decode(response.encode()).document_errors == ({"org.example.library": 0},)


def test_each_requested_document_is_answered_with_its_own_credential() -> None:
    other = Recipe(
        doctype="org.example.library",
        namespaces={"org.example": {"card": 7}},
        device_key=deterministic_key("library device"),
    )
    request = request_for(
        ("org.example.library", {"org.example": ["card"]}), (MDL_DOCTYPE, {MDL_NAMESPACE: ["family_name"]})
    )
    library, licence = holder_with(Recipe(), other).respond(request, SESSION).documents
    assert disclosed(library) == {"card": 7}
    assert disclosed(licence) == {"family_name": "Mustermann"}
    assert_signed(library, other.device_key.public_key, SESSION)
    assert_signed(licence, deterministic_key("device").public_key, SESSION)


# --- age statements ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored", "asked", "returned"),
    [
        ({21: True, 60: False}, [18], {"age_over_21": True}),
        ({21: True, 60: False}, [25], {}),
        ({21: True, 60: False}, [65], {"age_over_60": False}),
        ({18: True, 21: False}, [21], {"age_over_21": False}),
        ({18: True, 21: True}, [18], {"age_over_18": True}),
        ({18: True, 21: True}, [16, 17], {"age_over_18": True}),
        ({18: True, 21: True, 65: False}, [18, 21, 65], {"age_over_18": True, "age_over_21": True}),
        ({18: True, 21: True, 65: False}, [18, 17, 65], {"age_over_18": True, "age_over_65": False}),
        ({18: "yes", 21: True}, [18], {"age_over_21": True}),
    ],
)
def test_the_nearest_age_statement_answers_and_at_most_two_of_them(
    stored: dict[int, Any], asked: list[int], returned: dict[str, bool]
) -> None:
    elements = {f"age_over_{nn:02d}": value for nn, value in stored.items()}
    holder = holder_with(Recipe(namespaces={MDL_NAMESPACE: {"family_name": "M"} | elements}))
    request = ask("family_name", *(f"age_over_{nn:02d}" for nn in asked))
    (document,) = holder.respond(request, SESSION).documents
    assert disclosed(document) == {"family_name": "M"} | returned


def test_permission_is_for_the_statement_that_leaves() -> None:
    def permit(_request: DocRequest, _namespace: str, identifier: str) -> bool:
        return identifier == "age_over_16"

    holder = holder_with()
    assert holder.respond(ask("age_over_16"), SESSION, permit=permit).documents == ()
    response = holder.respond(ask("age_over_16"), SESSION, permit=lambda *what: what[2] == "age_over_18")
    assert disclosed(response.documents[0]) == {"age_over_18": True}


def test_a_refused_age_statement_does_not_use_up_the_two() -> None:
    stored = {"age_over_18": True, "age_over_21": True, "age_over_65": False}
    holder = holder_with(Recipe(namespaces={MDL_NAMESPACE: stored}))
    response = holder.respond(ask(*stored), SESSION, permit=lambda *what: what[2] != "age_over_18")
    assert disclosed(response.documents[0]) == {"age_over_21": True, "age_over_65": False}


def age_licence() -> Holder:
    return holder_with(Recipe(namespaces={MDL_NAMESPACE: {f"age_over_{nn:02d}": True for nn in range(99)}}))


def asking(*groups: Sequence[str]) -> DeviceRequest:
    """One request, which asks for one document several times."""
    items = [ItemsRequest(MDL_DOCTYPE, {MDL_NAMESPACE: dict.fromkeys(group, False)}) for group in groups]
    return DeviceRequest(tuple(DocRequest.of(one) for one in items))


@pytest.mark.parametrize("size", [1, 2, 3, 99])
def test_two_age_statements_are_all_however_the_request_is_divided(size: int) -> None:
    wanted = [f"age_over_{nn:02d}" for nn in range(99)]
    groups = [wanted[start : start + size] for start in range(0, len(wanted), size)][:MAX_DOC_REQUESTS]
    response = age_licence().respond(asking(*groups), SESSION)
    assert [disclosed(document) for document in response.documents] == [
        dict.fromkeys(group, True) for group in ([wanted[:1], wanted[1:2]] if size == 1 else [wanted[:2]])
    ]
    assert response.document_errors == ()


def test_the_same_age_statement_is_given_again() -> None:
    response = age_licence().respond(asking(["age_over_18"], ["age_over_18", "age_over_21"], ["age_over_18"]), SESSION)
    assert [set(disclosed(one)) for one in response.documents] == [
        {"age_over_18"},
        {"age_over_18", "age_over_21"},
        {"age_over_18"},
    ]


def test_each_request_gets_two_age_statements_as_none_is_remembered() -> None:
    holder = age_licence()
    for wanted in (["age_over_18", "age_over_19", "age_over_20"], ["age_over_30", "age_over_31", "age_over_32"]):
        (document,) = holder.respond(asking(wanted), SESSION).documents
        assert list(disclosed(document)) == wanted[:2]


def test_age_statements_that_the_device_signs_count_too() -> None:
    authorised = {"nameSpaces": ["org.example"]}
    stored = {MDL_NAMESPACE: {"age_over_18": True, "age_over_21": True}}
    holder = holder_with(Recipe(namespaces=stored, key_authorizations=authorised))
    more = {MDL_DOCTYPE: {"org.example": {"age_over_30": True, "note": 1}}}
    request = request_for(
        (MDL_DOCTYPE, {MDL_NAMESPACE: ["age_over_18", "age_over_21"], "org.example": ["age_over_30", "note"]})
    )
    (document,) = holder.respond(request, SESSION, device_elements=more).documents
    assert set(disclosed(document)) == {"age_over_18", "age_over_21"}
    assert device_signed(document).name_spaces == {"org.example": {"note": 1}}


def test_what_is_returned_is_not_listed_as_not_returned() -> None:
    holder = holder_with()
    response = holder.respond(asking(["family_name"], ["no_such_element"]), SESSION)
    assert (len(response.documents), response.document_errors) == (1, ())
    response = holder.respond(asking(["no_such_element"], ["family_name"]), SESSION)
    assert (len(response.documents), response.document_errors) == (1, ())
    response = holder.respond(asking(["no_such_element"], ["neither"]), SESSION)
    assert (len(response.documents), response.document_errors) == (0, ({MDL_DOCTYPE: 0},))


def test_a_request_for_too_many_documents_is_not_answered() -> None:
    holder = holder_with()
    assert len(holder.respond(asking(*[["sex"]] * MAX_DOC_REQUESTS), SESSION).documents) == MAX_DOC_REQUESTS
    with pytest.raises(RemoteProtocolError) as caught:
        holder.respond(asking(*[["sex"]] * (MAX_DOC_REQUESTS + 1)), SESSION)
    assert caught.value.code == "holder.doc_requests"


def test_two_age_statements_are_all_even_from_two_namespaces() -> None:
    stored = {"age_over_18": True, "age_over_21": True}
    holder = holder_with(Recipe(namespaces={MDL_NAMESPACE: stored, DOMESTIC: stored}))
    request = request_for((MDL_DOCTYPE, {DOMESTIC: ["age_over_21"], MDL_NAMESPACE: ["age_over_21", "age_over_18"]}))
    (document,) = holder.respond(request, SESSION).documents
    assert len(list(document.issuer_signed.elements())) == 2


def test_nobody_is_asked_twice_to_permit_the_same_statement() -> None:
    seen: list[str] = []

    def permit(_request: DocRequest, _namespace: str, identifier: str) -> bool:
        seen.append(identifier)
        return True

    holder_with().respond(ask("age_over_16", "age_over_17", "age_over_20", "age_over_21"), SESSION, permit=permit)
    assert seen == ["age_over_18", "age_over_21"]


def test_a_holder_of_the_sample_licence_can_show_all_of_it() -> None:
    (document,) = holder_with().respond(ask(*ELEMENTS), SESSION).documents
    assert tuple(disclosed(document)) == ELEMENTS


# --- authentication ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "curve",
    ["P-256", "P-384", "P-521", "brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "Ed25519", "Ed448"],
)
def test_the_device_signs_for_this_session_only(curve: str) -> None:
    recipe = Recipe(device_key=deterministic_key("device", curve))
    response = holder_with(recipe).respond(ask("family_name"), SESSION)
    (document,) = DeviceResponse.decode(response.encode()).documents
    signed = device_signed(document)
    assert signed.name_spaces_bytes.raw == bytes.fromhex("d81841a0")
    assert signed.signature is not None
    assert signed.signature.unprotected == {}
    assert_signed(document, recipe.device_key.public_key, SESSION)
    with pytest.raises(VerificationError):
        assert_signed(document, recipe.device_key.public_key, ANOTHER_SESSION)


@pytest.mark.parametrize("curve", ["P-256", "P-384", "P-521", "brainpoolP256r1", "X25519", "X448"])
def test_the_device_authenticates_by_mac_for_this_session_only(curve: str) -> None:
    device_key = deterministic_ephemeral_key("device", curve)
    reader_key = deterministic_ephemeral_key("reader", curve)
    holder = holder_with(Recipe(device_key=device_key))
    response = holder.respond(ask("family_name"), SESSION, mac_with=reader_key.public_key)
    (document,) = DeviceResponse.decode(response.encode()).documents
    signed = device_signed(document)
    assert signed.mac is not None
    assert signed.mac.protected == bytes.fromhex("a10105")
    assert signed.mac.unprotected == {}
    assert_authenticated(document, reader_key, device_key.public_key, SESSION)
    with pytest.raises(VerificationError):
        assert_authenticated(document, reader_key, device_key.public_key, ANOTHER_SESSION)
    with pytest.raises(VerificationError):
        other = deterministic_ephemeral_key("other reader", curve)
        assert_authenticated(document, other, device_key.public_key, SESSION)


@pytest.mark.parametrize("device_key", [deterministic_key("device", "P-384"), deterministic_key("device", "Ed25519")])
def test_without_a_common_curve_the_device_signs(device_key: SoftwareSigner) -> None:
    holder = holder_with(Recipe(device_key=device_key))
    (document,) = holder.respond(ask("family_name"), SESSION, mac_with=READER.public_key).documents
    assert_signed(document, device_key.public_key, SESSION)


def test_an_edwards_key_is_not_taken_for_one_that_agrees_secrets() -> None:
    device_key = deterministic_key("device", "Ed25519")
    holder = holder_with(Recipe(device_key=device_key))
    (document,) = holder.respond(ask("family_name"), SESSION, mac_with=device_key.public_key).documents
    assert_signed(document, device_key.public_key, SESSION)


def test_a_key_in_hardware_that_only_signs_signs() -> None:
    recipe = Recipe()
    holder = Holder()
    holder.add(recipe.issue(), HardwareKey(deterministic_key("device")))
    (document,) = holder.respond(ask("family_name"), SESSION, mac_with=READER.public_key).documents
    assert_signed(document, recipe.device_key.public_key, SESSION)


@pytest.mark.parametrize("mac_with", [None, deterministic_ephemeral_key("reader", "P-384").public_key])
def test_a_key_that_only_agrees_secrets_cannot_answer_otherwise(mac_with: PublicKey | None) -> None:
    holder = holder_with(Recipe(device_key=deterministic_ephemeral_key("device")))
    with pytest.raises(LocalProtocolError) as caught:
        holder.respond(ask("family_name"), SESSION, mac_with=mac_with)
    assert caught.value.code == "holder.key_unfit"


# --- one key, one form ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [(None, READER.public_key), (READER.public_key, None)])
def test_a_device_key_never_changes_its_form(first: PublicKey | None, second: PublicKey | None) -> None:
    holder = holder_with()
    request = ask("family_name")
    holder.respond(request, SESSION, mac_with=first)
    with pytest.raises(LocalProtocolError) as caught:
        holder.respond(request, ANOTHER_SESSION, mac_with=second)
    assert caught.value.code == "holder.key_use"
    assert len(holder.respond(request, ANOTHER_SESSION, mac_with=first).documents) == 1


def test_the_fallback_to_a_signature_binds_the_key_too() -> None:
    holder = holder_with()
    other_curve = deterministic_ephemeral_key("reader", "P-384").public_key
    holder.respond(ask("family_name"), SESSION, mac_with=other_curve)
    with pytest.raises(LocalProtocolError):
        holder.respond(ask("family_name"), SESSION, mac_with=READER.public_key)


def test_the_rule_follows_the_key_from_credential_to_credential() -> None:
    holder = holder_with(Recipe(), Recipe(doctype="org.example.library"))
    holder.respond(ask("family_name"), SESSION)
    with pytest.raises(LocalProtocolError):
        holder.respond(ask("family_name", doctype="org.example.library"), SESSION, mac_with=READER.public_key)


def test_a_second_credential_serves_where_the_first_is_bound_to_the_other_form() -> None:
    second = Recipe(device_key=deterministic_key("second device"), seed="second")
    holder = holder_with(Recipe(), second)
    holder.respond(ask("family_name"), SESSION)
    (document,) = holder.respond(ask("family_name"), SESSION, mac_with=READER.public_key).documents
    assert_authenticated(document, READER, second.device_key.public_key, SESSION)
    (document,) = holder.respond(ask("family_name"), SESSION).documents
    assert_signed(document, deterministic_key("device").public_key, SESSION)


def test_a_key_whose_custodian_failed_counts_as_used() -> None:
    key = HardwareKey(deterministic_key("device"), broken=True)
    holder = Holder()
    holder.add(Recipe().issue(), key)
    holder.add(Recipe(doctype="org.example.library").issue(), deterministic_key("device"))
    with pytest.raises(SigningError):
        holder.respond(ask("family_name"), SESSION)
    with pytest.raises(LocalProtocolError):
        holder.respond(ask("family_name", doctype="org.example.library"), SESSION, mac_with=READER.public_key)


def test_an_answer_that_returns_nothing_uses_no_key() -> None:
    holder = holder_with()
    holder.respond(ask("family_name"), SESSION, permit=lambda *_: False)
    holder.respond(ask("no_such"), SESSION)
    assert len(holder.respond(ask("family_name"), SESSION, mac_with=READER.public_key).documents) == 1


def test_a_key_in_the_wrong_form_does_not_betray_that_the_credential_is_held() -> None:
    holder = holder_with()
    holder.respond(ask("family_name"), SESSION)
    response = holder.respond(ask("family_name"), SESSION, mac_with=READER.public_key, permit=lambda *_: False)
    assert response == Holder().respond(ask("family_name"), SESSION)


def test_an_illegal_wish_for_one_document_signs_none() -> None:
    bound = Recipe(doctype="org.example.library", device_key=deterministic_key("library device"))
    holder = holder_with(Recipe(), bound)
    holder.respond(ask("family_name", doctype="org.example.library"), SESSION)
    both = request_for(
        (MDL_DOCTYPE, {MDL_NAMESPACE: ["family_name"]}), ("org.example.library", {MDL_NAMESPACE: ["family_name"]})
    )
    with pytest.raises(LocalProtocolError):
        holder.respond(both, SESSION, mac_with=READER.public_key)
    assert len(holder.respond(ask("family_name"), SESSION).documents) == 1  # still free to sign


# --- device-signed elements -------------------------------------------------------------------------------------------

GIVEN: Mapping[str, Any] = {MDL_DOCTYPE: {DOMESTIC: {"pin": 4711, "mood": "good"}}}


@pytest.mark.parametrize(
    "authorizations",
    [
        None,
        {"nameSpaces": [MDL_NAMESPACE]},
        {"dataElements": {DOMESTIC: ["pin"]}},
        {"dataElements": {MDL_NAMESPACE: ["pin", "mood"]}},
    ],
)
def test_an_unauthorised_device_signed_element_is_refused(authorizations: dict[str, Any] | None) -> None:
    holder = holder_with(Recipe(key_authorizations=authorizations))
    with pytest.raises(LocalProtocolError) as caught:
        holder.respond(ask("family_name"), SESSION, device_elements=GIVEN)
    assert caught.value.code == "holder.element_unauthorized"
    assert len(holder.respond(ask("family_name"), SESSION, mac_with=READER.public_key).documents) == 1


@pytest.mark.parametrize(
    "authorizations", [{"nameSpaces": [DOMESTIC]}, {"dataElements": {DOMESTIC: ["pin", "mood", "hat"]}}]
)
def test_requested_and_permitted_device_signed_elements_leave_under_the_signature(
    authorizations: dict[str, Any],
) -> None:
    holder = holder_with(Recipe(key_authorizations=authorizations))
    request = request_for((MDL_DOCTYPE, {MDL_NAMESPACE: ["family_name"], DOMESTIC: ["pin", "hat"]}))
    response = holder.respond(request, SESSION, device_elements=GIVEN)
    (document,) = DeviceResponse.decode(response.encode()).documents
    assert device_signed(document).name_spaces == {DOMESTIC: {"pin": 4711}}
    assert_signed(document, deterministic_key("device").public_key, SESSION)

    response = holder.respond(request, SESSION, device_elements=GIVEN, permit=lambda *what: what[1] == MDL_NAMESPACE)
    assert device_signed(response.documents[0]).name_spaces_bytes.raw == bytes.fromhex("d81841a0")


def test_a_document_may_hold_device_signed_elements_only() -> None:
    holder = holder_with(Recipe(key_authorizations={"nameSpaces": [DOMESTIC]}))
    (document,) = holder.respond(ask("pin", namespace=DOMESTIC), SESSION, device_elements=GIVEN).documents
    assert document.issuer_signed.name_spaces == {}
    assert device_signed(document).name_spaces == {DOMESTIC: {"pin": 4711}}
    assert DeviceResponse.decode(DeviceResponse("1.0", (document,), (), 0).encode()).documents[0].doctype == MDL_DOCTYPE


def test_an_element_is_not_signed_by_issuer_and_device() -> None:
    holder = holder_with(Recipe(key_authorizations={"nameSpaces": [MDL_NAMESPACE]}))
    given_twice = {MDL_DOCTYPE: {MDL_NAMESPACE: {"family_name": "Other"}}}
    with pytest.raises(LocalProtocolError) as caught:
        holder.respond(ask("family_name"), SESSION, device_elements=given_twice)
    assert caught.value.code == "holder.element_twice"
    assert "Other" not in str(caught.value)


def test_elements_for_another_document_type_are_not_mixed_in() -> None:
    holder = holder_with(Recipe(key_authorizations={"nameSpaces": [DOMESTIC]}))
    elsewhere = {"org.example.library": GIVEN[MDL_DOCTYPE]}
    request = request_for((MDL_DOCTYPE, {MDL_NAMESPACE: ["family_name"], DOMESTIC: ["pin"]}))
    (document,) = holder.respond(request, SESSION, device_elements=elsewhere).documents
    assert device_signed(document).name_spaces == {}


# --- the published example --------------------------------------------------------------------------------------------


def annex_d(name: str) -> bytes:
    return external.octets(f"iso18013-5-annex-d/{name}.hex")


def test_the_device_of_annex_d_gives_the_response_of_annex_d() -> None:
    published = annex_d("device-response")
    device_key = SoftwareSigner.from_secret("P-256", int.from_bytes(annex_d("static-device-key-d")))
    reader_key = EphemeralKey.from_secret("P-256", int.from_bytes(annex_d("ephemeral-reader-key-d")))
    transcript_bytes = annex_d("session-transcript-bytes")
    transcript = SessionTranscript(transcript_bytes[6:] if transcript_bytes[2] == 0x5A else transcript_bytes[5:])
    assert transcript.tagged == transcript_bytes
    holder = Holder()
    holder.add(DeviceResponse.decode(published).documents[0].issuer_signed.encode(), device_key)

    response = holder.respond(
        DeviceRequest.decode(annex_d("device-request")), transcript, mac_with=reader_key.public_key
    )
    mac = device_signed(response.documents[0]).mac
    assert mac is not None
    assert mac.tag.hex() == "e99521a85ad7891b806a07f8b5388a332d92c189a7bf293ee1f543405ae6824d"
    assert response.encode() == published


def test_the_device_of_annex_d_gives_another_mac_in_another_session() -> None:
    published = annex_d("device-response")
    device_key = SoftwareSigner.from_secret("P-256", int.from_bytes(annex_d("static-device-key-d")))
    holder = Holder()
    holder.add(DeviceResponse.decode(published).documents[0].issuer_signed.encode(), device_key)
    request = DeviceRequest.decode(annex_d("device-request"))
    assert holder.respond(request, SESSION, mac_with=READER.public_key).encode() != published


def test_a_credential_cannot_be_made_with_a_key_that_is_not_its_own() -> None:
    issued = IssuerSigned.decode(Recipe().issue())
    with pytest.raises(VerificationError):
        Credential(issuer_signed=issued, device_key=deterministic_key("somebody else"))


def test_an_unsupported_digest_is_unsupported_and_not_a_mismatch() -> None:
    recipe = Recipe(digest_algorithm="SHA-1")
    with pytest.raises(UnsupportedError):
        Holder().add(recipe.issue(), recipe.device_key)
