"""What an error says about whether its backend can be reached at all.

Other people's clients have classes of their own for that. They are known here by name,
without importing their libraries; each row was read in the library's source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fallback_storage.chain.outcomes import http_status

if TYPE_CHECKING:
    from collections.abc import Iterator

# (first package of the module, class name), or a base of it: no connection, none in
# time, or one that broke.
SILENT: Final = frozenset(
    {
        ("aiohttp", "ClientConnectionError"),
        ("azure", "ServiceRequestError"),
        ("azure", "ServiceResponseError"),
        ("botocore", "ConnectionError"),
        ("botocore", "HTTPClientError"),
        ("botocore", "IncompleteReadError"),
        ("google", "RetryError"),
        ("google", "TransportError"),
        ("http", "HTTPException"),
        ("httpx", "TransportError"),
        ("paramiko", "NoValidConnectionsError"),
        ("paramiko", "SSHException"),
        ("requests", "ConnectionError"),
        ("requests", "Timeout"),
        ("requests", "ChunkedEncodingError"),
        ("ssl", "SSLError"),  # also a certificate that is not believed: no connection
        ("urllib3", "ConnectTimeoutError"),
        ("urllib3", "HTTPError"),
    }
)

# What SSH says when a key is wrong: it was reached.
ANSWERED: Final = frozenset({("paramiko", "AuthenticationException")})

# Statuses of a server that cannot answer, or wants to be asked less.
TOO_MANY_REQUESTS: Final = 429
SERVER_ERROR: Final = 500

# How FTP says that there is no connection, or none any more (RFC 959).
FTP_CLOSED: Final = frozenset({"421", "425", "426"})

# Codes by which S3 and its like ask for less, whatever their status.
THROTTLED: Final = frozenset(
    {
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)


def is_unreachable(error: BaseException | None) -> bool:
    """Whether an error says that the backend cannot be reached now, or cannot answer.

    By connection, time-out, a status of 5xx, or throttling; of the error itself or of
    one that it was made of. Not a 403, a bucket that is not there, or an error of the
    program.
    """
    # (What says so itself is what an outage has most of.)
    return isinstance(error, ConnectionError) or any(map(_says_so, _chain(error)))


def _says_so(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_unreachable, error.exceptions))
    if isinstance(error, ConnectionError | TimeoutError | EOFError):
        return True
    classes = {
        (klass.__module__.partition(".")[0], klass.__name__)
        for klass in type(error).__mro__
    }
    if classes & ANSWERED:
        return False
    if ("ftplib", "error_temp") in classes:
        return str(error)[:3] in FTP_CLOSED
    return bool(classes & SILENT) or _is_status_of_outage(error)


def _is_status_of_outage(error: BaseException) -> bool:
    response = getattr(error, "response", None)
    if isinstance(response, dict):
        code = response.get("Error", {}).get("Code", "")
        if code in THROTTLED:
            return True
    status = http_status(error)
    return status is not None and (
        status >= SERVER_ERROR or status == TOO_MANY_REQUESTS
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was made of."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (
            None if error.__suppress_context__ else error.__context__
        )
