"""Programs that we did not write, and the server they talk to, each in a process of its own."""

from tests.peers.kit.baresip import Baresip
from tests.peers.kit.kamailio import Kamailio
from tests.peers.kit.phone import Message, Phone, Voice, media_port, sdp
from tests.peers.kit.process import LOOPBACK, Program, wait_until
from tests.peers.kit.server import GAUGES, LAB_AGENT_PORT, ROOT, Server
from tests.peers.kit.sipp import Counts, Sipp
from tests.peers.kit.tones import SILENCE_DB, Samples, level, loudest_part, read_wav, write_tone
from tests.peers.kit.ways import SIX, WAYS, Way, by_each_way

__all__ = [
    "GAUGES", "LAB_AGENT_PORT", "LOOPBACK", "ROOT", "SILENCE_DB", "SIX", "WAYS",
    "Baresip", "Counts", "Kamailio", "Message", "Phone", "Program", "Samples", "Server",
    "Sipp", "Voice", "Way", "by_each_way", "level", "loudest_part", "media_port", "read_wav", "sdp",
    "wait_until", "write_tone",
]  # fmt: skip
