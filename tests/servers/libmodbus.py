"""A Modbus RTU slave that is neither pymodbus nor ours: Debian's libmodbus, in its own process.

`python libmodbus.py DEVICE BAUDRATE PARITY STOPBITS UNIT` serves registers 0 to 999: holding
registers hold their own address plus 1000 times the unit, input registers 30000 more. It prints
"ready" when the port is open, and runs until it is ended. libmodbus speaks for one unit.
"""

import ctypes
import ctypes.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

LIBRARY = "libmodbus.so.5"
REGISTERS = 1000


class _Mapping(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_int) for name in ("nb_bits", "start_bits")),
        *((name, ctypes.c_int) for name in ("nb_input_bits", "start_input_bits")),
        *((name, ctypes.c_int) for name in ("nb_input_registers", "start_input_registers")),
        *((name, ctypes.c_int) for name in ("nb_registers", "start_registers")),
        ("bits", ctypes.POINTER(ctypes.c_uint8)),
        ("input_bits", ctypes.POINTER(ctypes.c_uint8)),
        ("input_registers", ctypes.POINTER(ctypes.c_uint16)),
        ("registers", ctypes.POINTER(ctypes.c_uint16)),
    ]


def _serve(device: str, baudrate: int, parity: str, stopbits: int, unit: int) -> None:
    library = ctypes.CDLL(LIBRARY, use_errno=True)
    library.modbus_new_rtu.restype = ctypes.c_void_p
    library.modbus_mapping_new.restype = ctypes.POINTER(_Mapping)
    context = ctypes.c_void_p(
        library.modbus_new_rtu(
            device.encode(), baudrate, ctypes.c_char(parity.encode()), 8, stopbits
        )
    )
    library.modbus_set_slave(context, unit)
    mapping = library.modbus_mapping_new(0, 0, REGISTERS, REGISTERS)
    for address in range(REGISTERS):
        mapping.contents.registers[address] = address + 1000 * unit
        mapping.contents.input_registers[address] = address + 1000 * unit + 30_000
    if library.modbus_connect(context):
        raise OSError(ctypes.get_errno(), f"{device} cannot be opened")
    print("ready", flush=True)
    query = (ctypes.c_uint8 * 260)()
    while True:
        length = library.modbus_receive(context, query)
        if length > 0:
            library.modbus_reply(context, query, length, mapping)


@contextmanager
def libmodbus_slaves(
    devices: list[str], units: list[int], *, baudrate: int, parity: str = "N", stopbits: int = 1
) -> Iterator[None]:
    """One slave process at each device, one unit each; skips without the library, never in CI."""
    if ctypes.util.find_library("modbus") is None:
        message = f"{LIBRARY} is not installed: sh tests/servers/install"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    with ExitStack() as stack:
        for device, unit in zip(devices, units, strict=True):
            settings = [device, baudrate, parity, stopbits, unit]
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, __file__, *map(str, settings)],
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            stack.callback(process.kill)
            assert process.stdout.readline() == "ready\n"
        yield


if __name__ == "__main__":
    _device, _baudrate, _parity, _stopbits, _unit = sys.argv[1:]
    _serve(_device, int(_baudrate), _parity, int(_stopbits), int(_unit))
