/* SPDX-License-Identifier: MIT */
/*
 * Direct boot: from -kernel, -initrd and -append to a CPU at the kernel's first instruction,
 * without firmware.
 *
 * The caller's steps: map RAM; boot_plan_new, which opens and checks the files, puts the kernel
 * into RAM and decides about ACPI; build the devices accordingly; boot_plan_describe with what was
 * built; then boot_load as the machine's boot function, at each reset. All on the main thread with
 * no CPU running.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "boot/acpi.h"
#include "boot/cmdline.h"
#include "machine/machine.h"

struct boot_plan;

enum boot_acpi {
    BOOT_ACPI_AUTO, /* on, unless the kernel takes virtio devices from its command line */
    BOOT_ACPI_ON,
    BOOT_ACPI_OFF,
};

/* Strings are used until boot_plan_free. */
struct boot_options {
    const char *kernel;
    const char *initrd; /* NULL: none */
    const char *append; /* NULL: empty */
    enum boot_acpi acpi;
    bool decompress;   /* unpack a bzImage on the host when its format is known */
    bool auto_cmdline; /* without ACPI, tell the kernel about virtio devices on its command line */
    u64 ram_below_4g;  /* bytes from 0, one slot of the machine's RAM */
    u64 ram_above_4g;  /* bytes from 4 GiB */
};

#define BOOT_SLOTS_MAX 32

/* The machine that the tables describe. */
struct boot_machine {
    unsigned cpu_count;
    u32 apic_ids[MACHINE_VCPUS_MAX]; /* the boot processor's first; below 255 */
    u32 cpu_signature;               /* CPUID.1 EAX and EDX, for the MP table */
    u32 cpu_features;
    unsigned slot_count;
    struct boot_slot slots[BOOT_SLOTS_MAX]; /* populated virtio transports, in any order */
    bool fw_cfg;
    bool serial;
    bool rtc;
    bool ioapic2;
    const char *oem_id; /* of the ACPI tables; NULL: the defaults of acpi.h */
    const char *oem_table_id;
};

/*
 * The populated transports, highest first: the order in which QEMU's microvm lists them, because the
 * first -device is there.
 */
void boot_sort_slots(const struct boot_machine *machine, struct boot_slot sorted[BOOT_SLOTS_MAX]);

/* The machine's ACPI tables, unlinked. */
void boot_build_acpi(const struct boot_machine *machine, struct acpi_tables *tables);

/*
 * Open and check the files, put the kernel into `ram`, decide about ACPI. NULL and `err`, a
 * sentence that begins with the option at fault, when the guest cannot be started.
 */
struct boot_plan *boot_plan_new(const struct boot_options *options, struct ram *ram,
                                struct error *err);

/* Whether the machine is to have ACPI. */
bool boot_plan_acpi(const struct boot_plan *plan);

/*
 * Build tables and command line. False and `err` when the command line is too long for the kernel.
 */
bool boot_plan_describe(struct boot_plan *plan, const struct boot_machine *machine,
                        struct error *err) __attribute__((warn_unused_result));

/*
 * A machine_boot_fn; `plan` is a described struct boot_plan. The first call completes what
 * boot_plan_new began, the others load all anew: guests write to their kernels.
 */
bool boot_load(struct machine *machine, void *plan, struct cpu_boot_state *state, struct error *err)
    __attribute__((warn_unused_result));

/* NULL is allowed. */
void boot_plan_free(struct boot_plan *plan);

/*
 * Does the kernel image [data, data + size), uncompressed, know the parameter virtio_mmio.device?
 * It is there when CONFIG_VIRTIO_MMIO_CMDLINE_DEVICES is set and the driver is built in.
 */
bool boot_has_virtio_cmdline(const u8 *data, u64 size);
