"""G.711 companding and transcoding by table."""

from media.codecs.g711 import PCMA, PCMU, SILENCE, TRANSCODE, decode, encode


def test_silence_is_silent() -> None:
    for codec, octet in SILENCE.items():
        assert all(abs(sample) <= 8 for sample in memoryview(decode(bytes([octet]), codec)).cast("h"))


def test_each_law_survives_a_round_trip() -> None:
    for codec in (PCMU, PCMA):
        linear = decode(bytes(range(256)), codec)
        assert decode(encode(linear, codec), codec) == linear


def test_the_tables_equal_decoding_and_encoding() -> None:
    every = bytes(range(256))
    assert every.translate(TRANSCODE[PCMU, PCMA]) == encode(decode(every, PCMU), PCMA)
    assert every.translate(TRANSCODE[PCMA, PCMU]) == encode(decode(every, PCMA), PCMU)
