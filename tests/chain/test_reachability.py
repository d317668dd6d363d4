"""Which errors say that a backend cannot be reached: real ones of real clients."""

from __future__ import annotations

import ftplib
import http.client
import socket
import ssl

import boto3
import botocore.exceptions
import pytest
import urllib3
from botocore.config import Config

from fallback_storage.chain.reachability import is_unreachable
from fallback_storage.exceptions import BackendUnavailable, MissingPlaceError


def s3_error(code, status):
    return botocore.exceptions.ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "HeadObject",
    )


def made_of(cause):
    error = OSError("a storage's own error")
    error.__cause__ = cause
    return error


def found_while(context):
    try:
        try:
            raise context
        except type(context):
            raise OSError("another error")  # noqa: B904 - not from it
    except OSError as error:
        return error


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        TimeoutError(),
        EOFError(),
        ftplib.error_temp("421 Service not available."),
        http.client.RemoteDisconnected(),
        http.client.IncompleteRead(b""),
        urllib3.exceptions.ProtocolError(),
        urllib3.exceptions.NewConnectionError(None, ""),
        ssl.SSLCertVerificationError(),
        botocore.exceptions.SSLError(endpoint_url="", error=""),
        botocore.exceptions.ReadTimeoutError(endpoint_url=""),
        botocore.exceptions.ConnectTimeoutError(endpoint_url=""),
        botocore.exceptions.ConnectionClosedError(endpoint_url=""),
        s3_error("503", 503),
        s3_error("InternalError", 500),
        s3_error("429", 429),
        s3_error("SlowDown", 400),
        BackendUnavailable("s3", "busy"),
        made_of(s3_error("503", 503)),
        found_while(ConnectionResetError()),
        ExceptionGroup("", [KeyError(), ConnectionResetError()]),
    ],
    ids=repr,
)
def test_is_unreachable(error):
    assert is_unreachable(error)


@pytest.mark.parametrize(
    "error",
    [
        None,
        FileNotFoundError(),
        PermissionError(),
        KeyError("connection"),
        ftplib.error_temp("450 File busy."),
        ftplib.error_perm("550 No such file."),
        NotImplementedError(),
        botocore.exceptions.NoCredentialsError(),
        s3_error("403", 403),
        s3_error("NoSuchBucket", 404),
        s3_error("404", 404),
        MissingPlaceError("s3"),
        ExceptionGroup("", [KeyError()]),
    ],
    ids=repr,
)
def test_is_an_answer_or_an_error_of_the_program(error):
    assert not is_unreachable(error)


def test_what_a_client_raises_for_a_closed_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    client = boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
        region_name="us-east-1",
        config=Config(retries={"max_attempts": 0}),
    )
    with pytest.raises(Exception) as raised:  # noqa: PT011
        client.head_object(Bucket="b", Key="k")
    assert is_unreachable(raised.value)


def test_an_error_that_leads_back_to_itself_is_judged_once():
    error, other = OSError(), OSError()
    error.__cause__, other.__cause__ = other, error
    assert not is_unreachable(error)
