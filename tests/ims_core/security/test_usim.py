"""The USIM of the tests is right by itself: by the published figures, not by agreeing with what it tests."""

import pytest

from tests.kit.aes import encrypt
from tests.kit.milenage_sets import MILENAGE_SETS, MilenageSet
from tests.kit.usim import MacFailure, SynchronisationFailure, Usim

FIRST = MILENAGE_SETS[0]


def autn_of(figures: MilenageSet, sqn: bytes) -> bytes:
    usim = Usim(figures.k, figures.opc)
    concealed = bytes(a ^ b for a, b in zip(sqn, figures.f5, strict=True))
    return concealed + figures.amf + usim.out(figures.rand, 1, sqn, figures.amf)[:8]


def test_its_cipher_is_that_of_the_standard() -> None:
    """FIPS 197 Appendix C.1."""
    key, block = bytes(range(16)), bytes(0x11 * number for number in range(16))
    assert encrypt(key, block).hex() == "69c4e0d86a7b0430d8cdb78070b4c55a"


@pytest.mark.parametrize("figures", MILENAGE_SETS, ids=[figures.name for figures in MILENAGE_SETS])
def test_its_functions_yield_the_published_figures(figures: MilenageSet) -> None:
    usim, rand = Usim(figures.k, figures.opc), figures.rand
    assert usim.out(rand, 1, figures.sqn, figures.amf) == figures.f1 + figures.f1_star
    assert usim.out(rand, 2)[:6] + usim.out(rand, 2)[8:] == figures.f5 + figures.f2
    assert (usim.out(rand, 3), usim.out(rand, 4), usim.out(rand, 5)[:6]) == (figures.f3, figures.f4, figures.f5_star)


def test_it_takes_each_number_once_and_none_that_is_too_far_ahead() -> None:
    usim = Usim(FIRST.k, FIRST.opc, jump=100)
    assert usim.authenticate(FIRST.rand, autn_of(FIRST, (50 << 5).to_bytes(6, "big"))) == (FIRST.f2, FIRST.f3, FIRST.f4)
    for seq in (50, 49, 151):
        with pytest.raises(SynchronisationFailure):
            usim.authenticate(FIRST.rand, autn_of(FIRST, (seq << 5).to_bytes(6, "big")))
    usim.authenticate(FIRST.rand, autn_of(FIRST, (150 << 5).to_bytes(6, "big")))


def test_it_knows_a_network_without_the_key() -> None:
    with pytest.raises(MacFailure):
        Usim(bytes(16), FIRST.opc).authenticate(FIRST.rand, autn_of(FIRST, FIRST.sqn))
