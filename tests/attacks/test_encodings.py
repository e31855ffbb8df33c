"""What is not of the CDDL does not decode, at any level, and the error tells why and where."""

import pytest

from mdl.errors import DecodeError
from reader.report import Policy
from tests.attacks.encodings import REFUSED, SMALL, Undecodable, item_sabotages
from tests.attacks.stage import Fields, asking, scene


@pytest.mark.parametrize("case", [pytest.param(one, id=one.name) for one in REFUSED])
def test_what_does_not_decode_is_refused(case: Undecodable) -> None:
    given = scene(**case.fields())
    for policy in (Policy.ISO_STRICT, Policy.LENIENT):
        for act in (given.examine, given.verify):
            with pytest.raises(DecodeError) as refused:
                act(policy)
            assert refused.value.code.startswith(case.code)
            assert refused.value.path.startswith(case.path)
            assert "Mustermann" not in str(refused.value)


def test_the_names_of_the_cases_tell_them_apart() -> None:
    names = [case.name for case in REFUSED]
    assert sorted({name for name in names if names.count(name) > 1}) == []


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
