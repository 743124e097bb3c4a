"""Calculations that the expert can really do; everything else it leaves open."""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

MAX_FIGURES = 12
MAX_EXPRESSION_CHARACTERS = 60
MAX_EXPONENT = 12

_NUMBER = r"-?\d(?:\d|,\d{3})*(?:\.\d+)?"
_FIGURE = re.compile(rf"(?<![\w.]){_NUMBER}")
_EXPRESSION = re.compile(r"(?<![\w.])[(\d][\d\s.,+\-*/x×^()]*[-+*/x×^][\d\s.,+\-*/x×^()]*[\d)](?![\w.]*\d)")
_PERCENT = re.compile(rf"({_NUMBER})\s*(?:%|percent|per cent)\s+of\s+({_NUMBER})", re.IGNORECASE)
_FAHRENHEIT = re.compile(rf"({_NUMBER})\s*(?:°\s*F\b|F\b|degrees? Fahrenheit)", re.IGNORECASE)
_CELSIUS = re.compile(rf"({_NUMBER})\s*(?:°\s*C\b|C\b|degrees? Celsius)", re.IGNORECASE)
_LENGTH = re.compile(
    rf"({_NUMBER})\s*(ft|feet|foot|miles?|kg|kilograms?)\b.*?\b(in|inches|km|kilomet\w+|g|grams?)\b", re.I
)
_FACTORS = {"f": ("inches", 12.0), "m": ("km", 1.609344), "k": ("g", 1000.0)}
_RATIO = re.compile(rf"({_NUMBER}).*?ratio (?:of )?((?:\d+\s*:\s*)+\d+)", re.IGNORECASE)
_LIST = re.compile(rf"{_NUMBER}(?:(?:,\s*|\s+and\s+|;\s*|\n){_NUMBER}){{2,}}")
_EQUATION = re.compile(r"(?<![A-Za-z])([\d\sxX+\-*().]*[xX][\d\sxX+\-*().]*)=\s*([\d\sxX+\-*().]*[\dxX)])")
_UNKNOWN = re.compile(r"\d[xyzXYZ]\b|\b[xyzXYZ]\s*=")
_RANGE_OR_DATE = re.compile(r"\d+[-/]\d+|\d+/\d+/\d+|[\d-]+")
_OPERATORS: dict[type[ast.AST], Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


@dataclass(frozen=True)
class Calculation:
    """A result with the working that leads to it, one line a step."""

    steps: tuple[str, ...]
    result: str


def figures(text: str) -> list[float]:
    """The numbers in `text`, at most `MAX_FIGURES`."""
    return [float(found.replace(",", "")) for found in _FIGURE.findall(text)[:MAX_FIGURES]]


def calculate(text: str, material: str) -> Calculation | None:
    """The calculation that a text asks for; None when no rule covers it. Never a guess."""
    asked = f"{text}\n{material}"
    lowered = text.lower()
    for solve in (_temperature, _measure, _ratio, _percentage, _equation, _expression):
        if (found := solve(asked)) is not None:
            return found
    return _statistic(lowered, material or text)


def _temperature(text: str) -> Calculation | None:
    to_celsius = _FAHRENHEIT.search(text)
    if to_celsius and re.search(r"celsius", text, re.IGNORECASE):
        value = _plain(to_celsius.group(1))
        return Calculation(
            (f"Subtract 32 from {value:g}.", "Multiply the rest by 5/9."), f"{(value - 32) * 5 / 9:.4g} C"
        )
    to_fahrenheit = _CELSIUS.search(text)
    if to_fahrenheit and re.search(r"fahrenheit", text, re.IGNORECASE):
        value = _plain(to_fahrenheit.group(1))
        return Calculation((f"Multiply {value:g} by 9/5.", "Add 32."), f"{value * 9 / 5 + 32:.4g} F")
    return None


def _measure(text: str) -> Calculation | None:
    if not re.search(r"\bconvert|=\s*_", text, re.IGNORECASE) or not (match := _LENGTH.search(text)):
        return None
    target, factor = _FACTORS[match.group(2)[0].lower()]
    if match.group(3)[0].lower() != target[0]:
        return None
    value = _plain(match.group(1))
    return Calculation((f"Multiply {value:g} by {factor:g}.",), f"{value * factor:.6g} {target}")


def _ratio(text: str) -> Calculation | None:
    match = _RATIO.search(text)
    if match is None:
        return None
    total, parts = Fraction(match.group(1).replace(",", "")), [int(part) for part in match.group(2).split(":")]
    if not sum(parts):
        return None
    shares = [_show(total * part / sum(parts)) for part in parts]
    steps = (f"Add the parts: {sum(parts)}.", f"One part is {_show(total / sum(parts))}.")
    return Calculation(steps, ", ".join(shares))


def _percentage(text: str) -> Calculation | None:
    match = _PERCENT.search(text)
    if match is None:
        return None
    share, whole = Fraction(match.group(1).replace(",", "")), Fraction(match.group(2).replace(",", ""))
    return Calculation((f"Divide {_show(whole)} by 100.", f"Multiply by {_show(share)}."), _show(whole * share / 100))


def _equation(text: str) -> Calculation | None:
    """A linear equation in x, from the values of left minus right at x = 0 and x = 1."""
    match = _EQUATION.search(text)
    if match is None:
        return None
    sides = [re.sub(r"(?<=[\dxX)])\s*(?=[xX(])", "*", side.strip()) for side in match.groups()]
    difference: list[Fraction] = []
    for value in ("0", "1", "2"):
        values = [_evaluate(re.sub("[xX]", f"({value})", side)) for side in sides]
        if values[0] is None or values[1] is None:
            return None
        difference.append(values[0] - values[1])
    slope = difference[1] - difference[0]
    if not slope or difference[2] - difference[1] != slope:
        return None
    constant = -difference[0]
    steps = (f"Bring x to one side: {_show(slope)} x = {_show(constant)}.", f"Divide by {_show(slope)}.")
    return Calculation(steps, f"x = {_show(constant / slope)}")


def _expression(text: str) -> Calculation | None:
    if _UNKNOWN.search(text):
        return None
    for match in _EXPRESSION.finditer(text):
        expression = match.group().strip()
        if _RANGE_OR_DATE.fullmatch(expression):
            continue
        value = _evaluate(re.sub("[x×]", "*", expression.replace("^", "**").replace(",", "")))
        if value is not None:
            return Calculation((f"Evaluate {expression} with multiplication before addition.",), _show(value))
    return None


def _statistic(lowered: str, source: str) -> Calculation | None:
    found_list = _LIST.search(source)
    if found_list is None:
        return None
    numbers = figures(found_list.group())
    listed = ", ".join(f"{number:g}" for number in numbers)
    found: list[str] = []
    if "median" in lowered:
        ordered = sorted(numbers)
        middle = len(ordered) // 2
        median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
        found.append(f"median {median:g}")
    if re.search(r"\b(mean|average)\b", lowered):
        found.append(f"mean {math.fsum(numbers) / len(numbers):.6g}")
    if re.search(r"\b(largest|biggest|highest|maximum)\b", lowered):
        found.append(f"largest {max(numbers):g}")
    if re.search(r"\b(smallest|lowest|minimum)\b", lowered):
        found.append(f"smallest {min(numbers):g}")
    if re.search(r"\b(sum|total) of\b", lowered):
        found.append(f"sum {math.fsum(numbers):g}")
    return Calculation((f"The numbers are {listed}.",), ", ".join(found)) if found else None


def _evaluate(expression: str) -> Fraction | None:
    """The value of an arithmetic expression; None where it is none, too long or divides by zero."""
    if len(expression) > MAX_EXPRESSION_CHARACTERS:
        return None
    try:
        return _value(ast.parse(expression.strip(), mode="eval").body)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        return None


def _value(node: ast.AST) -> Fraction:
    match node:
        case ast.Constant(value=int() | float() as value):
            return Fraction(str(value))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            exponent = _value(right)
            if exponent.denominator != 1 or abs(exponent) > MAX_EXPONENT:
                raise ValueError(f"exponent {exponent} is not a small whole number")
            return _value(left) ** int(exponent)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
        case _:
            raise ValueError(f"not arithmetic: {ast.dump(node)}")


def _plain(number: str) -> float:
    return float(number.replace(",", ""))


def _show(value: Fraction) -> str:
    return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"
