"""The forward cipher of AES-128 in plain Python (FIPS 197), so that the test USIM rests on nobody's cipher."""


def _times_two(value: int) -> int:
    value <<= 1
    return value ^ 0x11B if value & 0x100 else value


def _s_box() -> bytes:
    """Multiplicative inverses, by powers of the generator 3, and then the affine transformation (section 5.1.1)."""
    powers, value = [], 1
    for _ in range(255):
        powers.append(value)
        value ^= _times_two(value)
    logarithms = {power: exponent for exponent, power in enumerate(powers)}
    box = []
    for value in range(256):
        inverse = powers[-logarithms[value] % 255] if value else 0
        twice = inverse << 8 | inverse
        box.append(inverse ^ (twice >> 7 ^ twice >> 6 ^ twice >> 5 ^ twice >> 4) & 0xFF ^ 0x63)
    return bytes(box)


S_BOX = _s_box()


def expand_key(key: bytes) -> list[bytes]:
    """Return the eleven round keys (section 5.2)."""
    words = [key[at : at + 4] for at in range(0, 16, 4)]
    constant = 1
    while len(words) < 44:
        word = words[-1]
        if len(words) % 4 == 0:
            word = bytes(S_BOX[octet] for octet in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _times_two(constant)
        words.append(bytes(a ^ b for a, b in zip(words[-4], word, strict=True)))
    return [b"".join(words[at : at + 4]) for at in range(0, 44, 4)]


def _mixed(column: bytes) -> bytes:
    """One column after MixColumns (section 5.1.3)."""
    total = column[0] ^ column[1] ^ column[2] ^ column[3]
    return bytes(column[i] ^ total ^ _times_two(column[i] ^ column[(i + 1) % 4]) for i in range(4))


def encrypt(key: bytes, block: bytes) -> bytes:
    """Encrypt one block of 16 bytes under a key of 16 bytes."""
    first, *others = expand_key(key)
    state = bytes(a ^ b for a, b in zip(block, first, strict=True))
    for round_key in others:
        state = bytes(S_BOX[state[(at + 4 * (at % 4)) % 16]] for at in range(16))
        if round_key is not others[-1]:
            state = b"".join(_mixed(state[at : at + 4]) for at in range(0, 16, 4))
        state = bytes(a ^ b for a, b in zip(state, round_key, strict=True))
    return state
