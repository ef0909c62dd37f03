"""Words: values and faults -> how an installer says them, in Chinese with units."""

from metering.quantity import QUANTITIES
from metering.reading import Fault

_DECIMALS = {"V": 1, "%": 1, "°C": 1, "K": 1, "kPa": 1, "Hz": 2}

# What a person at the meter checks first, by what happened.
_ADVICE = {
    Fault.TIMEOUT: "无应答：先查从站地址，再查波特率和校验位、A/B 线是否接反、表是否通电",
    Fault.DISCONNECTED: "总线打不开：查 IP 和端口（串口：设备名、占用、权限）、网线和转换器电源",
    Fault.EXCEPTION: "表拒绝：",
    Fault.SHORT: "应答不完整：查线路干扰和终端电阻，或型号的单次读取上限",
    Fault.FOREIGN: "收到别的表或别的请求的应答：查地址是否重复、总线上是否有另一个主站",
    Fault.CORRUPT: "收到字节但校验不对：查波特率和校验位、终端电阻和屏蔽、地址是否重复",
    Fault.LATE: "应答太迟，数值不可轻信：查串口服务器的超时，或加大 timeout_ms",
    Fault.IDENTITY: "应答的是另一台设备：查是否换表、端口是否改号",
    Fault.NOT_FINITE: "寄存器里不是数 (NaN)：查型号和字序",
    Fault.SENTINEL: "表说此项无数据：该功能未启用或传感器未接",
}
_EXCEPTIONS = {
    1: "不支持此功能码（异常码 1）：型号不符？试另一张寄存器表",
    2: "没有此地址（异常码 2）：型号不符？查型号，或用 nenghao meter probe",
    3: "读取数量不允许（异常码 3）：型号不符？或型号文件的 limits 太大",
    4: "表内部故障（异常码 4）：重新上电，仍如此则换表",
    6: "表正忙（异常码 6）：稍后再试，查是否有另一个主站",
    10: "网关没有通往此地址的路（异常码 10）：查串口服务器的设置",
}


def spoken(quantity: str, value: float) -> str:
    """`230.4 V`; a power factor has no unit."""
    unit = QUANTITIES[quantity].unit
    large, small = 1e9, 1e-3
    if value and not small <= abs(value) < large:
        number = f"{value:.3g}"
    else:
        number = f"{value:.{_DECIMALS.get(unit, 3)}f}"
    return number if unit == "1" else f"{number} {unit}"


def advice(fault: str, code: int | None = None) -> str:
    """What happened and what to check first; `code` is the Modbus exception, if it was one."""
    if fault == Fault.EXCEPTION and code is not None:
        return _ADVICE[Fault.EXCEPTION] + _EXCEPTIONS.get(code, f"异常码 {code}：查说明书")
    return _ADVICE[Fault(fault)]
