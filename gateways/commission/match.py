"""Match: one unit and the models of the library -> which of them read it plausibly, ranked.

Reads only. Each model first costs one short read, of the register that tells most; what the device
refuses, or what makes no sense there, is asked no further.
"""

from collections.abc import Callable, Iterator, Sequence

from msgspec.structs import replace

from gateways.commission.coherence import Earlier
from gateways.commission.fit import STEP_COSTS, Fit, contrast, touchstone
from gateways.commission.image import Image
from gateways.commission.plausible import judge
from gateways.commission.reason import Reason, bad, good
from gateways.commission.variants import Variant
from gateways.library.model import IdentityName, MeterModel, Register
from gateways.reading.decode import Decoder
from gateways.reading.identity import decode_identity
from gateways.reading.plan import Block, PlanImpossible, plan_blocks
from gateways.reading.wiring import Wiring

Step = Callable[[int], None]  # so many things more are done

_KEPT = 40  # variants of all models that are read in full
_SIDE_BY_SIDE = 2  # registers between touchstones that are read over
_IDENTITY_WEIGHT = 5.0


async def fits(
    image: Image, candidates: Sequence[Sequence[Variant]], *, all_of_them: bool, step: Step
) -> list[Fit]:
    """The fits of one unit, the best first.

    Args:
        image: the unit's.
        candidates: for each model its variants, the file as it is first.
        all_of_them: the models were named: none is dropped for its touchstone.
        step: told `steps_of(candidates)` in all.
    """
    hopeful: list[tuple[float, int, Variant]] = []
    for variants in candidates:
        hopeful += await _hopeful(image, variants, all_of_them=all_of_them)
        step(1)
    kept = _kept(hopeful, candidates, all_of_them=all_of_them)
    found = []
    for number, variant in enumerate(kept):
        found.append(await _fit(image, variant))
        step(int(number < _KEPT))
    step(max(0, _KEPT - len(kept)))
    found = [fit for fit in found if fit.values]
    found.sort(key=lambda fit: fit.rank)
    return [_contrasted(fit, found) for fit in found]


def steps_of(candidates: Sequence[Sequence[Variant]]) -> int:
    """How many steps `fits` takes for one unit."""
    return len(candidates) + _KEPT


def _kept(
    hopeful: list[tuple[float, int, Variant]],
    candidates: Sequence[Sequence[Variant]],
    *,
    all_of_them: bool,
) -> list[Variant]:
    """The most hopeful, and of each of their models the file as it is, to compare with."""
    best = sorted(hopeful, key=lambda each: (-each[0], each[1]))[:_KEPT]
    kept = [variant for *_, variant in best]
    models = {variant.model.id for variant in kept}
    plain = [variants[0] for variants in candidates]
    wanted = [v for v in plain if all_of_them or v.model.id in models]
    return kept + [variant for variant in wanted if variant not in kept]


async def again(image: Image, fit: Fit, elapsed_s: float) -> Fit:
    """The same fit with new values, which tell whether its counters rise.

    Args:
        image: a new one of the same unit.
        elapsed_s: since the first reading.
    """
    values, share = await _values(image, fit.variant.model)
    if not values:
        return fit
    more = _identity_reasons(fit.variant.model, fit.said)
    earlier = Earlier(values=fit.values, elapsed_s=elapsed_s)
    plausibility = judge(values, earlier, more=more)
    return replace(fit, values=values, plausibility=plausibility, share=share)


async def _hopeful(
    image: Image, variants: Sequence[Variant], *, all_of_them: bool
) -> list[tuple[float, int, Variant]]:
    """The variants whose touchstone was answered and makes sense."""
    await _look_around(image, variants)
    found = []
    for variant in variants:
        values = await _of_registers(image, variant.model, (touchstone(variant.model),), tries=1)
        if values is None:
            continue
        plausibility = judge(values)
        # A pump at rest shows nothing that could make sense or not: the file is believed.
        neutral = plausibility.is_plausible or (all_of_them and not variant.steps)
        if plausibility.score or (neutral and not variant.steps):
            score = plausibility.score - STEP_COSTS * variant.steps
            found.append((score, variant.steps, variant))
    return found


async def _look_around(image: Image, variants: Sequence[Variant]) -> None:
    """Read the touchstones of a model's variants together, where they lie side by side."""
    limits = variants[0].model.limits
    registers = [touchstone(variant.model) for variant in variants]
    for block in plan_blocks(registers, limits, _SIDE_BY_SIDE):
        await image.words(block, tries=1)


async def _fit(image: Image, variant: Variant) -> Fit:
    model = variant.model
    values, share = await _values(image, model)
    said = await _said(image, model) if values else {}
    plausibility = judge(values, more=_identity_reasons(model, said))
    return Fit(variant=variant, values=values, plausibility=plausibility, share=share, said=said)


async def _values(image: Image, model: MeterModel) -> tuple[dict[str, float], float]:
    values = await _of_registers(image, model, model.registers)
    return values or {}, len(values or {}) / len(model.registers)


async def _of_registers(
    image: Image, model: MeterModel, registers: Sequence[Register], tries: int = 2
) -> dict[str, float] | None:
    """The values of some registers of a model; none if nothing was answered."""
    try:
        blocks = plan_blocks(registers, model.limits, model.fill)
    except PlanImpossible:
        return None
    answers = []
    for block in blocks:
        words = await image.words(block, tries)
        if words is not None:
            answers.append((block, words))
    if not answers:
        return None
    return Decoder(registers, blocks, Wiring()).decode(answers).values


async def _said(image: Image, model: MeterModel) -> dict[IdentityName, str]:
    words = {}
    for field in model.identity:
        answer = await image.words(Block(field.table, field.address, field.registers))
        if answer is not None:
            words[field.name] = answer
    return decode_identity(model.identity, words)


def _contrasted(fit: Fit, all_fits: Sequence[Fit]) -> Fit:
    """With what the file as it is reads, where a variant reads better."""
    plain = next(
        (f for f in all_fits if f.variant.model.id == fit.variant.model.id and not f.variant.steps),
        None,
    )
    if plain is None or not fit.variant.steps:
        return fit
    return replace(fit, contrast=contrast(plain.values, plain.plausibility, fit))


def _identity_reasons(model: MeterModel, said: dict[IdentityName, str]) -> Iterator[Reason]:
    for field in model.identity:
        word = said.get(field.name)
        if word is None or not field.expect:
            continue
        if word in field.expect:
            yield good(_IDENTITY_WEIGHT, f"设备自报 {field.name} {word}，与型号相符")
        else:
            expected = "/".join(field.expect)
            yield bad(_IDENTITY_WEIGHT, f"设备自报 {field.name} {word}，型号应为 {expected}")
