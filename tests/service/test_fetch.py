import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from partita.errors import AccessError, RequestError, TooLargeError
from partita.service.fetch import fetch, is_public, is_public_web


class Site(ThreadingHTTPServer):
    """A web server of this test: `pages` answers by path, `asked` is what came."""

    daemon_threads = True

    def __init__(self) -> None:
        self.pages: dict[str, Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                site.pages[self.path](self)

            def log_message(self, format: str, *args: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.port = self.server_address[1]


def body(content: bytes, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return send


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    thread = threading.Thread(target=site.serve_forever, args=(0.01,))
    thread.start()
    yield site
    site.shutdown()
    thread.join()
    site.server_close()


def get(site: Site, path: str, **more) -> bytes:
    """What is at a path of the test's server, which is reached as music.example."""
    told = {
        "largest_bytes": 10_000,
        "timeout_s": 10,
        "resolve": lambda host, port: ["127.0.0.1"],
        "allow": lambda address, port: address == "127.0.0.1" and port == site.port,
        **more,
    }
    return b"".join(fetch(f"http://music.example:{site.port}{path}", **told))


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34", "1.1.1.1"])
def test_addresses_of_the_internet_are_public(address):
    assert is_public(address)
    assert is_public_web(address, 443)
    assert not is_public_web(address, 22)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1",
        "169.254.169.254", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1",
        "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "100::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
        "64:ff9b::7f00:1", "64:ff9b:1::a00:1", "2002:7f00:1::", "2002:a00:1::1", "2001::1", "fec0::1",
        "localhost", "", "127.1", "0x7f000001",
    ],
)  # fmt: skip
def test_all_others_are_not(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/a.wav",
        "http://localhost/a.wav",
        "http://2130706433/a.wav",
        "http://0x7f.1/a.wav",
        "http://0177.0.0.1/a.wav",
        "http://127.1/a.wav",
        "http://[::1]/a.wav",
        "http://[::ffff:127.0.0.1]/a.wav",
        "http://[::ffff:7f00:1]/a.wav",
        "http://0/a.wav",
        "http://169.254.169.254/latest/meta-data/",
        "http://10.0.0.1/",
        "http://127.0.0.1:8460/v1/songs",
        "http://93.184.216.34:22/",
        "http://93.184.216.34:8080/",
        "https://93.184.216.34:0/",
    ],
)
def test_no_private_place_is_asked_however_it_is_written(url, monkeypatch):
    def connect(*_: object, **__: object) -> socket.socket:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket, "create_connection", connect)
    with pytest.raises(AccessError) as refusal:
        next(fetch(url, largest_bytes=10, timeout_s=1))
    assert refusal.value.known


def test_a_name_that_stands_for_a_private_address_too_is_refused():
    with pytest.raises(AccessError) as refusal:
        next(
            fetch(
                "http://rebind.example/",
                largest_bytes=10,
                timeout_s=1,
                resolve=lambda host, port: ["93.184.216.34", "10.7.7.7"],
            )
        )
    assert "10.7.7.7" not in str(refusal.value), "what is inside a network is told to nobody"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://music.example/a",
        "//music.example/a",
        "music.example/a",
        "http://",
        "http:///a",
        "http://user:word@music.example/",
        "http://music.example:port/",
        "http://music.example:99999/",
        "http://[::1/",
        "http://music.example/a b",
        "http://music.example/\r\nX: y",
        "http://music.example/\x00",
        "http://" + "a" * 70 + ".example/",
        "http://music.example/" + "a" * 3000,
        "",
        "gopher://music.example",
        "data:audio/wav;base64,AAAA",
    ],
)
def test_what_is_no_web_address_is_refused(url):
    with pytest.raises(RequestError) as refusal:
        next(fetch(url, largest_bytes=10, timeout_s=1, resolve=lambda host, port: ["93.184.216.34"]))
    assert refusal.value.field == "url"


def test_a_host_that_is_not_there_is_told():
    def resolve(host: str, port: int) -> list[str]:
        raise socket.gaierror("no")

    with pytest.raises(RequestError, match=r"no host 'music\.example'"):
        next(fetch("http://music.example/", largest_bytes=10, timeout_s=1, resolve=resolve))


def test_bytes_arrive_from_the_checked_address_under_the_name_that_was_asked(site):
    site.pages["/a%20song.wav?x=%C3%A9"] = body(b"RIFF" * 100)
    resolved = []

    def resolve(host: str, port: int) -> list[str]:
        resolved.append(host)
        return ["127.0.0.1"] if len(resolved) == 1 else ["10.0.0.1"]

    assert get(site, "/a%20song.wav?x=é", resolve=resolve) == b"RIFF" * 100
    assert resolved == ["music.example"], "a name is resolved once"
    ((_, headers),) = site.asked
    assert headers["host"] == f"music.example:{site.port}"
    assert headers["accept-encoding"] == "identity"


def test_proxies_of_the_environment_are_not_asked(site, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    site.pages["/a"] = body(b"ok")
    assert get(site, "/a") == b"ok"


def test_what_is_declared_too_large_is_not_read(site):
    site.pages["/a"] = body(b"", **{"Content-Length": "10001"})
    with pytest.raises(TooLargeError, match="10000 bytes"):
        get(site, "/a")


def test_what_grows_too_large_is_cut(site):
    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"x" * 1000)

    site.pages["/a"] = send
    with pytest.raises(TooLargeError):
        get(site, "/a")


def test_a_host_that_never_ends_is_left_when_the_time_is_up(site):
    going = threading.Event()

    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "5000")
        handler.end_headers()
        while not going.wait(0.02):
            try:
                handler.wfile.write(b"x")  # so that no single read takes long
            except OSError:
                return

    site.pages["/a"] = send
    began = time.monotonic()
    with pytest.raises(RequestError, match="time is up"):
        get(site, "/a", timeout_s=0.3)
    assert time.monotonic() - began < 3
    going.set()


def test_a_head_that_never_ends_is_left_when_the_time_is_up(site):
    def send(handler: BaseHTTPRequestHandler) -> None:
        for _ in range(500):
            try:
                handler.wfile.write(b"H")
            except OSError:
                return
            time.sleep(0.01)

    site.pages["/a"] = send
    with pytest.raises(RequestError, match="time is up"):
        get(site, "/a", timeout_s=0.3)


def test_what_ends_too_early_is_no_file(site):
    site.pages["/a"] = body(b"half", **{"Content-Length": "8", "Connection": "close"})
    with pytest.raises(RequestError, match="after 4 of 8 bytes"):
        get(site, "/a")


@pytest.mark.parametrize("status", [204, 206, 304, 403, 404, 500])
def test_only_a_whole_answer_will_do(site, status):
    site.pages["/a"] = body(b"", status)
    with pytest.raises(RequestError, match=f"HTTP {status}"):
        get(site, "/a")


def test_what_is_no_http_is_told(site):
    site.pages["/a"] = lambda handler: (handler.wfile.write(b"220 smtp\r\n"), handler.connection.close())
    with pytest.raises(RequestError, match="it failed"):
        get(site, "/a")


def test_redirects_are_followed_thrice_and_no_further(site):
    for number in range(5):
        site.pages[f"/{number}"] = body(b"", 302, Location=f"/{number + 1}")
    site.pages["/5"] = body(b"here")
    assert get(site, "/2") == b"here"
    with pytest.raises(RequestError, match="more than 3 times"):
        get(site, "/1")


@pytest.mark.parametrize(
    "place", ["http://169.254.169.254/latest", "http://inside.example:{port}/", "file:///etc/passwd"]
)
def test_where_a_redirect_leads_is_checked_as_well(site, place):
    site.pages["/a"] = body(b"", 302, Location=place.format(port=site.port))

    def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"] if host == "music.example" else ["10.0.0.1"] if "inside" in host else [host]

    with pytest.raises((AccessError, RequestError)):
        get(site, "/a", resolve=resolve)
    assert [path for path, _ in site.asked] == ["/a"]


def test_whoever_stops_reading_leaves_nothing_open(site):
    site.pages["/a"] = body(b"x" * 9000)
    before = threading.active_count()
    pieces = fetch(
        f"http://music.example:{site.port}/a",
        largest_bytes=10_000,
        timeout_s=100,
        resolve=lambda host, port: ["127.0.0.1"],
        allow=lambda address, port: True,
    )
    assert next(pieces)
    pieces.close()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
