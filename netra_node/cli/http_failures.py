"""Says why a server gave no answer, in words. Belongs here: what libraries wrap failures in, no advice: that is the caller's.

urllib3's exceptions come through the Kubernetes client as they are.
"""

import ssl

from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError, TimeoutError  # noqa: A004


def no_answer(error: HTTPError) -> str:
    """Return what a sentence about a server goes on with."""
    reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    # a refused connection is one of its timeouts
    late = isinstance(reason, TimeoutError) and not isinstance(reason, NewConnectionError)
    return "does not answer in time" if late else f"cannot be reached ({words(reason)})"


def words(error: BaseException) -> str:
    """Return what went wrong first: libraries wrap it with the objects it happened to."""
    while (inner := _inner(error)) is not None:
        error = inner
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    told = error.strerror.lower() if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(told.split()) or type(error).__name__


def _inner(error: BaseException) -> BaseException | None:
    """Return what an error came from; urllib3 keeps a failed handshake as its argument only."""
    first = error.args[0] if error.args else None
    return error.__cause__ or (first if isinstance(first, BaseException) else None)
