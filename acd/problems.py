"""What HTTP answers when something is wrong with a request (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus

from litestar import Response
from litestar.openapi import ResponseSpec
from msgspec import Struct

PROBLEM = "application/problem+json"


class Problem(Struct, frozen=True, omit_defaults=True):
    """What went wrong; `title` says the status, `detail` the rest, `mistakes` are those of a configuration."""

    title: str
    status: int
    detail: str = ""
    mistakes: tuple[str, ...] = ()


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Describe these statuses to OpenAPI."""
    return {
        status: ResponseSpec(
            Problem, generate_examples=False, media_type=PROBLEM, description=HTTPStatus(status).phrase
        )
        for status in statuses
    }


def problem(
    status: int, detail: str, headers: Mapping[str, str] | None = None, mistakes: tuple[str, ...] = ()
) -> Response[Problem]:
    """Return such an answer."""
    body = Problem(HTTPStatus(status).phrase, status, detail, mistakes)
    return Response(body, status_code=status, media_type=PROBLEM, headers=headers)
