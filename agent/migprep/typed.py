"""What of `typing` the program needs when it runs, at a tenth of the cost: a check is mostly start.

To type checkers these are the names of `typing`, which is not imported here: that takes as long as reading all rules,
and each of its named tuples three times as long as one of `collections`.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any as Any
    from typing import BinaryIO as BinaryIO
    from typing import Callable as Callable
    from typing import Generic as Generic
    from typing import NamedTuple as NamedTuple
    from typing import Protocol as Protocol
    from typing import TypeVar as TypeVar
    from typing import overload as overload
else:
    from collections import namedtuple

    class _Named(type):
        """Makes of a class with annotated members a named tuple with its methods."""

        def __new__(cls, name, bases, members):
            if not bases:
                return type.__new__(cls, name, bases, members)
            fields = members.pop("__annotations__", {})
            defaults = [members.pop(field) for field in fields if field in members]
            made = namedtuple(name, fields, defaults=defaults, module=members.pop("__module__"))
            made.__annotations__ = fields
            for key, value in members.items():
                setattr(made, key, value)
            return made

    class NamedTuple(metaclass=_Named):
        """A tuple whose members have names."""

    class Generic:
        """A class that only type checkers see parameters of."""

        def __class_getitem__(cls, parameters):
            return cls

    Any = BinaryIO = Callable = Protocol = Generic

    def TypeVar(name):  # noqa: N802
        return name

    def overload(function):
        return function
