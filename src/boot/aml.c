/* SPDX-License-Identifier: MIT */
/* ACPI Machine Language writer. Section numbers are those of ACPI 6.4. */
#include "boot/aml.h"

#include <assert.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"

/* 20.3: opcodes and prefixes. */
#define AML_ZERO_OP            0x00u
#define AML_ONE_OP             0x01u
#define AML_NAME_OP            0x08u
#define AML_BYTE_PREFIX        0x0Au
#define AML_WORD_PREFIX        0x0Bu
#define AML_DWORD_PREFIX       0x0Cu
#define AML_STRING_PREFIX      0x0Du
#define AML_BUFFER_OP          0x11u
#define AML_EXT_OP_PREFIX      0x5Bu
#define AML_EXT_OP_DEVICE      0x82u
#define AML_PKG_LENGTH_MAX2    0xFFFu
#define AML_PKG_LENGTH_MAX3    0xFFFFFu

/* 6.4.2 and 6.4.3: resource descriptor tags. */
#define AML_RES_IRQ_NO_FLAGS   0x22u
#define AML_RES_IO             0x47u
#define AML_RES_END            0x79u
#define AML_RES_MEMORY32       0x86u
#define AML_RES_INTERRUPT      0x89u

#define AML_IO_DECODE16        BIT(0)
#define AML_MEMORY_READ_WRITE  BIT(0)
#define AML_INTERRUPT_CONSUMER BIT(0)
#define AML_INTERRUPT_EDGE     BIT(1)

void aml_init(struct aml *aml, u8 *data, size_t capacity)
{
    *aml = (struct aml){ .data = data, .capacity = capacity };
}

/* Room for `size` bytes at `at`, what stands there moved up; NULL when the buffer is full. */
static u8 *aml_insert(struct aml *aml, size_t at, size_t size)
{
    if (aml->overflow || size > aml->capacity - aml->size) {
        aml->overflow = true;
        return NULL;
    }
    memmove(aml->data + at + size, aml->data + at, aml->size - at);
    aml->size += size;
    return aml->data + at;
}

void aml_bytes(struct aml *aml, const void *bytes, size_t size)
{
    u8 *p = aml_insert(aml, aml->size, size);

    if (p)
        memcpy(p, bytes, size);
}

void aml_byte(struct aml *aml, u8 value)
{
    aml_bytes(aml, &value, 1);
}

void aml_word(struct aml *aml, u16 value)
{
    u8 bytes[2];

    store_le16(bytes, value);
    aml_bytes(aml, bytes, sizeof(bytes));
}

void aml_dword(struct aml *aml, u32 value)
{
    u8 bytes[4];

    store_le32(bytes, value);
    aml_bytes(aml, bytes, sizeof(bytes));
}

void aml_segment(struct aml *aml, const char *name)
{
    u8 segment[4] = { '_', '_', '_', '_' };
    size_t length = strlen(name);

    assert(length > 0 && length <= sizeof(segment));
    memcpy(segment, name, length);
    aml_bytes(aml, segment, sizeof(segment));
}

/* The shortest encoding of an integer (20.2.3) into `out`, at most 5 bytes; returns its length. */
static size_t aml_encode_integer(u8 *out, u32 value)
{
    if (value <= 1) {
        out[0] = value ? AML_ONE_OP : AML_ZERO_OP;
        return 1;
    }
    if (value <= 0xFF) {
        out[0] = AML_BYTE_PREFIX;
        out[1] = (u8)value;
        return 2;
    }
    if (value <= 0xFFFF) {
        out[0] = AML_WORD_PREFIX;
        store_le16(out + 1, (u16)value);
        return 3;
    }
    out[0] = AML_DWORD_PREFIX;
    store_le32(out + 1, value);
    return 5;
}

void aml_integer(struct aml *aml, u32 value)
{
    u8 bytes[5];

    aml_bytes(aml, bytes, aml_encode_integer(bytes, value));
}

void aml_string(struct aml *aml, const char *text)
{
    aml_byte(aml, AML_STRING_PREFIX);
    aml_bytes(aml, text, strlen(text) + 1);
}

static u8 aml_hex_digit(char c)
{
    return (u8)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/* 19.3.4: three letters of five bits each and four hex digits, in big-endian order. */
void aml_eisa_id(struct aml *aml, const char *id)
{
    u32 letters, digits = 0;

    assert(strlen(id) == 7);
    letters = (u32)(id[0] - '@') << 10 | (u32)(id[1] - '@') << 5 | (u32)(id[2] - '@');
    for (unsigned i = 3; i < 7; i++)
        digits = digits << 4 | aml_hex_digit(id[i]);
    aml_byte(aml, AML_DWORD_PREFIX);
    aml_byte(aml, (u8)(letters >> 8));
    aml_byte(aml, (u8)letters);
    aml_byte(aml, (u8)(digits >> 8));
    aml_byte(aml, (u8)digits);
}

void aml_name(struct aml *aml, const char *name)
{
    aml_byte(aml, AML_NAME_OP);
    aml_segment(aml, name);
}

void aml_name_integer(struct aml *aml, const char *name, u32 value)
{
    aml_name(aml, name);
    aml_integer(aml, value);
}

void aml_name_string(struct aml *aml, const char *name, const char *text)
{
    aml_name(aml, name);
    aml_string(aml, text);
}

void aml_name_eisa_id(struct aml *aml, const char *name, const char *id)
{
    aml_name(aml, name);
    aml_eisa_id(aml, id);
}

size_t aml_open(struct aml *aml, u8 op)
{
    aml_byte(aml, op);
    return aml->size;
}

size_t aml_open_extended(struct aml *aml, u8 op)
{
    aml_byte(aml, AML_EXT_OP_PREFIX);
    return aml_open(aml, op);
}

size_t aml_open_device(struct aml *aml, const char *name)
{
    size_t start = aml_open_extended(aml, AML_EXT_OP_DEVICE);

    aml_segment(aml, name);
    return start;
}

/*
 * 20.2.4: the length counts its own bytes. One byte holds 6 bits; else the first byte holds the
 * number of the bytes that follow (bits 7-6) and the lowest 4 bits, and the others 8 bits each.
 */
void aml_close(struct aml *aml, size_t start)
{
    size_t length = aml->size - start;
    size_t extra = length + 1 <= 0x3F                  ? 0
                   : length + 2 <= AML_PKG_LENGTH_MAX2 ? 1
                   : length + 3 <= AML_PKG_LENGTH_MAX3 ? 2
                                                       : 3;
    u8 *p = aml_insert(aml, start, 1 + extra);

    if (!p)
        return;
    length += 1 + extra;
    p[0] = (u8)(extra ? extra << 6 | (length & 0xF) : length);
    for (size_t i = 0; i < extra; i++)
        p[1 + i] = (u8)(length >> (4 + 8 * i));
}

size_t aml_open_resources(struct aml *aml)
{
    aml_name(aml, "_CRS");
    return aml_open(aml, AML_BUFFER_OP);
}

/* The end tag's checksum may be 0: not used (6.4.2.8). */
void aml_close_resources(struct aml *aml, size_t start)
{
    u8 count[5], *p;
    size_t n;

    aml_byte(aml, AML_RES_END);
    aml_byte(aml, 0);
    n = aml_encode_integer(count, (u32)(aml->size - start));
    p = aml_insert(aml, start, n);
    if (p)
        memcpy(p, count, n);
    aml_close(aml, start);
}

void aml_resource_io(struct aml *aml, u16 port, u8 align, u8 length)
{
    aml_byte(aml, AML_RES_IO);
    aml_byte(aml, AML_IO_DECODE16);
    aml_word(aml, port); /* lowest base */
    aml_word(aml, port); /* highest base */
    aml_byte(aml, align);
    aml_byte(aml, length);
}

void aml_resource_irq(struct aml *aml, unsigned irq)
{
    assert(irq < 16);
    aml_byte(aml, AML_RES_IRQ_NO_FLAGS);
    aml_word(aml, (u16)BIT(irq));
}

void aml_resource_memory32(struct aml *aml, u32 base, u32 length)
{
    aml_byte(aml, AML_RES_MEMORY32);
    aml_word(aml, 9);
    aml_byte(aml, AML_MEMORY_READ_WRITE);
    aml_dword(aml, base);
    aml_dword(aml, length);
}

void aml_resource_interrupt(struct aml *aml, u32 gsi, bool edge)
{
    aml_byte(aml, AML_RES_INTERRUPT);
    aml_word(aml, 6);
    aml_byte(aml, AML_INTERRUPT_CONSUMER | (edge ? AML_INTERRUPT_EDGE : 0));
    aml_byte(aml, 1); /* one interrupt follows */
    aml_dword(aml, gsi);
}
