"""What goes with a verdict of our own reader: the reason, the tolerated deviations, and what must not be said."""

from pathlib import Path

import pytest

from mdl.cbor import encode
from mdl.errors import DecodeError
from mdl.keys import raw_to_der
from reader.report import Policy
from test_vectors.source import encodings
from test_vectors.source.brainpool import SPKI_PREFIX, brainpool320_key
from test_vectors.source.case import Case
from test_vectors.source.encodings import SMALL, item_sabotages
from test_vectors.source.generate import CASES
from test_vectors.source.stage import Fields, asking, licence, scene
from tests.parts import openssl
from tests.tables import table

MALFORMED = encodings.CASES
ACCEPTED = [case for case in CASES if case.breaks is None]
BULKY = [case for case in CASES if case.bulky]


@table("case", MALFORMED, ids=lambda case: case.id)
def test_what_does_not_decode_is_refused_with_its_code_and_place_and_without_a_value(case: Case) -> None:
    with pytest.raises(DecodeError) as refused:
        case.scene().examine()
    assert refused.value.code.startswith(case.code)
    assert refused.value.path.startswith(case.path)
    assert "Mustermann" not in str(refused.value)


@table("case", ACCEPTED, ids=lambda case: case.id)
def test_what_is_accepted_is_accepted_with_the_warnings_that_it_deserves(case: Case) -> None:
    given = case.scene()
    for policy in Policy:
        if case.expected[policy].verdict == "accept":
            assert {code for _, code in given.examine(policy).warnings} == case.warnings, policy


def test_what_a_policy_tolerates_is_told_with_the_check_that_it_deviates_from() -> None:
    told = 0
    for case in CASES:
        for policy, expected in case.expected.items():
            # A policy whose own rule is not asked for has nothing to warn of.
            if case.breaks is not None and expected.verdict == "accept" and case.policy is Policy.ISO_STRICT:
                told += 1
                assert case.breaks in {check for check, _ in case.scene().examine(policy).warnings}, case.id
    assert told > 50


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in BULKY])
def test_what_is_too_big_for_the_corpus_gets_its_verdict_too(case: Case) -> None:
    for policy, expected in case.expected.items():
        given = case.scene()
        try:
            report = given.examine(policy)
        except DecodeError:
            assert expected.failed == {"response.decoded"}
        else:
            assert report.accepted is (expected.verdict == "accept")
            assert frozenset(report.failed) == expected.failed
            assert frozenset(report.indeterminate) == expected.indeterminate


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(fields, id=f"{how} {name}")
        for how in ("duplicate", "indefinite")
        for name, fields in item_sabotages(how)
    ],
)
def test_an_item_that_does_not_decode_is_no_item(fields: Fields) -> None:
    given = scene(namespaces=SMALL, request=asking(for_=["age_over_18"]), **fields)
    assert given.examine().failed == ("issuer_data.encoding",)


def test_what_is_disclosed_comes_out_as_it_was_issued() -> None:
    (document,) = scene().verify().documents
    assert encode(document.elements) == encode(licence())  # arrays are tuples here, and maps cannot be changed
    assert document.device_elements == {}


def test_what_the_curve_that_we_lack_signs_is_a_signature_for_those_who_have_it(tmp_path: Path) -> None:
    key = brainpool320_key("device")
    (tmp_path / "key").write_bytes(SPKI_PREFIX + key.point)
    (tmp_path / "data").write_bytes(b"data")
    (tmp_path / "signature").write_bytes(raw_to_der(key.sign(b"data")))
    words = ("dgst", "-sha384", "-keyform", "DER", "-verify", tmp_path / "key", "-signature", tmp_path / "signature")
    assert "Verified OK" in openssl(*words, tmp_path / "data")
    (tmp_path / "data").write_bytes(b"date")
    openssl(*words, tmp_path / "data", refuses=True)
