"""PKCS#11 tokens: the module, and sessions that survive.

Keys stand on two layers, each with one duty:

- a *module* is the shared library, one per process. It starts the library with operating-system locking (python-pkcs11
  by itself starts it without, and threads then crash inside the library), counts the calls under way, and can start the
  library afresh when nobody is inside. A library that cannot lock gets one call at a time, by the same counter. SoftHSM
  reads its configuration when it starts, and knows the tokens of one configuration only: the module starts it again
  with another one when a token of that one is used;
- a *session pool* is one token of that module. It logs in once, keeps one owner session open for as long as anybody
  uses the token, lends sessions with their key objects to one thread at a time, and brings everything back once after
  a loss.

A module belongs to the process that loaded it. A forked child is refused (``signing.forked``), since what it inherits
works by luck or not at all: spawn instead, as `issuer.keystore.SigningProcesses` does.

python-pkcs11 is an extra (``mdl-sdk[hsm]``); importing this module does not need it. `issuer.keystore` is the front
door.
"""

from __future__ import annotations

import ctypes
import logging
import os
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from issuer.key_uri import Pkcs11Uri, Secret, SecretHandler, secret_from_file
from mdl.errors import SigningError

if TYPE_CHECKING:
    import pkcs11

__all__ = [
    "LostError",
    "Mechanism",
    "PinState",
    "Session",
    "SessionPool",
    "create_token",
    "import_pkcs11",
    "look_at",
    "open_pool",
    "pin_state",
]

_log = logging.getLogger(__name__)
_A = TypeVar("_A")
_T = TypeVar("_T")

_MAX_INSIDE: Final = 8
"""How many threads may be inside one module at a time, and so how many sessions a pool lends."""

_PATIENCE: Final = 60.0
"""Seconds to wait for a turn before a call in the module counts as stuck."""


# --- What can go wrong -----------------------------------------------------------------------------------------------

_LOST: Final = frozenset(
    {
        "PKCS11Error",  # bare: a return value that python-pkcs11 has no class for, "not initialized" among them
        "DeviceError",
        "DeviceRemoved",
        "FunctionFailed",
        "GeneralError",
        "KeyHandleInvalid",
        "ObjectHandleInvalid",
        "OperationActive",
        "SessionClosed",
        "SessionHandleInvalid",
        "SlotIDInvalid",
        "TokenNotPresent",
        "TokenNotRecognised",
        "UserNotLoggedIn",
        "LostError",
    }
)
"""After these, everything the process held of the token may be gone: start again, once."""

_REFUSALS: Final[Mapping[str, tuple[str, bool, str]]] = {
    "PinIncorrect": (
        "signing.pin_incorrect",
        False,
        "the PIN is wrong; it was tried once: check it before trying again, tokens lock after a few wrong PINs",
    ),
    "PinLocked": ("signing.pin_locked", False, "the PIN is locked: the security officer must set a new one"),
    "PinExpired": ("signing.pin_expired", False, "the PIN has expired: set a new one with the token's own tool"),
    "PinInvalid": ("signing.pin_invalid", False, "the PIN has characters that the token does not take"),
    "PinLenRange": ("signing.pin_invalid", False, "the PIN is too short or too long for the token"),
    "PinTooWeak": ("signing.pin_invalid", False, "the PIN is too weak for the token"),
    "UserPinNotInitialized": (
        "signing.pin_missing",
        False,
        "the token has no user PIN yet: initialise it with the token's own tool",
    ),
    "UserAlreadyLoggedIn": (
        "signing.token_in_use",
        False,
        "another part of this process is logged in to the token past this library: use one of the two only",
    ),
    "DeviceMemory": ("signing.token_full", False, "the token is full: delete what is no longer needed"),
    "SessionCount": (
        "signing.sessions_exhausted",
        True,
        "the token gives no further session: close other users of it or run fewer processes",
    ),
    "HostMemory": ("signing.token_failed", True, "the PKCS#11 library ran out of memory"),
    "MechanismInvalid": ("signing.mechanism_missing", False, "the token cannot sign with this kind of key"),
    "MechanismParamInvalid": ("signing.mechanism_missing", False, "the token cannot sign with this kind of key"),
    "FunctionNotSupported": ("signing.mechanism_missing", False, "the token does not have this function"),
    "FunctionRejected": ("signing.token_refused", False, "the token, or a person at it, refused the operation"),
    "TokenWriteProtected": ("signing.token_read_only", False, "the token is write protected"),
    "SessionReadOnly": ("signing.token_read_only", False, "the token is write protected"),
}


def _refusal(exc: Exception) -> SigningError:
    """What a caller is told about an exception of python-pkcs11; its own text is never passed on."""
    name = type(exc).__name__
    if name in _REFUSALS:
        code, retryable, message = _REFUSALS[name]
        return SigningError(message, code=code, retryable=retryable)
    if name in _LOST:
        return SigningError(
            f"the token does not answer as it should ({name}): check that it is connected, writable and not full",
            code="signing.token_lost",
            retryable=True,
        )
    return SigningError(f"the token failed ({name})", code="signing.token_failed")


def _odd(exc: Exception) -> SigningError:
    return SigningError(
        f"the token answered with something malformed ({type(exc).__name__})", code="signing.token_failed"
    )


class LostError(Exception):
    """What was there before is gone; `error` is for the caller if a fresh start does not bring it back."""

    def __init__(self, error: SigningError) -> None:
        super().__init__(error.code)
        self.error = error


# What python-pkcs11 raises, beside its own exceptions, when a token answers with what cannot be: text that is no UTF-8
# (ValueError), an attribute that is missing (LookupError) or that nobody asked for (NotImplementedError: it cannot read
# that one), or a number of an odd length (struct.error).
_ODD_ANSWERS: Final = (ValueError, LookupError, NotImplementedError, struct.error)


def _is_loss(exc: BaseException) -> bool:
    return type(exc).__name__ in _LOST


def import_pkcs11() -> Any:
    """The python-pkcs11 package.

    Raises:
        SigningError: It is not installed (code ``signing.extra_missing``).
    """
    try:
        import pkcs11
    except ImportError as exc:
        raise SigningError(
            "pkcs11: keys need the python-pkcs11 package: pip install 'mdl-sdk[hsm]'", code="signing.extra_missing"
        ) from exc
    return pkcs11


# --- Modules ---------------------------------------------------------------------------------------------------------

_SIGNATURE_ROOM: Final = 256
"""Bytes set aside for a signature; the longest that we know has 132."""

_VARIABLE: Final = "SOFTHSM2_CONF"
"""The environment variable in which SoftHSM looks for its configuration when it starts, and at no other time."""

_environment_lock: Final = threading.Lock()
_CKR_OK: Final = 0
_CKR_ARGUMENTS_BAD: Final = 0x07
_CKR_CANT_LOCK: Final = 0x0A
_CKR_CRYPTOKI_NOT_INITIALIZED: Final = 0x190
_CKF_OS_LOCKING_OK: Final = 2


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # a folder on the way that may not be entered, a name that is too long
        return False


@contextmanager
def _in_environment(configuration: str | None) -> Iterator[None]:
    """Tell SoftHSM where its configuration is, for the moment in which it starts."""
    with _environment_lock:
        before = os.environ.get(_VARIABLE)
        if configuration == before:
            yield
            return
        _put(configuration)
        try:
            yield
        finally:
            _put(before)


def _put(configuration: str | None) -> None:
    if configuration is None:
        os.environ.pop(_VARIABLE, None)
    else:
        os.environ[_VARIABLE] = configuration


class _InitializeArguments(ctypes.Structure):
    """CK_C_INITIALIZE_ARGS."""

    _fields_ = (
        ("CreateMutex", ctypes.c_void_p),
        ("DestroyMutex", ctypes.c_void_p),
        ("LockMutex", ctypes.c_void_p),
        ("UnlockMutex", ctypes.c_void_p),
        ("flags", ctypes.c_ulong),
        ("pReserved", ctypes.c_void_p),
    )


class _FunctionList(ctypes.Structure):
    """The beginning of CK_FUNCTION_LIST: a version, then the functions in the order of the PKCS#11 specification."""

    _fields_ = (("version", ctypes.c_ubyte * 2), ("functions", ctypes.c_void_p * 44))


class _MechanismStructure(ctypes.Structure):
    """CK_MECHANISM."""

    _fields_ = (
        ("mechanism", ctypes.c_ulong),
        ("pParameter", ctypes.c_void_p),
        ("ulParameterLen", ctypes.c_ulong),
    )


class Cryptoki:
    """The few functions of a PKCS#11 library that python-pkcs11 does not offer, or not as we need them.

    Attributes:
        sign_init: C_SignInit(session, mechanism, key).
        sign: C_Sign(session, data, length, signature, length of the signature).
    """

    def __init__(self, path: str) -> None:
        if not _exists(path):
            raise SigningError(
                f"there is no PKCS#11 module at {path}: install it or correct module-path "
                "(SoftHSM on Debian: apt-get install softhsm2, then /usr/lib/softhsm/libsofthsm2.so)",
                code="signing.module_missing",
            )
        listed: Any = ctypes.POINTER(_FunctionList)()
        try:
            # The handle is kept: without it the library would be unloaded while its functions are in use.
            self._library = ctypes.CDLL(path)
            get_function_list = self._library.C_GetFunctionList
        except (OSError, AttributeError) as exc:
            raise SigningError(
                f"the file {path} is not a PKCS#11 module for this machine", code="signing.module_invalid"
            ) from exc
        get_function_list.restype = ctypes.c_ulong
        if get_function_list(ctypes.byref(listed)) != _CKR_OK or not listed:
            raise SigningError(f"the PKCS#11 module {path} does not start", code="signing.module_invalid")
        table = listed.contents.functions

        def function(index: int, *arguments: Any) -> Callable[..., int]:
            return ctypes.CFUNCTYPE(ctypes.c_ulong, *arguments)(table[index])

        self._initialize = function(0, ctypes.c_void_p)
        self._finalize = function(1, ctypes.c_void_p)
        self._get_info = function(2, ctypes.c_void_p)
        self._init_token = function(9, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p)
        self._close_all_sessions = function(14, ctypes.c_ulong)
        # python-pkcs11 asks three times for one signature, through objects that it makes anew each time.
        self.sign_init = function(42, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_ulong)
        self.sign = function(43, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_ulong, ctypes.c_void_p, ctypes.c_void_p)

    def initialize(self, *, locking: bool) -> int:
        if not locking:
            return self._initialize(None)
        arguments = _InitializeArguments(flags=_CKF_OS_LOCKING_OK)
        return self._initialize(ctypes.byref(arguments))

    def finalize(self) -> int:
        return self._finalize(None)

    def is_initialized(self) -> bool:
        # CK_INFO is 88 bytes on every platform we know; the library writes it when it is initialised.
        return self._get_info(ctypes.create_string_buffer(256)) != _CKR_CRYPTOKI_NOT_INITIALIZED

    def init_token(self, slot_id: int, so_pin: Secret, label: str) -> int:
        pin = so_pin.reveal().encode()
        return self._init_token(slot_id, pin, len(pin), label.encode().ljust(32))

    def close_all_sessions(self, slot_id: int) -> None:
        self._close_all_sessions(slot_id)


class _Module:
    """One PKCS#11 library in this process.

    Every call into it stands between `enter` and `leave` (`SessionPool.run` has both inlined). They give three things:
    a forked process is noticed, a library without locks is entered by one thread at a time, and `restart` can wait
    until nobody is inside.

    Attributes:
        path: Where the library was loaded from.
        library: What python-pkcs11 made of it.
        cryptoki: The functions that python-pkcs11 lacks.
        generation: How often the library was started. Sessions and keys belong to one generation, which cannot change
            while somebody is inside.
        configuration: What SoftHSM was told of its configuration at the last start; None for nothing.
        ready: Whether the last start succeeded.
        limit: How many threads may be inside.
        lock: Guards all of these. It is taken for every signature, the condition on it only by who has to wait.
        active: How many threads are inside.
        exclusive: Whether `restart` wants the library for itself.
        waiting: How many threads wait for `turn`.
    """

    __slots__ = (
        "active",
        "configuration",
        "cryptoki",
        "exclusive",
        "forked",
        "generation",
        "library",
        "limit",
        "lock",
        "path",
        "ready",
        "turn",
        "waiting",
    )

    def __init__(self, path: str, configuration: str | None) -> None:
        pkcs11 = import_pkcs11()
        self.path = path
        self.generation = 0
        self.configuration = configuration
        self.ready = False
        self.limit = _MAX_INSIDE
        self.lock = threading.Lock()
        self.turn = threading.Condition(self.lock)
        self.active = 0
        self.exclusive = False
        self.waiting = 0
        self.forked = False
        self.cryptoki = Cryptoki(path)
        if self.cryptoki.is_initialized():
            raise SigningError(
                f"something else in this process already uses the PKCS#11 module {path}; it cannot be shared: open the "
                "signer first, or in another process",
                code="signing.module_in_use",
            )
        try:
            # This starts the library, without locking. Nothing has been done with it yet, so `_start` may do it again.
            with _in_environment(configuration):
                self.library: Any = pkcs11.lib(path)
        except pkcs11.PKCS11Error as exc:
            raise self._does_not_start(retryable=False) from exc
        self._start(configuration)
        if not self.ready:
            raise self._does_not_start(retryable=False)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._mark_forked)

    def _mark_forked(self) -> None:
        self.forked = True

    def refuse_fork(self) -> None:
        """Refuse to work in a process that inherited the library instead of loading it.

        Raises:
            SigningError: This is such a process (code ``signing.forked``).
        """
        if self.forked:
            raise SigningError(
                "this process was forked from one that had opened the token; start processes with the spawn method "
                "and open the signer in each",
                code="signing.forked",
            )

    def enter(self, configuration: str | None) -> int:
        """Wait for a turn with the library started as `configuration` says, and take it.

        Returns:
            The generation that is running.

        Raises:
            SigningError: This is a forked process, no turn came in time, or the library does not start.
        """
        self.refuse_fork()
        with self.lock:
            if self.exclusive or self.active >= self.limit or not self.ready or self.configuration != configuration:
                self.wait_for_turn(configuration)
            self.active += 1
            return self.generation

    def leave(self) -> None:
        """Give the turn back."""
        with self.lock:
            self.active -= 1
            if self.waiting:
                self.turn.notify_all()

    def wait_for_turn(self, configuration: str | None) -> None:
        """Wait, with the lock held, until one more may enter a library that was started as `configuration` says."""
        self._wait(lambda: not self.exclusive and self.active < self.limit)
        if not self.ready or self.configuration != configuration:
            # Whoever starts it goes in at once, before another who wants it otherwise.
            self._start_alone(configuration)

    def _wait(self, condition: Callable[[], bool]) -> None:
        self.waiting += 1
        try:
            if not self.turn.wait_for(condition, _PATIENCE):
                raise SigningError(
                    f"no turn at the token within {_PATIENCE:.0f} seconds: a call into its PKCS#11 module hangs",
                    code="signing.token_busy",
                    retryable=True,
                )
        finally:
            self.waiting -= 1

    def restart(self, generation: int, configuration: str | None) -> None:
        """Start the library afresh, unless another thread has done so since `generation`.

        Every session of the process ends, and every pool logs in again when it is next used.

        Raises:
            SigningError: A call is stuck in the library, or it does not start.
        """
        self.refuse_fork()
        with self.lock:
            self._wait(lambda: not self.exclusive)
            if self.ready and self.generation != generation and self.configuration == configuration:
                return
            self._start_alone(configuration)

    def _start_alone(self, configuration: str | None) -> None:
        """Start the library when nobody is inside. The lock is held, and is let go of on the way."""
        self.exclusive = True
        try:
            self._wait(lambda: self.active == 0)
            self.lock.release()  # whoever waits for a start that hangs gives up after a while
            try:
                self._start(configuration)
            finally:
                self.lock.acquire()
        finally:
            self.exclusive = False
            self.turn.notify_all()
        if not self.ready:
            raise self._does_not_start(retryable=True)

    def tokens(self) -> Iterator[pkcs11.Token]:
        """Every token that is present and initialised. Call it between `enter` and `leave`."""
        pkcs11 = import_pkcs11()
        for slot in self.library.get_slots():
            try:
                token = slot.get_token()
            except (pkcs11.TokenNotPresent, pkcs11.TokenNotRecognised, pkcs11.DeviceRemoved):
                continue
            if token.flags & pkcs11.TokenFlag.TOKEN_INITIALIZED:
                yield token

    def _start(self, configuration: str | None) -> None:
        self.ready = False
        self.cryptoki.finalize()  # says "not initialized" when the last start failed: that is the state we want
        with _in_environment(configuration):
            result = self.cryptoki.initialize(locking=True)
            if result in (_CKR_CANT_LOCK, _CKR_ARGUMENTS_BAD):
                self.limit = 1
                result = self.cryptoki.initialize(locking=False)
        self.configuration = configuration
        self.generation += 1
        self.ready = result == _CKR_OK

    def _does_not_start(self, *, retryable: bool) -> SigningError:
        return SigningError(
            f"the PKCS#11 module {self.path} does not start: check its configuration (SoftHSM: SOFTHSM2_CONF must name "
            "a readable file before the first use, and the token directory in it must exist)",
            code="signing.module_failed",
            retryable=retryable,
        )


_registry_lock = threading.Lock()
_modules: dict[str, _Module] = {}
_pools: dict[tuple[str, str | None, str, bytes], SessionPool] = {}


def _module(path: str, configuration: str | None) -> _Module:
    for loaded in tuple(_modules.values()):
        loaded.refuse_fork()  # before the lock: a forked child may have inherited it locked
    # Not by the resolved path: wrapper modules choose their behaviour by the name they are loaded under.
    with _registry_lock:
        if path not in _modules:
            same = [one for name, one in _modules.items() if _is_same_file(name, path)]
            _modules[path] = same[0] if same else _Module(path, configuration)
        return _modules[path]


def _is_same_file(one: str, other: str) -> bool:
    """Whether two paths lead to one file, of which a process has one library only."""
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


# --- Session pools ---------------------------------------------------------------------------------------------------


class Mechanism:
    """A way of signing, without parameters, as the C functions want it.

    Attributes:
        mechanism: What python-pkcs11 calls it.
        address: Where its CK_MECHANISM lies.
    """

    __slots__ = ("_structure", "address", "mechanism")

    def __init__(self, mechanism: pkcs11.Mechanism) -> None:
        self.mechanism = mechanism
        self._structure = _MechanismStructure(int(mechanism), None, 0)
        self.address = ctypes.addressof(self._structure)


class Session:
    """A session lent to one thread, with the key objects found through it.

    Attributes:
        session: python-pkcs11's session.
        generation: The generation of the module that it belongs to.
        keys: Key objects and their handles, by what names the key.
    """

    __slots__ = (
        "_c_sign",
        "_c_sign_init",
        "_handle",
        "_length",
        "_length_at",
        "_signature",
        "_signature_at",
        "generation",
        "keys",
        "session",
    )

    def __init__(self, session: Any, generation: int, cryptoki: Cryptoki) -> None:
        self.session = session
        self.generation = generation
        self.keys: dict[tuple[str | None, bytes | None], tuple[Any, int]] = {}
        self._handle: int = session.handle
        self._c_sign_init = cryptoki.sign_init
        self._c_sign = cryptoki.sign
        self._signature: Any = ctypes.create_string_buffer(_SIGNATURE_ROOM)
        self._signature_at = ctypes.addressof(self._signature)
        self._length = ctypes.c_ulong()
        self._length_at = ctypes.addressof(self._length)

    def sign(self, mechanism: Mechanism, key: tuple[Any, int], payload: bytes) -> bytes:
        """Sign with a key object and its handle, which were found through this session."""
        handle, length = self._handle, self._length
        length.value = _SIGNATURE_ROOM
        if (
            self._c_sign_init(handle, mechanism.address, key[1]) == _CKR_OK
            and self._c_sign(handle, payload, len(payload), self._signature_at, self._length_at) == _CKR_OK
        ):
            return bytes(self._signature[: length.value])
        # python-pkcs11 meets the same refusal and knows its name.
        return bytes(key[0].sign(payload, mechanism=mechanism.mechanism))


class SessionPool:
    """One token, logged in once in this process, shared by every signer on it.

    Use `open_pool`. `run` is the only way in: it lends a session to a function and knows what to do when the token was
    lost.
    """

    __slots__ = (
        "_idle",
        "_login",
        "_login_generation",
        "_owner",
        "_pin",
        "_pkcs11",
        "_token",
        "configuration",
        "label",
        "module",
        "refused",
        "serial",
        "users",
    )

    def __init__(self, module: _Module, configuration: str | None, label: str, serial: bytes, pin: Secret) -> None:
        self.module = module
        self.configuration = configuration
        self.label = label
        self.serial = serial
        self.users = 0
        self.refused: SigningError | None = None
        self._pin = pin
        self._idle: list[Session] = []
        self._login = threading.Lock()
        self._login_generation = 0
        self._token: pkcs11.Token | None = None
        self._owner: pkcs11.Session | None = None
        self._pkcs11: Any = import_pkcs11()

    def run(self, work: Callable[[Session, _A], _T], argument: _A, *, again: bool = True) -> _T:
        """Call `work` with a session of this token and `argument`.

        After a loss of the token it is called once more, with a fresh session of a freshly started library.

        Args:
            work: What to do; it must not keep the session.
            argument: Passed on.
            again: False for work that must not be repeated.

        Raises:
            SigningError: The token refused or failed; what `work` raises of this kind passes through.
        """
        # All that a signature needs beside the token's own work stands in this one function; spread over several, it
        # costs measurably more.
        module, configuration = self.module, self.configuration
        while True:
            if self.refused is not None or module.forked:
                self._refuse_again()
            with module.lock:
                if (
                    module.exclusive
                    or module.active >= module.limit
                    or not module.ready
                    or module.configuration != configuration
                ):
                    module.wait_for_turn(configuration)
                module.active += 1
                generation = module.generation
                session = self._idle.pop() if self._idle else None
            try:
                if session is None or session.generation != generation:
                    session = None
                    session = Session(self._token_of(generation).open(), generation, module.cryptoki)
                return work(session, argument)
            except BaseException as exc:  # noqa: BLE001 - `_raise` lets pass what is none of ours
                if session is not None:
                    self._discard(session)
                    session = None
                if not again or not _is_loss(exc):
                    self._raise(exc)
                _log.warning("token '%s' lost (%s): starting again", self.label, type(exc).__name__)
                again = False
            finally:
                with module.lock:
                    module.active -= 1
                    if session is not None:
                        self._idle.append(session)
                    if module.waiting:
                        module.turn.notify_all()
            module.restart(generation, configuration)

    def _refuse_again(self) -> None:
        """Refuse what must not be tried again."""
        self.module.refuse_fork()
        if self.refused is not None:
            raise SigningError(self.refused.message, code=self.refused.code)

    def _raise(self, exc: BaseException) -> NoReturn:
        """Raise what the caller is to be told about an exception out of `run`."""
        if isinstance(exc, LostError):
            raise exc.error from exc
        if isinstance(exc, self._pkcs11.PKCS11Error):
            raise _refusal(exc) from exc
        if isinstance(exc, _ODD_ANSWERS):
            raise _odd(exc) from exc
        raise exc

    def open_writable(self, like: Session) -> Session:
        """Open a read/write session for the work that holds `like`; the caller closes it."""
        return Session(self._token_of(like.generation).open(rw=True), like.generation, self.module.cryptoki)

    def log_in(self) -> None:
        """Log in now, so that a wrong PIN is told at once."""
        self.run(lambda _session, _nothing: None, None)

    def close(self) -> None:
        """Log out and close every session of this process on the token; only for the last user."""
        if not self.module.ready or self.module.configuration != self.configuration:
            return  # the sessions ended with the library that they belonged to
        try:
            generation = self.module.enter(self.configuration)
        except SigningError:
            _log.warning("token '%s' is stuck: its sessions stay open until the process ends", self.label)
            return
        try:
            if self._token is not None and self._login_generation == generation:
                # Closing the last session logs out.
                self.module.cryptoki.close_all_sessions(self._token.slot.slot_id)
        finally:
            self.refused = SigningError("the signer is closed", code="signing.closed")
            self._idle.clear()
            self._owner = None
            self.module.leave()

    def share(self, pin: Secret) -> None:
        """Let another user in, who must know the PIN: the token itself asks for it only once in a process."""
        if pin != self._pin:
            raise SigningError(
                f"token '{self.label}' is open in this process with another PIN; this one was not tried",
                code="signing.pin_incorrect",
            )

    def _discard(self, session: Session) -> None:
        """Close a session on which something failed: it may be left in the middle of an operation."""
        try:
            session.session.close()
        except self._pkcs11.PKCS11Error:
            _log.debug("a session of token '%s' was already gone", self.label)

    def _token_of(self, generation: int) -> pkcs11.Token:
        """The token of the running generation, logged in."""
        with self._login:
            self._refuse_again()  # another thread may have found out while this one waited
            if self._token is not None and self._login_generation == generation:
                return self._token
            self._owner = None
            self._token = next(
                (t for t in self.module.tokens() if t.label == self.label and t.serial == self.serial), None
            )
            if self._token is None:
                raise LostError(
                    SigningError(
                        f"token '{self.label}' is gone: connect it again", code="signing.token_lost", retryable=True
                    )
                )
            if _pin_state(self._token) is PinState.FINAL_TRY:
                self._token = None
                raise SigningError(
                    "one more wrong PIN would lock the token: the PIN was not tried; check it, and log in once with "
                    "the token's own tool",
                    code="signing.pin_final_try",
                )
            try:
                self._owner = self._token.open(user_pin=self._pin.reveal())
            except self._pkcs11.PKCS11Error as exc:
                # python-pkcs11 forgets the session whose login failed; at this moment there is no other on the token.
                self.module.cryptoki.close_all_sessions(self._token.slot.slot_id)
                self._token = None
                if type(exc).__name__.startswith(("Pin", "UserPin")):
                    # Never again with this PIN: each try brings the token nearer to locking.
                    self.refused = _refusal(exc)
                raise
            self._login_generation = generation
            return self._token


@contextmanager
def open_pool(uri: Pkcs11Uri, secret: SecretHandler) -> Iterator[SessionPool]:
    """Open the token that a URI names, or join those in this process who have it open.

    Args:
        uri: Which token; what it says about a key is not looked at.
        secret: Asked for the user PIN, after module and token were found, unless the URI has a PIN source.

    Raises:
        SigningError: The module, the token or the PIN is not there or not right.
    """
    module, configuration, label, serial = _locate(uri)
    if uri.pin_source is not None:
        secret = secret_from_file(uri.pin_source)
    pin = Secret.ask(secret, f"PIN of token '{label}'")
    name = (module.path, configuration, label, serial)
    with _registry_lock:
        pool = _pools.get(name)
        if pool is None or pool.refused is not None:
            pool = SessionPool(module, configuration, label, serial, pin)
            pool.log_in()
            _pools[name] = pool
        else:
            pool.share(pin)
        pool.users += 1
    try:
        yield pool
    finally:
        if not module.forked:
            with _registry_lock:
                pool.users -= 1
                if not pool.users:
                    if _pools.get(name) is pool:
                        del _pools[name]
                    pool.close()


def _look_again(module: _Module, configuration: str) -> None:
    """See the tokens of a folder as they are now, where nobody in this process has one of them open.

    The library remembers what lay there when it started; meanwhile the folder may have been exchanged for a copy.
    """
    with _registry_lock:
        if not any(name[:2] == (module.path, configuration) for name in _pools):
            module.restart(module.generation, configuration)


def _find_token(module: _Module, configuration: str | None, uri: Pkcs11Uri) -> tuple[str, bytes]:
    """The label and serial number of the one token that a URI names."""
    pkcs11 = import_pkcs11()
    for last in (False, True):
        started_with = module.enter(configuration)
        try:
            found = [token for token in module.tokens() if _is_meant(token, uri)] if _is_of(module, uri) else []
        except pkcs11.PKCS11Error as exc:
            if last or type(exc).__name__ not in _LOST:
                raise _refusal(exc) from exc
            found = []
        finally:
            module.leave()
        if len(found) > 1:
            raise SigningError(
                f"{len(found)} tokens answer to {uri.describe()}: add serial= or slot-id= to the URI",
                code="signing.token_ambiguous",
            )
        if found:
            return found[0].label, found[0].serial
        if not last:
            # A token that came after the module was started is often seen only after a fresh start.
            module.restart(started_with, configuration)
    raise SigningError(
        f"the PKCS#11 module {module.path} shows no {uri.describe()}: connect or create it, or correct the URI "
        "(SoftHSM: SOFTHSM2_CONF must name its configuration before the first use)",
        code="signing.token_missing",
    )


def look_at(uri: Pkcs11Uri, work: Callable[[Session], _T]) -> _T:
    """Call `work` with a session of the token that a URI names, without a PIN: it sees what the token shows everybody.

    Raises:
        SigningError: The module or the token is not there, or it failed.
    """
    pkcs11 = import_pkcs11()
    module, configuration, label, serial = _locate(uri)
    generation = module.enter(configuration)
    try:
        found = next((one for one in module.tokens() if (one.label, one.serial) == (label, serial)), None)
        if found is None:
            raise SigningError(f"token '{label}' is gone: connect it again", code="signing.token_lost", retryable=True)
        with found.open() as session:
            return work(Session(session, generation, module.cryptoki))
    except pkcs11.PKCS11Error as exc:
        raise _refusal(exc) from exc
    except _ODD_ANSWERS as exc:
        raise _odd(exc) from exc
    finally:
        module.leave()


class PinState(StrEnum):
    """What a token says about its user PIN to somebody who has not logged in."""

    USUAL = "usual"
    MISSED = "missed"
    """A wrong PIN was tried since somebody logged in last."""
    FINAL_TRY = "final try"
    """One more wrong PIN locks it."""
    LOCKED = "locked"


def pin_state(uri: Pkcs11Uri) -> PinState:
    """Ask a token about its PIN without trying one.

    Args:
        uri: Which token; what it says about a key is not looked at.

    Raises:
        SigningError: The module or the token is not there.
    """
    module, configuration, label, serial = _locate(uri)
    module.enter(configuration)
    try:
        found = [one for one in module.tokens() if (one.label, one.serial) == (label, serial)]
        return _pin_state(found[0]) if found else PinState.USUAL
    except import_pkcs11().PKCS11Error as exc:
        raise _refusal(exc) from exc
    finally:
        module.leave()


def _pin_state(token: pkcs11.Token) -> PinState:
    flag = import_pkcs11().TokenFlag
    for wanted, state in (
        (flag.USER_PIN_LOCKED, PinState.LOCKED),
        (flag.USER_PIN_FINAL_TRY, PinState.FINAL_TRY),
        (flag.USER_PIN_COUNT_LOW, PinState.MISSED),
    ):
        if token.flags & wanted:
            return state
    return PinState.USUAL


def _locate(uri: Pkcs11Uri) -> tuple[_Module, str | None, str, bytes]:
    """Where a token is: its module, the configuration under which that shows it, its label and serial number."""
    configuration = os.environ.get(_VARIABLE) if uri.configuration is None else uri.configuration
    module = _module(uri.module_path, configuration)
    if uri.configuration is not None:
        _look_again(module, uri.configuration)
    return module, configuration, *_find_token(module, configuration, uri)


def _is_meant(token: pkcs11.Token, uri: Pkcs11Uri) -> bool:
    return (
        (uri.token is None or token.label == uri.token)
        and (uri.serial is None or token.serial == uri.serial.encode())
        and (uri.manufacturer is None or token.manufacturer_id == uri.manufacturer)
        and (uri.model is None or token.model == uri.model)
        and (uri.slot_id is None or token.slot.slot_id == uri.slot_id)
        and (uri.slot_description is None or token.slot.slot_description == uri.slot_description)
        and (uri.slot_manufacturer is None or token.slot.manufacturer_id == uri.slot_manufacturer)
    )


def _is_of(module: _Module, uri: Pkcs11Uri) -> bool:
    """Whether a URI means this library."""
    library = module.library
    return (
        (uri.library_manufacturer is None or library.manufacturer_id == uri.library_manufacturer)
        and (uri.library_description is None or library.library_description == uri.library_description)
        and (uri.library_version is None or _version(uri.library_version) == tuple(library.library_version))
    )


def _version(text: str) -> tuple[int, ...]:
    """A version of RFC 7512: without a minor number, that is 0."""
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)


def create_token(path: str, label: str, *, configuration: str, so_pin: Secret, user_pin: Secret) -> None:
    """Initialise a free slot of a module as a new token.

    Args:
        path: The module.
        label: The token's label.
        configuration: Path of SoftHSM's configuration.
        so_pin: The security officer's PIN.
        user_pin: The user's PIN.

    Raises:
        SigningError: A token of that label exists (code ``signing.token_exists``), no slot is free, or the module
            refused.
    """
    pkcs11 = import_pkcs11()
    module = _module(path, configuration)
    module.restart(module.generation, configuration)  # see what lies in the folder now
    module.enter(configuration)
    try:
        if any(token.label == label for token in module.tokens()):
            raise SigningError(f"there already is a token '{label}'", code="signing.token_exists")
        taken = {token.slot.slot_id for token in module.tokens()}
        free = next((slot for slot in module.library.get_slots() if slot.slot_id not in taken), None)
        if free is None:
            raise SigningError("the module has no free slot for a new token", code="signing.token_full")
        result = module.cryptoki.init_token(free.slot_id, so_pin, label)
        if result != _CKR_OK:
            raise SigningError(
                f"the module refused to make a token (return value {result:#x}): check the length of the PINs and that "
                "the token directory is writable",
                code="signing.token_failed",
            )
        with free.get_token().open(rw=True, so_pin=so_pin.reveal()) as session:
            session.init_pin(user_pin.reveal())
    except pkcs11.PKCS11Error as exc:
        raise _refusal(exc) from exc
    finally:
        module.leave()
