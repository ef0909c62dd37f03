"""Variants: a model -> the ways in which a device, or its paper, may differ from the file. Pure.

Word order, addresses counted from 1 instead of 0, the other table, and the model's own options.
Off by one address, values often stay plausible, so all of it is tried on the same bytes.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from gateways.library.file import read_model
from gateways.library.model import LAST_ADDRESS, MeterModel, Part, Register, Table, WordOrder
from gateways.library.options import read_options

_MOST_CHOICES = 16  # combinations of options; beyond that one option is tried at a time
_OFFSETS = (0, 1, -1)


class Variant(Struct, frozen=True, kw_only=True):
    """A model as it may have to be read.

    Attributes:
        model: ready to be planned and decoded.
        options: the choices to write into the fleet; empty where the defaults hold.
        chinese: what differs from the file, as an installer says it.
        english: the same for scripts; empty if nothing does.
        steps: in how many things it differs.
        is_bent: it differs in more than its options.
    """

    model: MeterModel
    options: dict[str, str] = {}
    chinese: str = ""
    english: str = ""
    steps: int = 0
    is_bent: bool = False


def variants(
    model_id: str, content: Mapping[str, Any], fixed: Mapping[str, str] | None = None
) -> tuple[Variant, ...]:
    """The model as it is, with its options, and bent; what reads the same comes once.

    Args:
        model_id: the file's name without its suffix.
        content: the parsed file.
        fixed: options that somebody has chosen; they are not varied.

    Returns:
        The file as it is first, then by number of differences.
    """
    chosen = list(_chosen(model_id, content, fixed or {}))
    bendable = chosen if len(chosen) <= _MOST_CHOICES else chosen[:1]
    every = [*chosen, *(bent for variant in bendable for bent in _bent(variant))]
    every.sort(key=lambda variant: variant.steps)
    unlike: dict[object, Variant] = {}
    for variant in every:
        unlike.setdefault(_reads(variant.model), variant)
    return tuple(unlike.values())


def _reads(model: MeterModel) -> object:
    """What decides how bytes become values, before any ratio."""
    return tuple((r.quantity, r.table, r.parts, r.scale, r.exponent) for r in model.registers)


def _chosen(
    model_id: str, content: Mapping[str, Any], fixed: Mapping[str, str]
) -> Iterator[Variant]:
    for choices in _choices(model_id, content, fixed):
        named = ", ".join(f"{key}={choice}" for key, choice in choices.items())
        yield Variant(
            model=read_model(model_id, content, {**fixed, **choices}),
            options={**fixed, **choices},
            chinese=f"选项 {named}" if named else "",
            english=f"options {named}" if named else "",
            steps=len(choices),
        )


def _choices(
    model_id: str, content: Mapping[str, Any], fixed: Mapping[str, str]
) -> Iterable[dict[str, str]]:
    """What differs from the defaults, combination by combination; nothing comes first."""
    open_ones = {
        key: option for key, option in read_options(model_id, content).items() if key not in fixed
    }
    others = {
        key: [choice for choice in option.choices if choice != option.default]
        for key, option in open_ones.items()
    }
    number = 1
    for each in others.values():
        number *= 1 + len(each)
    if number > _MOST_CHOICES:
        single = [{key: choice} for key, each in others.items() for choice in each]
        return [{}, *single]
    combinations = product(*([None, *each] for each in others.values()))
    return [
        {key: choice for key, choice in zip(others, combination, strict=True) if choice}
        for combination in combinations
    ]


def _bent(variant: Variant) -> Iterator[Variant]:
    for swapped, offset, other_table in product((False, True), _OFFSETS, (False, True)):
        registers = _moved(variant.model.registers, offset)
        if registers is None or not (swapped or offset or other_table):
            continue
        if swapped:
            registers = tuple(map(_swapped, registers))
        if other_table:
            registers = tuple(map(_in_other_table, registers))
        chinese, english = _named(registers, offset, (swapped, other_table))
        yield Variant(
            model=replace(variant.model, registers=registers),
            options=variant.options,
            chinese="，".join(filter(None, (variant.chinese, *chinese))),
            english=", ".join(filter(None, (variant.english, *english))),
            steps=variant.steps + swapped + bool(offset) + other_table,
            is_bent=True,
        )


def _named(
    registers: tuple[Register, ...], offset: int, bends: tuple[bool, bool]
) -> tuple[list[str], list[str]]:
    swapped, other_table = bends
    chinese, english = [], []
    if swapped:
        orders = {part.word_order.value for r in registers for part in r.parts if _is_wide(part)}
        order = "/".join(sorted(orders))
        chinese.append(f"字序 {order}")
        english.append(f"word order {order}")
    if offset:
        chinese.append(f"地址 {offset:+d}")
        english.append(f"address {offset:+d}")
    if other_table:
        tables = "/".join(sorted({r.table.value for r in registers}))
        functions = "/".join(sorted({"3" if r.table is Table.HOLDING else "4" for r in registers}))
        chinese.append(f"{tables} 表（功能码 {functions}）")
        english.append(f"{tables} table")
    return chinese, english


def _is_wide(part: Part) -> bool:
    return part.format.registers > 1


def _swapped(register: Register) -> Register:
    return replace(register, parts=tuple(map(_swapped_part, register.parts)))


def _swapped_part(part: Part) -> Part:
    if not _is_wide(part):
        return part
    low = part.word_order is WordOrder.LOW_FIRST
    return replace(part, word_order=WordOrder.HIGH_FIRST if low else WordOrder.LOW_FIRST)


def _in_other_table(register: Register) -> Register:
    other = Table.INPUT if register.table is Table.HOLDING else Table.HOLDING
    return replace(register, table=other)


def _moved(registers: tuple[Register, ...], offset: int) -> tuple[Register, ...] | None:
    """All addresses moved; none if one would leave the map."""
    fields = [field for register in registers for field in register.fields]
    lowest = min(field.address for field in fields) + offset
    if lowest < 0 or max(field.end for field in fields) + offset > LAST_ADDRESS + 1:
        return None
    return tuple(
        replace(
            register,
            parts=tuple(replace(part, address=part.address + offset) for part in register.parts),
            exponent=None
            if register.exponent is None
            else replace(register.exponent, address=register.exponent.address + offset),
        )
        for register in registers
    )
