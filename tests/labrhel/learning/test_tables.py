"""What a table is asked for, and what it is."""

from dataclasses import fields

from labrhel.learning.tables import Asked, Table


def test_what_is_not_asked_for_is_left_to_the_table_and_made_series_are_not_shrunk() -> None:
    asked = Asked()
    assert asked.shrink == 1
    assert not any(getattr(asked, item.name) for item in fields(asked) if item.name != "shrink")


def test_two_tables_are_the_same_only_if_they_are_one_whatever_is_in_them() -> None:
    def draw(figure: object) -> None:
        """Draw nothing."""

    table = Table(("a",), ((1.0,),), draw)
    assert table.words == ()
    assert table != Table(("a",), ((1.0,),), draw)
    assert len({table, Table(("a",), ((1.0,),), draw)}) == 2
