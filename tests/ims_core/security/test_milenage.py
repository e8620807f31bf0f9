"""Milenage against every published test set (TS 35.206, TS 35.207, TS 35.208)."""

import pytest

from ims_core.security.milenage import Milenage, opc_of
from tests.kit.milenage_sets import MILENAGE_SETS, MilenageSet

by_name = pytest.mark.parametrize("figures", MILENAGE_SETS, ids=[figures.name for figures in MILENAGE_SETS])


@pytest.mark.rfc("TS35.208-4.3")
@by_name
def test_opc_is_made_of_the_operators_constant(figures: MilenageSet) -> None:
    assert opc_of(figures.k, figures.op) == figures.opc


@pytest.mark.rfc("TS35.208-4.3")
@by_name
def test_the_functions_yield_the_published_figures(figures: MilenageSet) -> None:
    milenage = Milenage(figures.k, figures.opc)

    assert milenage.f1(figures.rand, figures.sqn, figures.amf) == figures.f1
    assert milenage.f1_star(figures.rand, figures.sqn, figures.amf) == figures.f1_star
    assert milenage.f2345(figures.rand) == (figures.f2, figures.f3, figures.f4, figures.f5)
    assert milenage.f5_star(figures.rand) == figures.f5_star


def test_all_published_sets_are_here() -> None:
    assert len({figures.k for figures in MILENAGE_SETS}) == 20


@pytest.mark.parametrize(("k", "opc"), [(b"", bytes(16)), (bytes(16), bytes(15)), (bytes(32), bytes(16))])
def test_keys_of_another_length_are_refused(k: bytes, opc: bytes) -> None:
    with pytest.raises(ValueError, match="expected K and OPc of 16 bytes"):
        Milenage(k, opc)
