/* SPDX-License-Identifier: MIT */
/*
 * -kernel, -initrd and -append for a boot by firmware: what it finds in the firmware configuration
 * device, and what is in memory before it runs.
 *
 * A bzImage is handed over in parts (setup code, kernel, initrd, command line) with the addresses
 * where they are to go; the setup header is filled in as boot loaders do. The segments of an ELF
 * kernel are put into memory at each reset, and firmware only gets its entry point.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "boot/cmdline.h"
#include "boot/image.h"
#include "machine/ram.h"

/* Strings are used until firmware_kernel_free. */
struct firmware_kernel_options {
    const char *kernel;
    const char *initrd; /* NULL: none */
    const char *append; /* NULL: empty */
    u64 ram_below_4g;
};

/* The items; all addresses and sizes are 32 bits wide. */
struct firmware_kernel {
    struct firmware_kernel_options options;
    enum image_kind kind;
    struct image kernel_file;
    struct image initrd_file;

    u32 kernel_addr;
    u32 kernel_size;
    u32 kernel_entry; /* ELF */
    const u8 *kernel; /* bzImage: kernel_size bytes of the file */
    u32 initrd_addr;
    u32 cmdline_addr; /* bzImage */
    u32 setup_addr;   /* bzImage */
    u32 setup_size;
    u8 *setup; /* bzImage: the setup code; ELF: the start of the file */
    char *cmdline;
};

/*
 * Open and check the files. False and `err`, a sentence that begins with the option at fault. Call
 * firmware_kernel_free in any case.
 */
bool firmware_kernel_open(struct firmware_kernel *fk, const struct firmware_kernel_options *options,
                          struct error *err) __attribute__((warn_unused_result));

/* Make the command line, with the virtio devices in `slots`; once. */
void firmware_kernel_describe(struct firmware_kernel *fk, const struct boot_slot *slots,
                              unsigned slot_count);

/*
 * At each reset: put an ELF kernel's segments into memory. False and `err` when the file has
 * become one that does not fit.
 */
bool firmware_kernel_load(const struct firmware_kernel *fk, struct ram *ram, struct error *err)
    __attribute__((warn_unused_result));

/* Accepts a kernel of zeros, which is none. */
void firmware_kernel_free(struct firmware_kernel *fk);

/*
 * Does the kernel want ACPI (acpi=auto), as a direct boot of it would find? True when it is not
 * one that can be looked into.
 */
bool firmware_kernel_wants_acpi(const struct firmware_kernel *fk);
