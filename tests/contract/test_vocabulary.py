"""Package and docs use the words of docs/glossary.md; what is left of others gets less."""

from __future__ import annotations

import pytest
from vocabulary import WORDS, allowed, found


@pytest.mark.parametrize("word", WORDS)
def test_a_word_that_is_not_used_is_not_used_more(word: str) -> None:
    """No file has it more often than ``tests/vocabulary.txt`` allows."""
    may = allowed()
    more = {
        path: number
        for (path, one), number in found().items()
        if one == word and number > may.get((path, one), 0)
    }

    assert more == {}


def test_the_allowance_is_no_larger_than_what_is_left() -> None:
    """``python tests/support/vocabulary.py --write`` after words have gone."""
    now = found()

    assert {key for key, number in allowed().items() if number > now.get(key, 0)} == set()
