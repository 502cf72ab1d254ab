"""The description is worth reading: every operation says what it does, shows it, and names each way to fail."""

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx
import pytest
from jsonschema_rs import Draft202012Validator, ValidationError

from api.endpoints import all_operations
from api.openapi import document
from api.problem_examples import problem_examples
from api.problems import known_problems
from tests.support.documented import check_documented

DESCRIBED: Final[dict[str, Any]] = json.loads(document(all_operations()))
COMPONENTS: Final = DESCRIBED["components"]
SCHEMAS: Final = {"schemas": COMPONENTS["schemas"]}
OPERATIONS: Final = {item["operationId"]: item for items in DESCRIBED["paths"].values() for item in items.values()}

by_id = pytest.mark.parametrize("name", list(OPERATIONS))


def valid(value: Any, schema: dict[str, Any]) -> None:
    """Raises ValidationError; formats (ids, moments) count."""
    Draft202012Validator({**schema, "components": SCHEMAS}, validate_formats=True).validate(value)


def answers(item: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    for status, answer in item["responses"].items():
        name = answer.get("$ref", "").rpartition("/")[2]
        yield int(status), COMPONENTS["responses"][name] if name else answer


@by_id
def test_every_operation_says_what_it_does_beyond_its_summary(name: str) -> None:
    item = OPERATIONS[name]
    assert len(item["summary"]) <= 80
    assert not item["summary"].endswith(".")
    assert len(item["description"].split()) >= 5
    assert item["description"].endswith((".", ".)"))
    assert item["description"] != item["summary"]
    for parameter in item["parameters"]:
        assert parameter["in"] == "path" or parameter["description"], parameter["name"]


@by_id
def test_every_body_and_every_answer_with_one_has_an_example_that_fits_its_schema(name: str) -> None:
    item = OPERATIONS[name]
    for media in item.get("requestBody", {}).get("content", {}).values():
        assert "example" in media, f"the body of {name} has no example"
        valid(media["example"], media["schema"])
    for status, answer in answers(item):
        for media in answer.get("content", {}).values():
            assert "example" in media or media.get("examples"), f"{name} has no example of its {status}"
            if "example" in media:
                valid(media["example"], media["schema"])


@by_id
def test_every_parameter_has_examples_that_fit_its_schema(name: str) -> None:
    for parameter in OPERATIONS[name]["parameters"]:
        for value in (parameter.get("example"), parameter["schema"].get("default")):
            if value is not None:
                valid(value, parameter["schema"])


@by_id
def test_every_error_is_named_by_its_code_under_the_status_it_has(name: str) -> None:
    statuses = {problem.code: problem.status for problem in known_problems()}
    for status, answer in answers(OPERATIONS[name]):
        if "application/problem+json" not in answer.get("content", {}):
            continue
        media = answer["content"]["application/problem+json"]
        codes = media["schema"]["allOf"][1]["properties"]["code"]["enum"]
        assert codes
        assert list(media["examples"]) == codes
        for code in codes:
            assert statuses[code] == status, f"{name}: {code}"
            assert f"`{code}`" in answer["description"]
            valid(COMPONENTS["examples"][code]["value"], media["schema"])


def test_the_examples_of_problems_are_what_the_edge_renders() -> None:
    examples = problem_examples()
    assert set(examples) == {problem.code for problem in known_problems()}
    assert examples["stale-version"]["conflicts"] == [
        {"field": "title", "base": "Ship", "theirs": "Ship the board", "yours": "Ship it"}
    ]
    assert examples["bad-input"]["errors"][0]["pointer"] == "/title"


def test_a_wrong_example_and_an_undocumented_code_would_be_seen() -> None:
    task = {"$ref": "#/components/schemas/Task"}
    with pytest.raises(ValidationError):
        valid({"id": "no uuid"}, task)
    codes = {"properties": {"code": {"enum": ["conflict"]}}}
    with pytest.raises(ValidationError):
        valid(problem_examples()["not-found"], {"allOf": [{"$ref": "#/components/schemas/Problem"}, codes]})


def test_the_form_of_the_one_click_is_what_mailboxes_send() -> None:
    """RFC 8058: the example of the form is written as JSON, and means this body."""
    content = OPERATIONS["unsubscribe"]["requestBody"]["content"]
    assert dict(parse_qsl("List-Unsubscribe=One-Click")) == content["application/x-www-form-urlencoded"]["example"]


TASK_PATH: Final = "/v1/tasks/019a3b1e-6d00-7000-8000-00000000002a"


def answered(status: int, body: Any, media_type: str = "application/json", path: str = TASK_PATH) -> httpx.Response:
    request = httpx.Request("GET", f"http://127.0.0.1{path}")
    return httpx.Response(status, content=json.dumps(body), headers={"content-type": media_type}, request=request)


@pytest.mark.anyio
async def test_the_clients_of_the_tests_see_what_is_not_documented() -> None:
    task = OPERATIONS["getTask"]["responses"]["200"]["content"]["application/json"]["example"]
    problems = problem_examples()
    await check_documented(answered(200, task))
    await check_documented(answered(404, problems["not-found"], "application/problem+json"))
    await check_documented(answered(418, None, path="/nobody/knows/this"))
    for wrong in (
        answered(201, task),
        answered(200, {**task, "id": "no uuid"}),
        answered(200, {"items": []}),
        answered(404, task),
        answered(409, problems["quota-reached"], "application/problem+json"),
    ):
        with pytest.raises(AssertionError, match="getTask answered"):
            await check_documented(wrong)
