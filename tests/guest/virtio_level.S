/* SPDX-License-Identifier: MIT */
/*
 * virtio over MMIO with ACPI: lines above the ISA ones, levels.
 * options: -M acpi=on,ioapic2=off -object rng-builtin,id=r -device virtio-rng-device,rng=r
 * options: -drive if=none,id=d,format=raw,readonly=on,file=@ELF@ -device virtio-blk-device,drive=d
 */
#define VIRTIO_GSI 16
#define VIRTIO_ENTRY 0x8000 /* level */
#include "lib/virtio.h"
