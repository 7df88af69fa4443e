"""What LLVM can do and Numba has no word for: many bytes compared at once, products in 128 bits, lowest bits.

Nothing is checked: whoever calls these reads within the array. Numba keeps machine code by the file of the function
that is called: after a change in here delete the `*.nbi` and `*.nbc` files of the kernels that use it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., object])

BLOCK = 64
"""How many bytes `look` looks at: one for each bit of a mask."""
LANES = 16
"""How many bytes `folded` reads."""


def inlined(function: F) -> F:
    """Compiles a function into each kernel that calls it: a call would cost more than what small ones do."""
    return cast("F", numba.njit(nogil=True, error_model="numpy", forceinline=True)(function))


def _pointer(context: Any, builder: Any, array: tuple[Any, Any], at: Any) -> Any:
    """The address of an array's item."""
    kind, value = array
    return builder.gep(context.make_array(kind)(context, builder, value).data, [at])


def _load(builder: Any, pointer: Any, lanes: int) -> Any:
    """A vector of bytes from an address that need not be aligned."""
    vector = ir.VectorType(ir.IntType(8), lanes)
    return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=1)


def _bytes(lanes: int, *values: int) -> Any:
    """A constant vector of bytes: one value in all lanes, or one value for each."""
    every = list(values) * (lanes // len(values))
    return ir.Constant(ir.VectorType(ir.IntType(8), lanes), every)


def _between(builder: Any, vector: Any, first: int, last: int) -> Any:
    """Which bytes are from `first` to `last`: one comparison, because what is below wraps around."""
    lanes = vector.type.count
    return builder.icmp_unsigned("<=", builder.sub(vector, _bytes(lanes, first)), _bytes(lanes, last - first))


@cast("Callable[..., Any]", intrinsic)
def eight(_context: Any, data: Any, _at: Any) -> Any:
    """The eight bytes at `at` as one u64, the first lowest where the processor puts it there."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, (signature.args[0], args[0]), args[1])
        return builder.load(builder.bitcast(pointer, ir.IntType(64).as_pointer()), align=1)

    return types.uint64(data, types.int64), generate


@cast("Callable[..., Any]", intrinsic)
def look(_context: Any, data: Any, _at: Any) -> Any:
    """Two masks of the 64 bytes at `at`: bytes of words (ASCII's, and all beyond ASCII); first bytes to look up.

    Two-byte characters are letters unless they start with 0xC2, so that Latin, Greek, Cyrillic, Hebrew and
    Arabic text has nothing to look up.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = _load(builder, _pointer(context, builder, (signature.args[0], args[0]), args[1]), BLOCK)
        small = builder.or_(vector, _bytes(BLOCK, 0x20))
        word = _between(builder, vector, 0x80, 0xFF)
        for among in (
            _between(builder, small, ord("a"), ord("z")),
            _between(builder, vector, ord("0"), ord("9")),
            _between(builder, vector, ord("_"), ord("_")),
        ):
            word = builder.or_(word, among)
        first = builder.or_(_between(builder, vector, 0xE0, 0xFF), _between(builder, vector, 0xC2, 0xC2))
        masks = [builder.bitcast(bits, ir.IntType(64)) for bits in (word, first)]
        return context.make_tuple(builder, signature.return_type, masks)

    return _pair(data, types.int64), generate


@cast("Callable[..., Any]", intrinsic)
def folded(_context: Any, data: Any, _at: Any, _skip: Any, _length: Any) -> Any:
    """The 16 bytes at `at` in lower case as two numbers; bytes other than `length` ones after `skip` are 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector = _load(builder, _pointer(context, builder, (signature.args[0], args[0]), args[1]), LANES)
        capital = builder.sext(_between(builder, vector, ord("A"), ord("Z")), vector.type)
        folded = builder.or_(vector, builder.and_(capital, _bytes(LANES, 0x20)))
        skip, length = (_splat(builder, builder.trunc(value, ir.IntType(8))) for value in args[2:])
        lane = builder.sub(_bytes(LANES, *range(LANES)), skip)
        kept = builder.sext(builder.icmp_unsigned("<", lane, length), vector.type)
        numbers = builder.bitcast(builder.and_(folded, kept), ir.VectorType(ir.IntType(64), 2))
        pair = [builder.extract_element(numbers, cgutils.int32_t(half)) for half in (0, 1)]
        return context.make_tuple(builder, signature.return_type, pair)

    return _pair(data, types.int64, types.int64, types.int64), generate


_pair = cast("Any", types.UniTuple)(types.uint64, 2)


def _splat(builder: Any, value: Any) -> Any:
    """One byte in all lanes."""
    vector = ir.VectorType(ir.IntType(8), LANES)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, cgutils.int32_t(0))
    return builder.shuffle_vector(
        one, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    )


@cast("Callable[..., Any]", intrinsic)
def mix(_context: Any, _a: Any, _b: Any) -> Any:
    """The product of two 64-bit numbers in 128 bits, its halves combined by exclusive or."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(value, wide) for value in args))
        high = builder.lshr(product, ir.Constant(wide, 64))
        return builder.trunc(builder.xor(product, high), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


@cast("Callable[..., Any]", intrinsic)
def four(_context: Any, data: Any, _at: Any) -> Any:
    """The 4 bytes at `at` as one number, the first one lowest."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, (signature.args[0], args[0]), args[1])
        number = builder.load(builder.bitcast(pointer, ir.IntType(32).as_pointer()), align=1)
        return builder.zext(number, ir.IntType(64))

    return types.int64(data, types.int64), generate


@cast("Callable[..., Any]", intrinsic)
def lowest(_context: Any, _mask: Any) -> Any:
    """The position of the lowest bit that is set; 64 for none."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.uint64), generate
