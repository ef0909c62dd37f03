"""Words: a quantity's name -> what people call it, in Chinese."""

_PHASES = {
    "l1": "A相",
    "l2": "B相",
    "l3": "C相",
    "l12": "AB线",
    "l23": "BC线",
    "l31": "CA线",
    "n": "零线",
    "avg": "平均",
}
# The longest stem that fits is taken, so `energy_import` stands before `energy` would.
_STEMS = {
    "voltage_thd": "电压谐波畸变率",
    "current_thd": "电流谐波畸变率",
    "dc_voltage": "直流电压",
    "dc_current": "直流电流",
    "dc_power": "直流功率",
    "voltage": "电压",
    "current": "电流",
    "active_power": "有功功率",
    "reactive_power": "无功功率",
    "apparent_power": "视在功率",
    "power_factor": "功率因数",
    "frequency": "频率",
    "demand": "需量",
    "energy_import": "正向有功电能",
    "energy_export": "反向有功电能",
    "energy_total": "总有功电能",
    "reactive_energy_export": "反向无功电能",
    "reactive_energy_total": "总无功电能",
    "reactive_energy": "正向无功电能",
    "volume_reverse": "反向累计流量",
    "volume_standard": "标况累计流量",
    "volume": "累计流量",
    "flow_standard": "标况瞬时流量",
    "flow": "瞬时流量",
    "velocity": "流速",
    "heat_energy": "累计热量",
    "cold_energy": "累计冷量",
    "heat_power": "热功率",
    "supply_temperature": "供水温度",
    "return_temperature": "回水温度",
    "temperature_difference": "供回水温差",
    "temperature": "温度",
    "pressure": "压力",
}


def chinese(quantity: str) -> str:
    """`voltage_l1_v` -> `A相电压`."""
    stem = max((s for s in _STEMS if f"{quantity}_".startswith(f"{s}_")), key=len, default="")
    rest = [part for part in quantity.removeprefix(stem).split("_") if part]
    phases = "".join(_PHASES[part] for part in rest if part in _PHASES)
    return phases + _STEMS.get(stem, quantity)
