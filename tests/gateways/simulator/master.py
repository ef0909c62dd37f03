"""A master that writes and shows bytes: struct, a CRC of its own, sockets and file descriptors.

It shares no line with the product, and with the simulator only the wire.
"""

import asyncio
import os
import struct
import tty
from urllib.parse import urlsplit


def crc(octets):
    """Bit by bit, as the standard's flow chart has it; the simulator uses a table."""
    register = 0xFFFF
    for octet in octets:
        register ^= octet
        for _ in range(8):
            register = (register >> 1) ^ (0xA001 if register & 1 else 0)
    return struct.pack("<H", register)


def rtu(unit, pdu):
    return bytes([unit]) + pdu + crc(bytes([unit]) + pdu)


def read_pdu(address, count, function=4):
    return struct.pack(">BHH", function, address, count)


class Master:
    """One connection, or one end of a line; `frame` and `open_frames` know its framing."""

    def __init__(self, url, send, close):
        self.is_tcp = url.startswith("tcp:")
        self.send = send
        self.close = close
        self.came = b""
        self._transaction = 0

    def take(self, octets):
        self.came += octets

    def frame(self, unit, pdu):
        if not self.is_tcp:
            return rtu(unit, pdu)
        self._transaction += 1
        return struct.pack(">HHHB", self._transaction, 0, len(pdu) + 1, unit) + pdu

    def ask(self, unit, address=0, count=2, function=4):
        self.send(self.frame(unit, read_pdu(address, count, function)))

    async def hear(self, within_s=1.0, octets=1):
        """All bytes up to now, once there are so many or the time is over; they are then gone."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within_s
        before = -1
        # Until it is enough and no more follows: a terminal may hand an answer over in pieces.
        while loop.time() < end and not len(self.came) == before >= octets:
            before = len(self.came)
            await asyncio.sleep(0.002)
        came, self.came = self.came, b""
        return came

    async def answers(self, within_s=1.0, octets=1):
        """The same, as whole frames: (unit, pdu) each; over TCP (transaction, unit, pdu)."""
        return list(self.open_frames(await self.hear(within_s, octets)))

    def open_frames(self, octets):
        while octets:
            if self.is_tcp:
                transaction, _, length, unit = struct.unpack_from(">HHHB", octets)
                yield transaction, unit, octets[7 : 6 + length]
                octets = octets[6 + length :]
            else:
                end = 5 if octets[1] & 0x80 else 5 + octets[2]
                frame, octets = octets[:end], octets[end:]
                assert crc(frame[:-2]) == frame[-2:], frame.hex(" ")
                yield frame[0], frame[1:-2]


async def connect(url):
    if url.startswith("serial:"):
        return on_descriptor(url, _opened(urlsplit(url).path))
    split = urlsplit(url)
    reader, writer = await asyncio.open_connection(split.hostname, split.port)
    master = Master(url, writer.write, lambda: (task.cancel(), writer.close()))

    async def listen():
        while octets := await reader.read(4096):
            master.take(octets)
        master.fell = True

    master.fell = False
    task = asyncio.create_task(listen())
    return master


def _opened(device):
    descriptor = os.open(device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    tty.setraw(descriptor)
    return descriptor


def on_descriptor(url, descriptor):
    loop = asyncio.get_running_loop()

    def close():
        loop.remove_reader(descriptor)
        os.close(descriptor)

    master = Master(url, lambda octets: os.write(descriptor, octets), close)
    master.descriptor = descriptor
    master.pause = lambda: loop.remove_reader(descriptor)
    master.resume = lambda: loop.add_reader(
        descriptor, lambda: master.take(os.read(descriptor, 4096))
    )
    master.resume()
    return master
