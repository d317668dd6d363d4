"""HTTPStorage over nginx: as a public site, behind a password, with TLS, and in trouble."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.storage import FileSystemStorage
from real.contract import NEW, PLACEMENTS, Case, deviations, put, read
from real.recipes import TIMES, Recipe
from real.servers import NginxServer
from urllib3.exceptions import InsecureRequestWarning

from fallback_storage.exceptions import OriginError, OriginUnreachableError
from fallback_storage.http import HTTPStorage


class HTTPRecipe(Recipe):
    name = "http"
    class_path = "fallback_storage.http.HTTPStorage"
    server = NginxServer
    needs = ("urllib3", "cryptography")
    lacks = TIMES | {"listdir"}

    def prepare(self, server, place):
        (server.folder / place).mkdir()

    def options(self, server, endpoint, place):
        return {"base_url": "http://{}:{}/media/{}/".format(*endpoint, place)}

    def raw(self, server, place):
        """The directory that the site shows."""
        here = self.options(server, ("127.0.0.1", server.port), place)
        return FileSystemStorage(str(server.folder / place), here["base_url"])


pytestmark = pytest.mark.parametrize("recipe", [HTTPRecipe()], indirect=True, ids=repr)


@pytest.mark.parametrize("memo", ["memo", "bare"])
def test_contract(place, tmp_path, memo):
    """As the last of a chain; it is never the first that is written to."""
    for placement in PLACEMENTS:
        case = Case(place, tmp_path / "local", "last", placement, memo=memo == "memo")
        assert deviations(case) == {}


@pytest.fixture
def site(place):
    """A site's storage for one of its locations, straight to the server."""
    made = []

    def site(location="media", scheme="http", **options):
        port = place.server.port if scheme == "http" else place.server.tls_port
        url = f"{scheme}://127.0.0.1:{port}/{location}/{place.name}/"
        made.append(HTTPStorage(url, **options))
        return made[-1]

    put(place.raw, "a.jpg", NEW)
    put(place.raw, "styles.css", b"a { color: red }\n" * 1000)
    put(place.raw, "dir/100%ä?#+ .jpg", NEW)
    yield site
    for each in made:
        each._origin.close()


def test_what_is_served_is_what_is_on_disk(place, site):
    storage = site()
    for name in ("a.jpg", "styles.css", "dir/100%ä?#+ .jpg"):
        assert storage.exists(name)
        assert read(storage, name) == read(place.raw, name)
        assert storage.size(name) == place.raw.size(name)
        told = place.raw.get_modified_time(name).replace(microsecond=0)
        assert storage.get_modified_time(name) == told
    assert (
        b"".join(storage.stream("styles.css", 100, 200))
        == (read(place.raw, "styles.css")[100:200])
    )
    for name in ("b.jpg", "dir", "dir/a.jpg", "x" * 255):
        assert not storage.exists(name)


def test_a_file_of_many_megabytes_comes_whole_and_in_parts(place, site):
    content = bytes(range(256)) * 4096 * 20
    put(place.raw, "film.mp4", content)
    storage = site()
    assert read(storage, "film.mp4") == content
    stream = storage.stream("film.mp4")
    first = next(stream)
    assert first == content[: len(first)]
    stream.close()
    assert b"".join(storage.stream("film.mp4", len(content) - 10)) == content[-10:]


def test_a_password_is_asked_for(place, site):
    with pytest.raises(OriginError, match="auth") as raised:
        site("closed").exists("a.jpg")
    assert raised.value.code == 401
    storage = site("closed", auth=(place.server.user, place.server.password))
    assert storage.exists("a.jpg")
    assert read(storage, "a.jpg") == NEW
    assert not storage.exists("b.jpg")


def test_a_certificate_of_ones_own_has_to_be_named(place, site):
    with pytest.raises(OriginError, match="verify") as raised:
        site(scheme="https").exists("a.jpg")
    assert not isinstance(raised.value, OriginUnreachableError)
    path = place.server.certificate
    for verify in (path, str(path)):
        assert read(site(scheme="https", verify=verify), "a.jpg") == NEW
    with pytest.warns(InsecureRequestWarning):
        assert read(site(scheme="https", verify=False), "a.jpg") == NEW


def test_an_app_that_answers_everything_has_no_files(site):
    storage = site("app")
    assert not storage.exists("b.jpg")
    assert not storage.exists("page.html")
    with pytest.raises(FileNotFoundError):
        storage.open("b.jpg")


def test_a_redirect_of_the_site_is_followed(site):
    storage = site("moved")
    assert read(storage, "a.jpg") == NEW
    assert not storage.exists("b.jpg")


def test_a_server_without_ranges_says_so(site):
    storage = site("parts")
    assert read(storage, "a.jpg") == NEW
    with pytest.raises(NotImplementedError):
        storage.stream("a.jpg", 5)


def test_the_server_is_gone_and_comes_back(place, site):
    storage = site()
    assert storage.exists("a.jpg")
    place.server.kill()
    with pytest.raises(OriginUnreachableError):
        storage.exists("a.jpg")
    place.server.start()
    assert storage.exists("a.jpg")


def _in_child(storage, queue):
    queue.put([storage.exists("a.jpg") for _ in range(20)])


# There may be threads: those of other tests.
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_child_has_connections_of_its_own(site):
    storage = site()
    assert storage.exists("a.jpg")
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(storage, queue))
    child.start()
    assert [storage.exists("b.jpg") for _ in range(20)] == [False] * 20
    assert queue.get(timeout=30) == [True] * 20
    child.join(30)


def test_many_threads(site):
    storage = site(max_requests=4, timeout=30)
    names = ["a.jpg", "b.jpg", "styles.css"] * 40
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(storage.exists, names))
    assert found == [name != "b.jpg" for name in names]
