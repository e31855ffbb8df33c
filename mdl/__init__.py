"""What issuer, reader and holder of an ISO/IEC 18013-5 mobile driver's licence must agree on.

Pure: no sockets, no clock, one way to write a file (`mdl.files`), except in the command line (`mdl.cli`).
"""

from typing import Final

__all__ = ["SPECIFICATION"]

SPECIFICATION: Final = (
    "ISO/IEC 18013-5:2021, with what is known of the second edition's draft where docs/standards says so"
)
"""What is implemented. The standard itself was not at hand: no claim of conformance is made."""
