/* SPDX-License-Identifier: MIT */
/*
 * The Linux x86 boot protocol: the setup header of a bzImage, and the zero page that the kernel is
 * given (Linux, Documentation/x86/boot.rst and zero-page.rst).
 */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "boot/e820.h"

#define LINUX_PARAMS_SIZE    4096u

/* Offset of the 64-bit entry point in the protected-mode part. */
#define LINUX_ENTRY64_OFFSET 0x200u

/*
 * The setup header of a file, checked; fields that its version does not have hold what applied
 * then.
 */
struct linux_header {
    u16 version;
    bool entry_64;       /* has the 64-bit entry point */
    bool initrd_high;    /* takes an initrd anywhere below 4 GiB */
    u32 cmdline_max;     /* bytes, without the terminating NUL */
    u32 initrd_addr_max; /* highest address of the initrd's last byte */
    u64 kernel_offset;   /* the protected-mode part in the file */
    u64 kernel_size;
    u64 payload_offset; /* the compressed kernel in the file; size 0: not told */
    u64 payload_size;
    gpa load;      /* where the protected-mode part goes */
    gpa run;       /* where the kernel runs after unpacking itself */
    u64 init_size; /* bytes from `run` that it needs before it knows the memory map */
};

/* Parse the first bytes of a bzImage of `size` bytes. False and `err` (without a prefix). */
bool linux_parse(struct linux_header *header, const u8 *data, u64 size, struct error *err)
    __attribute__((warn_unused_result));

/* End of the memory that the kernel takes before it reads the memory map. */
gpa linux_end(const struct linux_header *header);

struct linux_params {
    gpa load; /* where the protected-mode part is */
    gpa cmdline;
    gpa initrd;
    u64 initrd_size; /* 0: none */
    gpa rsdp;        /* 0: none */
    const struct e820_map *e820;
};

/* Fill the zero page, with the setup header of the bzImage `data` that linux_parse took. */
void linux_build_params(u8 page[LINUX_PARAMS_SIZE], const u8 *data,
                        const struct linux_params *params);
