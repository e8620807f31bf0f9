"""`[media]` with rtpengines: what must be there, and what of the rest they cannot do."""

from __future__ import annotations

from typing import Any

import pytest

from acd.config import Config, ConfigError, loads
from acd.config.live import follow
from acd.mediaside import node_of, rtpengine_settings
from media.rtpengine.settings import Node

SERVER = '[server]\ndomain = "ims.example"\n'
ONE = 'rtpengine = [{ address = "127.0.0.1:2223" }]\n'
RTPENGINE = f'{SERVER}[media]\nbackend = "rtpengine"\ndigits = "127.0.0.1:2224"\n'
QUEUE = '[queues.sales]\nname = "Sales"\n'


def mistakes(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loads(text)
    return tuple(caught.value.mistakes)


def read(text: str) -> Config:
    return loads(text)


def test_rtpengines_are_told_apart_by_their_addresses() -> None:
    config = read(
        f"{RTPENGINE}codecs = ['PCMA', 'G722', 'opus']\n"
        '[[media.rtpengine]]\naddress = "127.0.0.1:2223"\n[[media.rtpengine]]\naddress = "[::1]:2223"\nweight = 3\n'
    )
    settings = rtpengine_settings(config)
    assert settings.nodes == (Node(host="127.0.0.1", port=2223), Node(host="::1", port=2223, weight=3))
    assert [node.name for node in settings.nodes] == ["127.0.0.1:2223", "[::1]:2223"]
    assert settings.digits == ("127.0.0.1", 2224)
    assert settings.codecs == ("PCMA", "G722")
    assert node_of(config.media.rtpengine[1]) == settings.nodes[1]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        (f'{SERVER}[media]\nbackend = "asterisk"\n', 'media.backend: expected "builtin" or "rtpengine"'),
        (RTPENGINE, "media.rtpengine: expected at least one [[media.rtpengine]], because"),
        (
            f'{SERVER}[media]\nbackend = "rtpengine"\n{ONE}',
            "media.digits: expected the address:port of",
        ),
        (
            f'{RTPENGINE}rtpengine = [{{ address = "127.0.0.1" }}]\n',
            "media.rtpengine[0].address: expected an IP",
        ),
        (
            f"{RTPENGINE}rtpengine = [{{ weight = 1 }}]\n",
            "media.rtpengine[0].address: expected an IP",
        ),
        (
            f'{RTPENGINE}rtpengine = [{{ address = "127.0.0.1:1" }}, {{ address = "127.0.0.1:1" }}]\n',
            "media.rtpengine[1]: expected an address that is not listed before",
        ),
        (
            f"{RTPENGINE}{ONE}codecs = ['opus']\n",
            "media.codecs: expected some that rtpengine transcodes: PCMU, PCMA, G722",
        ),
        (
            f"{RTPENGINE}{ONE}{QUEUE}",
            'queues.sales.record: expected false, because media.backend = "rtpengine" is without recording, found true',
        ),
        (
            f"{RTPENGINE}{ONE}inband_digits = 'always'\n",
            'media.inband_digits: expected "auto" or "off", because media.backend = "rtpengine" is without inband',
        ),
        (
            f"{RTPENGINE}{ONE}[recording]\nsiprec = 'sip:127.0.0.1:5070'\n",
            'recording.siprec: expected nothing, because media.backend = "rtpengine" is without forking',
        ),
    ],
)
def test_what_rtpengines_lack_is_told_in_one_sentence(text: str, mistake: str) -> None:
    (told,) = mistakes(text)
    assert mistake in told


def test_what_rtpengines_can_do_is_accepted() -> None:
    config = read(f"{RTPENGINE}{ONE}srtp = 'required'\n{QUEUE}record = false\nhide_digits = true\n")
    assert config.media.srtp == "required"


def test_others_may_be_named_while_calls_go_on_but_no_other_backend() -> None:
    present = read(f"{RTPENGINE}{ONE}")
    config, changed, needs_restart = follow(present, read(RTPENGINE + ONE.replace("2223", "2225")))
    assert [str(each.address) for each in config.media.rtpengine] == ["127.0.0.1:2225"]
    assert (changed, needs_restart) == (("media",), ())
    config, _, needs_restart = follow(present, read(f"{SERVER}[media]\nworkers = 3\n"))
    assert set(needs_restart) == {"media.backend", "media.digits"}
    assert config.media.workers == 3


def test_workers_may_be_more_and_less() -> None:
    def media(text: str) -> Any:
        return read(f"{SERVER}[media]\n{text}\n")

    config, changed, needs_restart = follow(media("workers = 1"), media('workers = 2\nports = "30000-30099"'))
    assert (config.media.workers, str(config.media.ports)) == (2, "20000-29999")
    assert (changed, needs_restart) == (("media",), ("media.ports",))
