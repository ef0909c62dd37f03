"""Fit: a way to read a model, and what it makes of one unit -> rank, contrast, doubt. Pure."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from gateways.commission.plausible import Plausibility, judge
from gateways.commission.variants import Variant
from gateways.commission.words import spoken
from gateways.library.model import IdentityName, MeterModel, Register, Table
from gateways.reading.decode import Decoder
from gateways.reading.plan import Block
from gateways.reading.wiring import Wiring
from metering.words import chinese

STEP_COSTS = 0.02  # of the score, for each thing in which a variant differs from the file
_SURE = 0.3  # a score below which too little speaks for a fit
_ALIKE = 0.03  # scores no further apart decide nothing
_CONVINCING = 0.5  # a score from which a variant is worth naming
# What tells most about a reading, in this order; voltages and frequency are known beforehand.
_TELLING = (
    "voltage_l1_v",
    "frequency_hz",
    "voltage_l12_v",
    "supply_temperature_c",
    "temperature_c",
    "return_temperature_c",
    "dc_voltage_v",
    "power_factor",
    "pressure_kpa",
)


class Fit(Struct, frozen=True, kw_only=True):
    """How one variant of a model reads one unit.

    Attributes:
        values: by quantity, before any transformer's ratio.
        share: of the model's quantities, those that were answered; scales the score.
        said: what the device says about itself.
        contrast: what the file as it is would read instead, if the variant is another.
    """

    variant: Variant
    values: dict[str, float]
    plausibility: Plausibility
    share: float
    said: dict[IdentityName, str] = {}
    contrast: str = ""

    @property
    def score(self) -> float:
        return self.plausibility.score * self.share

    @property
    def is_as_filed(self) -> bool:
        """The file and its options can say it; nothing has to be rewritten."""
        return not self.variant.is_bent

    @property
    def is_sure(self) -> bool:
        """Enough speaks for it; a pump at rest or two registers of a counter are not enough."""
        return self.score >= _SURE

    @property
    def rank(self) -> tuple[float, int]:
        """Sorts the better one first; of equals the simpler one."""
        return STEP_COSTS * self.variant.steps - self.score, self.variant.steps


def touchstone(model: MeterModel) -> Register:
    """The register of a model that tells most about whether it is read rightly."""
    by_quantity = {register.quantity: register for register in model.registers}
    return next((by_quantity[q] for q in _TELLING if q in by_quantity), model.registers[0])


def contrast(values: Mapping[str, float], plausibility: Plausibility, better: Fit) -> str:
    """What is misread and how it reads well: `A相电压 0.0 V；改用 字序 low_first 得 230.4 V`."""
    quantity = _doubted(values, plausibility, better)
    if quantity is None:
        return ""
    return (
        f"{chinese(quantity)} {spoken(quantity, values[quantity])}；"
        f"改用 {better.variant.chinese} 得 {spoken(quantity, better.values[quantity])}"
    )


def rival(words: Mapping[tuple[Table, int], int], others: Iterable[Variant]) -> Fit | None:
    """The variant that makes most of words that are known already; none if all make little.

    Args:
        words: by table and address.
        others: what to try.
    """
    fits_ = []
    for variant in others:
        values = _from_words(words, variant.model)
        share = len(values) / len(variant.model.registers)
        fits_.append(Fit(variant=variant, values=values, plausibility=judge(values), share=share))
    best = min(fits_, key=lambda fit: fit.rank, default=None)
    return best if best and best.score >= _CONVINCING else None


def _made_of(words: Mapping[tuple[Table, int], int], variant: Variant) -> Fit:
    values = _from_words(words, variant.model)
    share = len(values) / len(variant.model.registers)
    return Fit(variant=variant, values=values, plausibility=judge(values), share=share)


def _from_words(words: Mapping[tuple[Table, int], int], model: MeterModel) -> dict[str, float]:
    values: dict[str, float] = {}
    for register in model.registers:
        first = min(field.address for field in register.fields)
        behind = max(field.end for field in register.fields)
        block = Block(register.table, first, behind - first)
        known = [words.get((register.table, place)) for place in range(first, behind)]
        found = [word for word in known if word is not None]
        if len(found) == block.count:
            decoder = Decoder((register,), (block,), Wiring())
            values |= decoder.decode([(block, found)]).values
    return values


def ambiguity(found: Sequence[Fit]) -> str:
    """What only somebody at the meter can decide: another fit that is as good as the best one.

    Args:
        found: the fits of one unit, the best first.
    """
    for other in found[1:]:
        if found[0].score - other.score > _ALIKE:
            continue
        if other.variant.model.id != found[0].variant.model.id:
            one, two = found[0].variant.model, other.variant.model
            return f"{one.id} 和 {two.id} 读来一样可信，请看铭牌：{one.name} 还是 {two.name}"
        if question := _unlike(found[0], other):
            return question
    return ""


def _unlike(best: Fit, other: Fit) -> str:
    """The value in which two variants of a model differ most."""
    unlike = [q for q, value in best.values.items() if other.values.get(q, value) != value]
    if not unlike:
        return ""
    quantity = max(unlike, key=lambda q: _apart(best.values[q], other.values[q]))
    return (
        f"“{_name(best)}”和“{_name(other)}”读来一样可信，请与表面核对{chinese(quantity)}："
        f"{spoken(quantity, best.values[quantity])} 还是 {spoken(quantity, other.values[quantity])}"
    )


def _name(fit: Fit) -> str:
    return fit.variant.chinese or "按型号文件"


def _apart(one: float, other: float) -> float:
    return abs(one - other) / max(abs(one), abs(other))


def _doubted(values: Mapping[str, float], plausibility: Plausibility, better: Fit) -> str | None:
    """The most telling quantity that is misread and that the variant reads well."""
    wrong = {quantity for reason in plausibility.doubts for quantity in reason.quantities}
    right = {q for reason in better.plausibility.reasons if reason.good for q in reason.quantities}
    both = [q for q in better.values if q in wrong & right and q in values]
    both.sort(key=lambda q: _TELLING.index(q) if q in _TELLING else len(_TELLING))
    return both[0] if both else None
