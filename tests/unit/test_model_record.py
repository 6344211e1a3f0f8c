"""Records: classes made from their annotations, as `dataclasses` makes them."""

from __future__ import annotations

import pytest

from kugetsu.model.record import FEW, field, fields, record, replace, value, values


@record
class Line:
    """A line with its own end."""

    text: str
    length: int = 0
    marks: list[int] = field(factory=list)

    def __post_init__(self) -> None:
        self.length = self.length or len(self.text)


@value
class Spot:
    """A spot that stays."""

    x: int
    y: int = 0


@value
class Named(Spot):
    """A spot with a name."""

    name: str = "here"


def test_a_record_takes_its_fields_by_place_and_by_name() -> None:
    line = Line("abc", marks=[1])
    assert values(line) == {"text": "abc", "length": 3, "marks": [1]}
    assert fields(Line) == ("text", "length", "marks")
    assert repr(line) == "Line(text='abc', length=3, marks=[1])"


def test_a_fresh_default_is_not_shared() -> None:
    first, second = Line("a"), Line("b")
    first.marks.append(1)
    assert second.marks == []


def test_what_is_no_field_is_refused() -> None:
    with pytest.raises(TypeError):
        Line("a", colour=3)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Line()  # type: ignore[call-arg]
    with pytest.raises(AttributeError):
        Line("a").colour = 3  # type: ignore[attr-defined]


def test_a_record_equals_itself_alone_and_a_value_its_like() -> None:
    assert Line("a") != Line("a")
    assert Spot(1) == Spot(1, 0) and hash(Spot(1)) == hash(Spot(1, 0))
    assert Spot(1) != Spot(2) and Spot(1) != Named(1)


def test_a_value_does_not_change() -> None:
    spot = Spot(1)
    with pytest.raises(AttributeError, match="Spot does not change: x"):
        spot.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del spot.x
    assert replace(spot, y=5) == Spot(1, 5) and spot == Spot(1)


def test_a_class_inherits_fields_and_their_defaults() -> None:
    assert fields(Named) == ("x", "y", "name")
    assert values(Named(4)) == {"x": 4, "y": 0, "name": "here"}


def test_the_many_are_made_as_the_few() -> None:
    @record
    class Mark:
        at: int
        names: list[str] = field(factory=list)

        def __post_init__(self) -> None:
            self.names.append(str(self.at))

    made = [Mark(number) for number in range(FEW + 2)]
    assert [values(mark) for mark in made] == [{"at": number, "names": [str(number)]} for number in range(FEW + 2)]


@pytest.mark.parametrize("times", [0, FEW])
def test_arguments_that_do_not_fit_are_refused(times: int) -> None:
    @value
    class Mark:
        at: int
        name: str = ""

    for _ in range(times):
        Mark(1)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'at'"):
        Mark()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="multiple values for argument 'at'"):
        Mark(1, at=1)  # type: ignore[misc]
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        Mark(1, colour=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="takes from 2 to 3 positional arguments but 4 were given"):
        Mark(1, "", 2)  # type: ignore[call-arg]
