# SPDX-License-Identifier: MIT
"""The ELF kernel inside a bzImage (Linux, Documentation/x86/boot.rst: payload_offset and payload_length)."""

import bz2
import ctypes
import ctypes.util
import gzip
import lzma
import struct

SETUP_SECTS = 0x1F1
PAYLOAD_OFFSET = 0x248
PAYLOAD_LENGTH = 0x24C
SECTOR = 512
OUTPUT_MAX = 256 << 20


def _library(name, fallback):
    return ctypes.CDLL(ctypes.util.find_library(name) or fallback)


def _lz4_legacy(data):
    """The legacy frame: a magic, then blocks of at most 8 MiB, each with its compressed size before it."""
    block_max = 8 << 20
    lz4 = _library("lz4", "liblz4.so.1")
    block = ctypes.create_string_buffer(block_max)
    out, at = bytearray(), 4
    while at + 4 <= len(data):
        size, = struct.unpack_from("<I", data, at)
        if size == 0 or at + 4 + size > len(data):
            break
        got = lz4.LZ4_decompress_safe(data[at + 4:at + 4 + size], block, size, block_max)
        if got < 0:
            raise ValueError("damaged LZ4 block")
        out += block.raw[:got]
        at += 4 + size
    return bytes(out)


def _zstd(data):
    zstd = _library("zstd", "libzstd.so.1")
    zstd.ZSTD_decompress.restype = ctypes.c_size_t
    out = ctypes.create_string_buffer(OUTPUT_MAX)
    size = zstd.ZSTD_findFrameCompressedSize(data, ctypes.c_size_t(len(data)))
    got = zstd.ZSTD_decompress(out, ctypes.c_size_t(OUTPUT_MAX), data, ctypes.c_size_t(size))
    return out.raw[:got]


FORMATS = [
    (b"\x02\x21\x4c\x18", _lz4_legacy),
    (b"\x28\xb5\x2f\xfd", _zstd),
    (b"\x1f\x8b", lambda data: gzip.zlib.decompressobj(31).decompress(data)),
    (b"\xfd7zXZ", lambda data: lzma.LZMADecompressor().decompress(data)),
    (b"BZh", lambda data: bz2.BZ2Decompressor().decompress(data)),
    (b"\x5d\x00\x00", lambda data: lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(data)),
]


def extract(bzimage, path):
    """Writes the ELF kernel of the file `bzimage` to `path`."""
    image = open(bzimage, "rb").read()
    setup = (image[SETUP_SECTS] or 4) * SECTOR + SECTOR
    offset, = struct.unpack_from("<I", image, PAYLOAD_OFFSET)
    length, = struct.unpack_from("<I", image, PAYLOAD_LENGTH)
    payload = image[setup + offset:setup + offset + length]
    for magic, unpack in FORMATS:
        if payload.startswith(magic):
            kernel = unpack(payload)
            if not kernel.startswith(b"\x7fELF"):
                raise ValueError("the payload is no ELF file")
            with open(path, "wb") as out:
                out.write(kernel)
            return
    raise ValueError(f"unknown compression {payload[:4].hex()}")
