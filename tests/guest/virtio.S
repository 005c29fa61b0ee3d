/* SPDX-License-Identifier: MIT */
/*
 * virtio over MMIO without ACPI: ISA lines, edges.
 * options: -M acpi=off -object rng-builtin,id=r -device virtio-rng-device,rng=r
 * options: -drive if=none,id=d,format=raw,readonly=on,file=@ELF@ -device virtio-blk-device,drive=d
 */
#define VIRTIO_GSI 5
#define VIRTIO_ENTRY 0
#include "lib/virtio.h"
