"""The kinds of what is known of a storage class; the table is ``profiles``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fallback_storage.utils.records import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from fallback_storage.chain import dialects, kept, streams, within


class Profile(Record):
    """What is known of a storage; the defaults are what Django's contract says.

    ``concurrent``: it is far away, and one request may ask it from several threads.
    ``deletes_trees``: ``delete`` of a directory takes along what is below it.
    ``is_directory``: whether a directory has a name; no request.
    ``in_database``, ``in_process``: its content lives in the database, in this process.
    ``lazy_open``: ``open`` succeeds for files that are not there. ``lists_flat``: it
    can be asked for all keys that begin with a text (``flat_listing``).
    ``reads_at_open``: the call of ``open`` reads all of the file; ``open_by`` does the
    same, and has the question that comes first asked by a function (so that it can be
    waited for). ``whole``: it never shows a part of a file, and its server checks what
    arrives. ``loses_writes``: what it opens for writing does not keep all that is
    written to it. ``wants_bytes``: it stores no text, or not all of it; text is given
    to it in UTF-8. ``answers_always``: methods that have an answer for files that are
    not there. ``not_found``: paths of exceptions that mean "no such file".
    ``ask_again``: a question that tells "absent" from "failed" where the class itself
    does not: true for a file that is there, false for none, else an exception; and
    ``ask_for_directory``, where a listing failed. ``listdir``: what lists a directory
    where the class's own does not keep the contract. ``keeps_whiteouts``: files of any
    name can be saved under it, and listed. ``keeps_facts``: its ``size`` and
    ``get_modified_time`` tell what a server far away says, or raise.
    ``has_place``: asks for its bucket, where a missing one is told as a missing file.
    ``is_denied``: whether a 403 means that a file may not be there; ``permission``:
    what credentials lack then. ``thread_safe``: several threads may call it at once;
    else each call has an instance for itself (``instances``), but for the
    ``thread_safe_methods``; ``close``: the method that ends its connections.
    ``headers_of``: what is kept beside the content of a file that it opened, and what
    fetches its bytes where it gives others; ``save_with_headers``: saves with that.
    ``get``: opens a file that is to be copied by one request, with a ``client``; ``send``:
    what has its server copy files to another storage there (``within``).
    ``first_byte``: gets no more than that of a file, where reading it loads all of it.
    ``head``: asks for a file's size and time of modification where the class's own methods
    would not be told; None: these are good.
    ``has_time_outs``: whether its client's time-outs were chosen. ``needs``: an option
    without which it can reach nothing, and the setting for it. ``client``: makes the
    client that each thread has of its own; neither asks a server.
    ``stream``: opens a file that is read as it arrives (``streams``).
    ``unlike_listed``: of a file that it opened, whether it is decoded when it is read,
    and whether what a listing shows for its MD5 is none. ``place_is_all``: where its
    files are says which files it has. ``root``: a place, and where in that its files
    begin, which may be among another storage's. ``place_varies``: that is computed at each call,
    and may be another tenant's. ``url_rests_on``: attributes; while all are what they
    were, and the first is not empty, a plain name's URL is the same text and then the
    name. ``writable``: something can be written to it.
    """

    concurrent: bool = False
    deletes_trees: bool = False
    in_database: bool = False
    in_process: bool = False
    keeps_facts: bool = False
    lazy_open: bool = False
    lists_flat: bool = False
    loses_writes: bool = False
    place_is_all: bool = False
    place_varies: bool = False
    reads_at_open: bool = False
    wants_bytes: bool = False
    whole: bool = False
    writable: bool = True
    keeps_whiteouts: bool = True
    is_directory: Callable[[Any, str], bool] | None = None
    listdir: Callable[[Any, str], dialects.Listing] | None = None
    answers_always: tuple[str, ...] = ()
    not_found: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    url_rests_on: tuple[str, ...] = ()
    ask_again: Callable[[Any, str], bool] | None = None
    ask_for_directory: Callable[[Any, str], bool] | None = None
    has_place: Callable[[Any], bool] | None = None
    open_by: Callable[[Any, Callable[..., Any], str, str], Any] | None = None
    get: Callable[[Any, Any, str, str], streams.Arriving] | None = None
    send: Callable[[Any, Any], within.Send | None] | None = None
    root: Callable[[Any], tuple[str, str]] | None = None
    headers_of: Callable[[Any, str, Any], kept.Told] | None = None
    save_with_headers: Callable[[Any, str, Any, Mapping[str, Any]], str] | None = None
    stream: Callable[[Any, str], streams.Streamed] | None = None
    unlike_listed: Callable[[Any, Any], tuple[bool, bool]] | None = None
    is_denied: Callable[[Any, str, Exception], bool] | None = None
    first_byte: Callable[[Any, str], Any] | None = None
    head: Callable[[Any, str], tuple[int, datetime] | None] | None = None
    has_time_outs: Callable[[Any], bool] | None = None
    client: Callable[[Any], object] | None = None
    permission: str = ""
    thread_safe: bool = True
    thread_safe_methods: tuple[str, ...] = ()
    close: str = "close"


DJANGO = Profile()

# What a subclass must have as it is for a row's permission to hold for it, too. (What
# warns of a class is kept for all of its subclasses: their methods may call its.)
METHODS: Mapping[str, tuple[str, ...]] = {
    fact: tuple(methods.split())
    for fact, methods in {
        "has_time_outs": "connection client service_client _get_service_client _connect",
        "client": "connection s3_connection",
        "get": "_open _normalize_name bucket connection get_modified_time",
        "head": "size get_modified_time _normalize_name connection",
        "headers_of": "_open",
        "is_directory": "exists _resolve",
        "keeps_facts": "size get_modified_time",
        "listdir": "listdir",
        "lists_flat": "exists listdir _normalize_name get_object_parameters",
        "open_by": "_open s3_connection",
        "place_is_all": "__init__ path",
        "root": "path _normalize_name",
        "save_with_headers": "_save _get_content_settings_parameters "
        "_get_write_parameters",
        "send": "_open _save _create_session _get_write_parameters _normalize_name "
        "bucket connection",
        "stream": "_open",
        "url_rests_on": "url _normalize_name",
        "whole": "_save",
    }.items()
}
