"""Fleet: so many gateways and meters -> a configuration folder that the real commands read.

Every meter is an Acrel ADL3000 of which twenty quantities are read, in its usual two requests; or
an ABB B23, whose twenty quantities take seven.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

MODELS = Path(__file__).parents[1] / "config" / "meters"
METERS = 50  # behind one gateway
TWO_REQUESTS = "bench_20"
SEVEN_REQUESTS = "abb_b23_b24"
_LEFT_OUT = frozenset(
    {
        "reactive_power_l1_kvar",
        "reactive_power_l2_kvar",
        "reactive_power_l3_kvar",
        "apparent_power_l1_kva",
        "apparent_power_l2_kva",
        "apparent_power_l3_kva",
        "power_factor_l1",
        "power_factor_l2",
        "power_factor_l3",
    }
)


def write_config(
    folder: Path, *, gateways: int, model: str = TWO_REQUESTS, meters: int = METERS
) -> Path:
    """Write `fleet/` and `meters/` with `gateways` times `meters` meters; returns the folder.

    Fifty meters are on a bus at most.
    """
    for part in ("fleet", "meters"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    _dump(folder / "meters" / f"{TWO_REQUESTS}.yaml", _twenty())
    source = MODELS / f"{SEVEN_REQUESTS}.yaml"
    (folder / "meters" / source.name).write_bytes(source.read_bytes())
    fleet = {
        "district": {"id": "120101", "store": "bench-1"},
        "institutions": [_institution(n, model, meters) for n in range(1, gateways + 1)],
    }
    _dump(folder / "fleet" / "bench.yaml", fleet)
    return folder


def gateway_id(number: int) -> str:
    return f"gw-e{number:03}"


def meter_id(gateway: int, number: int) -> str:
    return f"e{gateway:03}-m{number:02}"


@cache
def quantities() -> tuple[tuple[str, int], ...]:
    """The twenty quantities of `TWO_REQUESTS`, each with its decimals on the wire."""
    scales = {1: 0, 0.1: 1, 0.01: 2, 0.001: 3}
    return tuple(
        (register["quantity"], scales[register.get("scale", 1)])
        for register in _twenty()["registers"]
    )


def _twenty() -> dict[str, Any]:
    """An ADL3000 without the nine quantities of single phases that few people look at."""
    model = yaml.safe_load((MODELS / "acrel_adl3000.yaml").read_text(encoding="utf-8"))
    registers = [r for r in model["registers"] if r["quantity"] not in _LEFT_OUT]
    return {**model, "registers": registers, "every_s": {"gauge": 0, "counter": 0}}


def _institution(number: int, model: str, count: int) -> dict[str, Any]:
    name = f"e{number:03}"
    meters = [
        {
            "id": meter_id(number, meter),
            "code": f"{meter:03}",
            "model": model,
            "unit": (meter - 1) % METERS + 1,
            "energy": "01000" if meter == 1 else "01A10",
            "circuit": f"支路 {meter}",
            "parent": None if meter == 1 else meter_id(number, 1),
            "rated": {"active_power_kw": 600 if meter == 1 else 12},
            "valid_from": "2025-01-01",
        }
        for meter in range(1, count + 1)
    ]
    buses = [
        {
            "url": f"tcp://127.0.0.1:{15000 + 100 * place + number}",
            "cycle_s": 1,
            "meters": meters[first : first + METERS],
        }
        for place, first in enumerate(range(0, count, METERS))
    ]
    building = {
        "id": f"{name}-b1",
        "code": f"120101E{number:03}",
        "area_m2": 20000,
        "built": 2000,
        "gateways": [{"id": gateway_id(number), "code": "01", "buses": buses}],
    }
    return {"id": name, "name": f"测试医院 {number}", "sector": "hospital", "buildings": [building]}


def _dump(file: Path, content: object) -> None:
    # JSON is YAML, and it keeps every code quoted.
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
