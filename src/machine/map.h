/* SPDX-License-Identifier: MIT */
/* Every address, size and interrupt number of the machine. docs/machine.md tells the same as a table. */
#pragma once

#include "base/bits.h"

/* Guest memory: RAM below this stays below 4 GiB, the rest begins at 4 GiB. */
#define MAP_RAM_BELOW_4G_MAX     GIB(3)
#define MAP_RAM_ABOVE_4G         GIB(4)
#define MAP_RAM_MAX              GIB(64)

/* Firmware: its image ends at 4 GiB, and the end of it shows below 1 MiB as well, in place of RAM. */
#define MAP_ROM_MAX              MIB(16)
#define MAP_ROM_END              GIB(4)
#define MAP_ROM_ALIAS_MAX        KIB(128)
#define MAP_ROM_ALIAS_END        MIB(1)

/* Low memory of a direct boot. Nothing else is put below 640 KiB. */
#define MAP_BOOT_GDT             0x500u
#define MAP_BOOT_PARAMS          0x7000u /* Linux boot_params (zero page), or the PVH start_info */
#define MAP_BOOT_STACK           0x8FF0u
#define MAP_BOOT_PAGE_TABLES     0x9000u  /* up to 0x0F000 */
#define MAP_CMDLINE              0x20000u /* up to 64 KiB, as QEMU places it */
#define MAP_CMDLINE_MAX          0x10000u
#define MAP_MPTABLE              0x9FC00u /* last KiB of base memory (EBDA) */
#define MAP_EBDA                 0x9FC00u
#define MAP_ACPI_TABLES          0xE0000u /* RSDP first; up to 0xF0000 */
#define MAP_ACPI_TABLES_MAX      0x10000u
#define MAP_KERNEL_LOW           0x100000u

/* MMIO. */
#define MAP_GED_EVENT            0xFEA00000u /* 4 bytes */
#define MAP_GED_REGS             0xFEA00200u /* sleep control, sleep status, reset */
#define MAP_VIRTIO_MMIO          0xFEB00000u
#define MAP_VIRTIO_MMIO_SIZE     0x200u
#define MAP_VIRTIO_SLOTS         8u
#define MAP_VIRTIO_SLOTS_IOAPIC2 24u
#define MAP_IOAPIC               0xFEC00000u
#define MAP_IOAPIC2              0xFEC10000u
#define MAP_IOAPIC_SIZE          0x1000u
#define MAP_LAPIC                0xFEE00000u
#define MAP_LAPIC_SIZE           0x100000u /* the CPUs' APIC pages and the MSI window */

/* Ports. */
#define MAP_PORT_PIC_MASTER      0x20u
#define MAP_PORT_PIC_SLAVE       0xA0u
#define MAP_PORT_ELCR            0x4D0u
#define MAP_PORT_PIT             0x40u
#define MAP_PORT_RTC             0x70u
#define MAP_PORT_COM1            0x3F8u
#define MAP_PORT_FW_CFG          0x510u
#define MAP_PORT_FW_CFG_DMA      0x514u

/* Interrupt lines (GSIs): 0-23 the first IOAPIC, 24-47 the second. ISA IRQ n is GSI n. */
#define MAP_GSI_PIT              0u
#define MAP_GSI_CASCADE          2u
#define MAP_GSI_COM1             4u
#define MAP_GSI_RTC              8u
#define MAP_GSI_GED              9u
#define MAP_GSI_VIRTIO_ISA       5u  /* acpi=off */
#define MAP_GSI_VIRTIO_ACPI      16u /* acpi=on, ioapic2=off */
#define MAP_GSI_VIRTIO_IOAPIC2   24u /* acpi=on, ioapic2=on */
#define MAP_GSI_COUNT            48u
