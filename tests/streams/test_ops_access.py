"""Headers for the operators' page that no browser sends are refused like those of anybody who may not come in."""

import io
from typing import Any

import pytest
from msgspec import structs

from api.settings import OpsSettings
from core.secret import Secret
from taskforge.ops.access import Access, Operator, from_the_page
from taskforge.ops.page import OpsPage
from taskforge.settings import Settings

TOKEN = "a token of twenty-four or more characters"
NEAR = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:9091"}


@pytest.mark.parametrize("header", ["Basic \xe9\xe9", "Basic 6ek=", "Basic =", "Basic", "\xe9", "Basic a b"])
def test_credentials_that_are_none_are_unknown(settings: Settings, header: str) -> None:
    access = Access(structs.replace(settings, ops=OpsSettings(token=Secret(TOKEN))))
    assert access.operator({**NEAR, "HTTP_AUTHORIZATION": header}) == "unknown"


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://]", "http://a\u2100b", "", "null"])
def test_an_origin_that_is_none_is_not_ours(origin: str) -> None:
    assert not from_the_page({**NEAR, "HTTP_ORIGIN": origin})


@pytest.mark.parametrize(
    "host",
    [
        "evil.com@localhost",
        "localhost/",
        "localhost:80@evil.com",
        "localhost?",
        "[::1",
        "::1",
        "localhost:",
        "",
        "\xb2",
    ],
)
def test_a_host_that_is_more_than_a_name_and_a_port_is_not_this_machine(settings: Settings, host: str) -> None:
    assert Access(settings).operator({**NEAR, "HTTP_HOST": host}) == "nobody"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1:9091", "[::1]:9091", "[::1]"])
def test_this_machine_is_known_by_all_of_its_names(settings: Settings, host: str) -> None:
    assert Access(settings).operator({**NEAR, "HTTP_HOST": host}) == Operator()


@pytest.mark.parametrize("length", ["\xb2", "\u0661", "-1", "+1", "1e1", " 1", "1_0", "9" * 5_000])
def test_a_length_that_is_no_number_is_refused(settings: Settings, length: str) -> None:
    page = OpsPage(settings)
    environ: dict[str, Any] = {
        **NEAR,
        "PATH_INFO": "/ops/replay",
        "REQUEST_METHOD": "POST",
        "CONTENT_LENGTH": length,
        "wsgi.input": io.BytesIO(b"id=mail:0:0"),
    }
    process: Any = object()
    with page.showing(process):
        assert page.answer(environ, lambda _, __: None).status.startswith("422")
