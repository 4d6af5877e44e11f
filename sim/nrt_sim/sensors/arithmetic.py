"""Logarithm, exponential, cosine and random numbers that are the same, bit for bit, on every machine.

A C library's `logf` differs from the next in the last place, and numpy picks another algorithm on another processor.
Here everything is made of IEEE additions, multiplications, divisions and square roots in a fixed order, which leave
no choice. Random numbers are counter-based: a hash of (key, counter), so a draw depends on nothing but its number.
(splitmix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from nrt.jit import inline

_I32, _F32 = ir.IntType(32), ir.FloatType()
_HALF_ROOT: Final = 0x3F3504F3
"""The bits of the float32 sqrt(1/2): mantissas are taken from there to sqrt(2)."""


def constant(like: Any, value: float) -> Any:
    """The float32 `value` as IR, in as many lanes as `like` has."""
    rounded = float(np.float32(value))
    if isinstance(like.type, ir.VectorType):
        return ir.Constant(ir.VectorType(_F32, like.type.count), [rounded] * like.type.count)
    return ir.Constant(_F32, rounded)


def _integer(like: Any, value: int) -> Any:
    if isinstance(like.type, ir.VectorType):
        return ir.Constant(ir.VectorType(_I32, like.type.count), [value] * like.type.count)
    return ir.Constant(_I32, value)


def _as(like: Any, element: Any) -> Any:
    return ir.VectorType(element, like.type.count) if isinstance(like.type, ir.VectorType) else element


def fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """a·b + c, rounded once: IEEE's own operation, so it is the same with or without an instruction for it."""
    name = f"llvm.fma.v{a.type.count}f32" if isinstance(a.type, ir.VectorType) else "llvm.fma.f32"
    function = cgutils.get_or_insert_function(  # type: ignore[no-untyped-call]
        builder.module, ir.FunctionType(a.type, [a.type] * 3), name
    )
    return builder.call(function, [a, b, c])


def _polynomial(builder: Any, x: Any, coefficients: list[float]) -> Any:
    """Horner's rule; the highest power first."""
    result = constant(x, coefficients[0])
    for coefficient in coefficients[1:]:
        result = fma(builder, result, x, constant(x, coefficient))
    return result


def reciprocal_body(builder: Any, x: Any, steps: int) -> Any:
    """1/x for x > 0: Newton's r·(2 - x·r) from a guess by the bits, which is within 12 %; 2 steps: 2e-4, 3: 1e-7."""
    bits = builder.sub(_integer(x, 0x7EF311C7), builder.bitcast(x, _as(x, _I32)))
    r = builder.bitcast(bits, x.type)
    for _ in range(steps):
        r = fma(builder, r, fma(builder, builder.fneg(x), r, constant(x, 1)), r)
    return r


def ln_body(builder: Any, x: Any) -> Any:
    """x = 2^e·m, 0.7 < m < 1.41; ln m = 2·artanh((m-1)/(m+1)), a series in odd powers, exact to 3e-8 by s^7."""
    bits = builder.bitcast(x, _as(x, _I32))
    e = builder.ashr(builder.sub(bits, _integer(x, _HALF_ROOT)), _integer(x, 23))
    m = builder.bitcast(builder.sub(bits, builder.shl(e, _integer(x, 23))), x.type)
    r = reciprocal_body(builder, builder.fadd(m, constant(x, 1)), 3)
    s = builder.fmul(builder.fsub(m, constant(x, 1)), r)
    series = _polynomial(builder, builder.fmul(s, s), [2 / 7, 2 / 5, 2 / 3, 2])
    return fma(builder, s, series, builder.fmul(builder.sitofp(e, x.type), constant(x, np.log(2))))


def decay_body(builder: Any, a: Any) -> Any:
    """exp(-a) = 2^n·2^r with |r| <= 1/2, to 4e-5; beyond a = 60 it is zero for every purpose here."""
    limit = constant(a, 60)
    a = builder.select(builder.fcmp_ordered("<", a, limit), a, limit)
    y = builder.fmul(a, constant(a, -1 / np.log(2)))
    n = builder.fptosi(builder.fsub(y, constant(a, 0.5)), _as(a, _I32))
    r = builder.fmul(builder.fsub(y, builder.sitofp(n, a.type)), constant(a, np.log(2)))
    power = builder.shl(builder.add(n, _integer(a, 127)), _integer(a, 23))
    series = _polynomial(builder, r, [1 / 24, 1 / 6, 1 / 2, 1, 1])
    return builder.fmul(builder.bitcast(power, a.type), series)


def _emit(body: Callable[[Any, Any], Any]) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return body(builder, arguments[0])

    return types.float32(types.float32), generate


@intrinsic
def _ln32(typing: Any, x: Any) -> Any:
    return _emit(ln_body)


@intrinsic
def _decay32(typing: Any, a: Any) -> Any:
    return _emit(decay_body)


ln32: Callable[[np.float32], np.float32] = cast(Any, _ln32)
"""ln32(x): natural logarithm of a normal float32 x > 0, to 4e-7 of max(1, |ln x|)."""

decay32: Callable[[np.float32], np.float32] = cast(Any, _decay32)
"""decay32(a): exp(-a) of a float32 a >= 0, to 4e-5 of itself."""


@inline
def ln(x: float) -> float:
    """Natural logarithm of a normal float64 x > 0, to 1e-14."""
    bits = np.float64(x).view(np.int64)
    e = (bits - 0x3FE6A09E667F3BCD) >> 52
    m = np.int64(bits - (e << 52)).view(np.float64)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    series = 0.0
    for k in range(19, 0, -2):
        series = series * z + 2.0 / k
    return e * 0.6931471805599453 + s * series


@inline
def exp(x: float) -> float:
    """exp(x) for |x| < 700, to 1e-14."""
    n = np.int64(x * 1.4426950408889634 + (0.5 if x > 0 else -0.5))
    r = x - n * 0.6931471805599453
    series = 1.0
    for k in range(14, 0, -1):
        series = 1.0 + series * r / k
    return series * np.int64((n + 1023) << 52).view(np.float64)


@inline
def cosine(turns: float) -> float:
    """cos(2π·turns), to 1e-12."""
    f = turns - np.floor(turns)
    if f > 0.5:
        f = 1.0 - f
    sign = 1.0
    if f > 0.25:
        f, sign = 0.5 - f, -1.0
    z = (6.283185307179586 * f) * (6.283185307179586 * f)
    series = 1.0
    for k in range(18, 0, -2):
        series = 1.0 - series * z / (k * (k - 1))
    return sign * series


Word = int | np.uint64


@inline
def random_bits(key: Word, counter: Word) -> np.uint64:
    """Draw number `counter` (uint64) of the stream `key` (uint64): splitmix64's output function."""
    z = np.uint64(key) + (np.uint64(counter) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@inline
def uniform(key: Word, counter: Word) -> float:
    """A number strictly between 0 and 1."""
    return (np.float64(random_bits(key, counter) >> np.uint64(12)) + 0.5) * 2.220446049250313e-16


@inline
def normal(key: Word, counter: Word) -> float:
    """A standard normal number (Box and Muller 1958) from draws 2·counter and 2·counter + 1."""
    u = uniform(key, np.uint64(2) * np.uint64(counter))
    v = uniform(key, np.uint64(2) * np.uint64(counter) + np.uint64(1))
    return float(np.sqrt(-2.0 * ln(u)) * cosine(v))
