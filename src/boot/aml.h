/* SPDX-License-Identifier: MIT */
/*
 * A writer of ACPI Machine Language: the encodings that the DSDT needs (ACPI 6.4, chapters 6 and
 * 20).
 *
 * Objects with a package length are opened, filled and closed; the length is inserted when they
 * close. Running out of space sets `overflow`, which the caller checks once at the end.
 */
#pragma once

#include "base/types.h"

struct aml {
    u8 *data;
    size_t size;
    size_t capacity;
    bool overflow;
};

void aml_init(struct aml *aml, u8 *data, size_t capacity);

/* Raw bytes, and little-endian words. */
void aml_bytes(struct aml *aml, const void *bytes, size_t size);
void aml_byte(struct aml *aml, u8 value);
void aml_word(struct aml *aml, u16 value);
void aml_dword(struct aml *aml, u32 value);

/* A name segment: up to four characters, filled up with '_'. */
void aml_segment(struct aml *aml, const char *name);

/* Constants: the shortest encoding of an integer, a string, a compressed EISA id ("PNP0501"). */
void aml_integer(struct aml *aml, u32 value);
void aml_string(struct aml *aml, const char *text);
void aml_eisa_id(struct aml *aml, const char *id);

/* Name(name, <the next object>), and its common forms. */
void aml_name(struct aml *aml, const char *name);
void aml_name_integer(struct aml *aml, const char *name, u32 value);
void aml_name_string(struct aml *aml, const char *name, const char *text);
void aml_name_eisa_id(struct aml *aml, const char *name, const char *id);

/* Begin an object with a package length; the result goes to aml_close. */
size_t aml_open(struct aml *aml, u8 op);
size_t aml_open_extended(struct aml *aml, u8 op); /* 0x5B op */
size_t aml_open_device(struct aml *aml, const char *name);
void aml_close(struct aml *aml, size_t start);

/* Name(_CRS, ResourceTemplate): between the two come resource descriptors. */
size_t aml_open_resources(struct aml *aml);
void aml_close_resources(struct aml *aml, size_t start);

/* Resource descriptors. */
void aml_resource_io(struct aml *aml, u16 port, u8 align, u8 length);
void aml_resource_irq(struct aml *aml, unsigned irq); /* edge, high, exclusive: ISA */
void aml_resource_memory32(struct aml *aml, u32 base, u32 length);
void aml_resource_interrupt(struct aml *aml, u32 gsi, bool edge); /* active high, exclusive */
