"""Checks what no single key can show: that the parts of a configuration fit each other."""

import re
from collections.abc import Mapping
from pathlib import Path as FilePath
from urllib.parse import urlsplit

from acd.config.fitting import check_reachable, check_routing, refers
from acd.config.hops import check_ims
from acd.config.mediachecks import check_media
from acd.config.mistakes import Mistakes
from acd.config.model import Config, Sections, ToFlow, ToQueue
from acd.config.playing import check_prompts, named_prompts
from acd.config.reader import Path
from acd.config.recordings import check_recording
from acd.config.routing import Agent
from acd.config.subscribers import check_subscribers
from acd.config.talk import check_talk
from acd.config.trunking import check_emergency, check_outside, check_trunks


def check(config: Config, written: Mapping[str, str], mistakes: Mistakes) -> None:
    """Report every place where the sections contradict each other.

    `written` gives for each agent the key of its table in the file, which may be a range of agents.
    """
    _addresses(config, mistakes)
    _http(config, mistakes)
    check_media(config, mistakes)
    check_recording(config.recording, mistakes)
    _registrar(config, mistakes)
    _cdr_upload(config, mistakes)
    check_ims(config, mistakes)
    check_subscribers(config.subscribers, config, mistakes)
    check_trunks(config, mistakes)
    check_emergency(config, mistakes)
    check_routing(config, mistakes)
    _numbers(config, mistakes)
    _flows(config, mistakes)
    _prompts(config, mistakes)
    _feature_codes(config, mistakes)
    _agents(config, written, mistakes)


def _addresses(config: Sections, mistakes: Mistakes) -> None:
    if not config.sip.listen and not mistakes.any_in(("sip", "listen")):
        mistakes.report(("sip", "listen"), 'at least one address, like "udp:127.0.0.1:5060"')
    bound = set()
    for index, listener in enumerate(config.sip.listen):
        place = listener.transport == "udp", listener.host, listener.port
        if listener.port and place in bound:
            mistakes.report(("sip", "listen", index), "an address that is not listed before", str(listener))
        bound.add(place)
    sip = config.sip
    if 0 < sip.session_expires_seconds < sip.min_session_seconds:
        mistakes.report(
            ("sip", "session_expires_seconds"),
            f"0 or at least sip.min_session_seconds ({sip.min_session_seconds})",
            sip.session_expires_seconds,
        )
    _advertised(config, mistakes)
    _tls(config, mistakes)
    _relay(config, mistakes)
    if config.media.listen.is_unspecified and config.media.advertise is None:
        mistakes.report(
            ("media", "advertise"),
            f"the address that peers can reach; media.listen is {config.media.listen}, which names none",
        )


def _advertised(config: Sections, mistakes: Mistakes) -> None:
    """Report listeners that peers cannot find: each has one address that they are told."""
    told = config.sip.advertise
    ports: set[int] = set()
    for listener in config.sip.listen:
        if told is None or told.version not in {None, listener.version}:
            if listener.is_unspecified:
                mistakes.report(
                    ("sip", "advertise"),
                    f"the address that peers can reach; sip.listen has {listener}, which names none"
                    + ("" if told is None else f", and {told} is of another version of IP: use a host name"),
                )
        else:
            ports.add(listener.port)
    if told is not None and told.port is not None and len(ports) > 1:
        mistakes.report(
            ("sip", "advertise"),
            f"a host without a port, because sip.listen has several ports ({_listed(ports)})",
            told,
        )


def _listed(ports: set[int]) -> str:
    return ", ".join(map(str, sorted(ports)))


def _tls(config: Sections, mistakes: Mistakes) -> None:
    tls = config.sip.tls
    secure = next((listener for listener in config.sip.listen if listener.needs_certificate), None)
    if tls is None and secure is not None and not mistakes.any_in(("sip", "tls")):
        mistakes.report(("sip", "tls"), f"a table with a certificate, because sip.listen has {secure}")
    if tls is not None and tls.client_certificates != "none" and tls.ca is None:
        mistakes.report(
            ("sip", "tls", "ca"),
            f'the authorities of clients, because client_certificates = "{tls.client_certificates}"',
        )


def _relay(config: Sections, mistakes: Mistakes) -> None:
    if mistakes.any_in(("sip", "relay")):
        return
    for domain, next_hop in config.sip.relay.items():
        path: Path = ("sip", "relay", domain)
        if domain.lower() == config.server.domain.lower():
            mistakes.report(path, "a domain that is not served here")
        if re.match(r"sips?:(?:[^@]*@)?[\[0-9]", next_hop):  # names are looked up
            check_reachable(next_hop, config, path, mistakes)


def _http(config: Sections, mistakes: Mistakes) -> None:
    listen = config.http.listen
    if listen is not None and not listen.is_loopback and not config.http.token:
        mistakes.report(("http", "token"), f"a token, because http.listen is {listen}, which other hosts can reach")


def _registrar(config: Sections, mistakes: Mistakes) -> None:
    for key in ("algorithms", "qop"):
        if not getattr(config.registrar, key) and not mistakes.any_in(("registrar", key)):
            mistakes.report(("registrar", key), "at least one")
    registrar = config.registrar
    low, high = registrar.min_expires_seconds, registrar.max_expires_seconds
    if not low <= high:
        mistakes.report(("registrar", "max_expires_seconds"), f"min_expires_seconds ({low}) or more", high)
    elif not low <= registrar.default_expires_seconds <= high:
        mistakes.report(
            ("registrar", "default_expires_seconds"),
            f"from {low} to {high}",
            registrar.default_expires_seconds,
        )


def _cdr_upload(config: Sections, mistakes: Mistakes) -> None:
    upload = config.cdr_upload
    if upload.url is None and upload.token is not None and not mistakes.any_in(("cdr_upload", "url")):
        mistakes.report(("cdr_upload", "url"), "an HTTP URL, because cdr_upload.token is set; the key is missing")
    if upload.url is not None:
        try:
            urlsplit(upload.url).port  # noqa: B018 - it is read when it is asked for
        except ValueError:
            mistakes.report(("cdr_upload", "url"), "a port from 0 to 65535", upload.url)
    if upload.longest_retry_seconds < upload.retry_seconds:
        mistakes.report(
            ("cdr_upload", "longest_retry_seconds"),
            f"cdr_upload.retry_seconds ({upload.retry_seconds:g}) or more",
            upload.longest_retry_seconds,
        )


def _numbers(config: Config, mistakes: Mistakes) -> None:
    for dialled, number in config.numbers.items():
        path: Path = ("numbers", dialled)
        if dialled in config.accounts or dialled in config.agents:
            mistakes.report(path, "a number that is not also an account or agent")
        if isinstance(number, ToFlow):
            refers(number.flow, config.flows, "a flow", (*path, "flow"), mistakes)
        elif isinstance(number, ToQueue):
            refers(number.queue, config.queues, "a queue", (*path, "queue"), mistakes)


def _flows(config: Sections, mistakes: Mistakes) -> None:
    for name, flow in config.flows.items():
        refers(flow.default, config.queues, "a queue", ("flows", name, "default"), mistakes)
        for digit, queue in (flow.choices or {}).items():
            refers(queue, config.queues, "a queue", ("flows", name, "choices", digit), mistakes)


def _prompts(config: Sections, mistakes: Mistakes) -> None:
    for name, queue in config.queues.items():
        check_talk(queue.talk, ("queues", name, "talk"), mistakes)
    directory = config.media.prompts
    if directory is not None and not FilePath(directory).is_dir():
        mistakes.report(("media", "prompts"), "the name of a directory", directory)
    check_prompts(named_prompts(config), directory, mistakes)
    if not any("{out}" in part for part in config.speech.command or ()):
        mistakes.report(("speech", "command"), 'a program and its arguments, "{out}" among them')


def _feature_codes(config: Config, mistakes: Mistakes) -> None:
    codes = config.feature_codes
    taken: dict[str, str] = dict.fromkeys(config.numbers, "a number")
    for name in codes.__struct_fields__:
        code = getattr(codes, name)
        if code in taken:
            mistakes.report(("feature_codes", name), f"a code that is not also {taken[code]}", code)
        taken[code] = name


def _agents(config: Config, written: Mapping[str, str], mistakes: Mistakes) -> None:
    needs_account = config.sip.authentication == "digest"
    for name, agent in config.agents.items():
        path: Path = ("agents", written[name])
        if agent.always_ready and agent.contact is None:
            mistakes.report((*path, "contact"), "a SIP URI, because always_ready is true; the key is missing")
        if agent.contact is not None and not check_outside(agent.contact, config, (*path, "contact"), mistakes):
            check_reachable(agent.contact, config, (*path, "contact"), mistakes)
        if agent.open_leg:
            _open_leg(config, agent, path, mistakes)
        account = config.accounts.get(name)
        if account is not None and "agent" not in account.roles:
            mistakes.report(path, f'the role agent in the account "{name}"')
        elif account is None and agent.contact is None and needs_account and not mistakes.any_in(path):
            mistakes.report(path, f'an account "{name}" with the role agent, or a contact: it cannot be called')
    for name, account in config.accounts.items():
        if "agent" in account.roles and name not in config.agents:
            mistakes.report(("agents", name), f'a table, because the account "{name}" has the role agent')


def _open_leg(config: Sections, agent: Agent, path: Path, mistakes: Mistakes) -> None:
    if agent.capacity is not None and agent.capacity > 1:
        mistakes.report((*path, "capacity"), "1, because open_leg is true and a leg carries one call", agent.capacity)
