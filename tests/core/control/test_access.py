"""Roles, tokens and the bucket that bounds how often one may ask."""

from hypothesis import given
from hypothesis import strategies as st

from driftsonde.core.control.access import Allowance, Bucket, Person, Role, Token, hash_token, recognise, take

ANN = Person("ann", Role.OPERATOR)


def test_roles_grow() -> None:
    assert [[role.permits(needed) for needed in Role] for role in Role] == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
    ]


def test_old_and_new_token_are_both_valid_during_a_rotation() -> None:
    tokens = (Token(ANN, hash_token("old")), Token(ANN, hash_token("new")))
    assert recognise(tokens, "old") == recognise(tokens, "new") == ANN
    assert recognise(tokens[1:], "old") is None
    assert recognise((), "") is None


@given(st.lists(st.floats(0, 0.2), max_size=400), st.sampled_from([0.2, 1.0, 20.0]))
def test_never_more_than_the_allowance(gaps_s: list[float], per_s: float) -> None:
    allowance, bucket, now_s, granted = Allowance(per_s), None, 0.0, 0
    for gap_s in gaps_s:
        now_s += gap_s
        bucket, wait_s = take(bucket, now_s, allowance)
        granted += not wait_s
        assert granted <= allowance.burst + per_s * now_s + 1e-6
        if wait_s:
            # Whoever waits as long as told is let in.
            assert take(bucket, now_s + wait_s + 1e-6, allowance)[1] == 0.0


def test_a_rest_does_not_save_up_more_than_the_burst() -> None:
    assert take(Bucket(0.0, 0.0), 1e9, Allowance(2.0))[0].left == Allowance(2.0).burst - 1
