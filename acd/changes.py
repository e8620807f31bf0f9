"""The HTTP routes that change something while calls go on.

POST  /api/v1/reload
PATCH /api/v1/queues/{id}  /api/v1/agents/{id}
POST  /api/v1/agents/{id}/state  /api/v1/calls/{id}/move  /api/v1/calls/{id}/recording
      /api/v1/calls/{id}/digits  /api/v1/calls/{id}/press
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from litestar import patch, post
from litestar.exceptions import ClientException, NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct

from acd.config.live import Installed
from acd.config.source import Changeable
from acd.control import Control, NotNow, NotThere
from acd.problems import problems

Name = Annotated[str, PathParameter(description="the id")]


class Force(Struct, frozen=True, forbid_unknown_fields=True):
    """The state that an agent is put into, and why."""

    state: Literal["ready", "paused", "logged_out"]
    reason: str = ""


class Move(Struct, frozen=True, forbid_unknown_fields=True):
    """The queue that a caller is to wait in."""

    queue: str


class Recording(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a talk is recorded from here on."""

    action: Literal["pause", "resume"]


class Digits(Struct, frozen=True, forbid_unknown_fields=True):
    """Whether what a caller presses reaches the agent, and logs."""

    action: Literal["hide", "show"]


class Press(Struct, frozen=True, forbid_unknown_fields=True):
    """The keys to press, one after the other, and for whom: the caller, or whom he talks to."""

    keys: Annotated[str, Meta(pattern=r"^[0-9A-D*#]{1,32}\Z")]
    towards: Literal["caller", "other"] = "other"


class Done(Struct, frozen=True):
    """It is done, or begun where a talk has to be finished first."""

    done: Literal[True] = True


def change_routes(control: Control) -> Sequence[HTTPRouteHandler]:
    """Return the handlers."""

    @post("/api/v1/reload", summary="Read the configuration anew", status_code=200, responses=problems(400))
    async def reload() -> Installed:
        """Follow the file as it is now, for calls that wait as well. A file with mistakes changes nothing."""
        return await control.reload("api")

    @patch("/api/v1/queues/{queue_id:str}", summary="Change a queue", responses=problems(400, 404))
    async def change_queue(queue_id: Name, data: JSONBody[dict[str, Any]]) -> Installed:
        """Put these keys of the configuration in place of the queue's, until the configuration is read anew."""
        return await _change("queues", queue_id, data)

    @patch("/api/v1/agents/{agent_id:str}", summary="Change an agent", responses=problems(400, 404))
    async def change_agent(agent_id: Name, data: JSONBody[dict[str, Any]]) -> Installed:
        """Put these keys of the configuration in place of the agent's, until the configuration is read anew."""
        return await _change("agents", agent_id, data)

    @post(
        "/api/v1/agents/{agent_id:str}/state",
        summary="Force an agent's state",
        status_code=200,
        sync_to_thread=False,
        responses=problems(400, 404),
    )
    def force(agent_id: Name, data: JSONBody[Force]) -> Done:
        """Decide for the agent, as if he had done so himself; a talk is finished first."""
        try:
            control.force(agent_id, data.state, data.reason)
        except NotThere as error:
            raise NotFoundException(str(error)) from None
        return Done()

    async def _change(section: Changeable, name: str, values: dict[str, Any]) -> Installed:
        try:
            return await control.change(section, name, values)
        except NotThere as error:
            raise NotFoundException(str(error)) from None

    return [reload, change_queue, change_agent, force, *_call_routes(control), *_key_routes(control)]


@contextmanager
def _refusals() -> Iterator[None]:
    """Answer 404 to who names what is not there, 409 to who wants what cannot be now."""
    try:
        yield
    except NotThere as error:
        raise NotFoundException(str(error)) from None
    except NotNow as error:
        raise ClientException(str(error), status_code=409) from None


def _call_routes(control: Control) -> Sequence[HTTPRouteHandler]:
    """Return the handlers of single calls."""

    @post(
        "/api/v1/calls/{call_id:str}/move",
        summary="Move a waiting caller to another queue",
        status_code=200,
        sync_to_thread=False,
        responses=problems(400, 404, 409),
    )
    def move(call_id: Name, data: JSONBody[Move]) -> Done:
        """Let the caller wait there with the place of his arrival."""
        with _refusals():
            control.move(call_id, data.queue)
        return Done()

    @post(
        "/api/v1/calls/{call_id:str}/recording",
        summary="Pause or resume the recording of a talk",
        status_code=200,
        sync_to_thread=False,
        responses=problems(400, 404, 409),
    )
    def record(call_id: Name, data: JSONBody[Recording]) -> Done:
        """Leave a gap of the same length in the recording, as while a secret is said; doing it twice is no mistake."""
        with _refusals():
            control.pause_recording(call_id, paused=data.action == "pause")
        return Done()

    return [move, record]


def _key_routes(control: Control) -> Sequence[HTTPRouteHandler]:
    """Return the handlers of what is pressed in a call."""

    @post(
        "/api/v1/calls/{call_id:str}/digits",
        summary="Hide what a caller presses, or show it again",
        status_code=200,
        sync_to_thread=False,
        responses=problems(400, 404, 409),
    )
    def hide(call_id: Name, data: JSONBody[Digits]) -> Done:
        """Keep keys from whom the caller talks to, and from logs and records, as while a secret is entered."""
        with _refusals():
            control.hide_digits(call_id, hidden=data.action == "hide")
        return Done()

    @post(
        "/api/v1/calls/{call_id:str}/press",
        summary="Press keys",
        status_code=200,
        sync_to_thread=False,
        responses=problems(400, 404, 409),
    )
    def press(call_id: Name, data: JSONBody[Press]) -> Done:
        """Send telephone-events, or tones to who takes none, as for a menu at the other end."""
        with _refusals():
            control.press(call_id, data.keys, data.towards)
        return Done()

    return [hide, press]
