"""The time-outs of the manual, for clients that have libraries of their own."""

from __future__ import annotations

import socket
from inspect import signature

import pytest
from django.core.files.storage import storages
from manual import block

from fallback_storage.chain.profiles import profile_of
from fallback_storage.chain.reachability import is_unreachable
from fallback_storage.storage import FallbackStorage


def test_azure(settings):
    """The client's transport has what the lines say."""
    pytest.importorskip("azure.storage.blob")
    entry = block("AZURE = {")["AZURE"]
    entry["OPTIONS"]["account_key"] = "bWVkaWE="
    settings.STORAGES = {**settings.STORAGES, "production": entry}
    storage = storages["production"]
    assert profile_of(storage).has_time_outs(storage)
    client = storage.client
    found = client._pipeline._transport._transport.connection_config
    assert (found.timeout, found.read_timeout) == (2, 10)
    retry = client._config.retry_policy
    assert (retry.total_retries, retry.initial_backoff) == (1, 1)


def test_azure_has_them_not_with_a_connection_string():
    azure = pytest.importorskip("storages.backends.azure_storage")
    string = "DefaultEndpointsProtocol=https;AccountName=media;AccountKey=bWVkaWE="
    options = block("AZURE = {")["AZURE"]["OPTIONS"]
    storage = azure.AzureStorage(connection_string=string, **options)
    assert not profile_of(storage).has_time_outs(storage)
    found = storage.client._pipeline._transport._transport.connection_config
    assert (found.timeout, found.read_timeout) != (2, 10)


def test_sftp(settings):
    """The client connects with what the lines say; a chain of it knows."""
    paramiko = pytest.importorskip("paramiko")
    settings.STORAGES = {**settings.STORAGES, "production": block("SFTP = {")["SFTP"]}
    storage = storages["production"]
    assert profile_of(storage).has_time_outs(storage)
    (backend,) = FallbackStorage(["production"]).backends
    assert backend.has_time_outs is True
    names = signature(paramiko.SSHClient.connect).parameters
    assert {"timeout", "banner_timeout"} <= set(names) >= set(storage.params)


def test_google(monkeypatch):
    """It gives up at once where nobody listens, and waits no longer than that."""
    pytest.importorskip("google.cloud.storage")
    from google.auth.credentials import AnonymousCredentials
    from storages.backends.gcloud import GoogleCloudStorage

    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        place = f"https://127.0.0.1:{unheard.getsockname()[1]}"
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", place)
        named = block("class Impatient(")
        options = {
            "project_id": "test",
            "bucket_name": "media",
            "credentials": AnonymousCredentials(),
        }
        storage = named["ImpatientGoogleCloudStorage"](**options)
        adapter = storage.client._http.get_adapter(place)
        assert isinstance(adapter, named["Impatient"])
        assert profile_of(storage).has_time_outs is None
        plain = GoogleCloudStorage(**options)
        assert profile_of(plain).has_time_outs(plain) is False
        with pytest.raises(named["RetryError"]) as caught:
            storage.exists("a.jpg")
    assert is_unreachable(caught.value)
