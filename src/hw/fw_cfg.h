/* SPDX-License-Identifier: MIT */
/*
 * The firmware configuration device: numbered items and named files that firmware reads by port or
 * by DMA.
 *
 * Interface: QEMU's docs/specs/fw_cfg. Items are added while the machine is built, or while it is
 * stopped for a reset; an item that exists already is replaced.
 */
#pragma once

#include "base/error.h"
#include "base/types.h"
#include "machine/bus.h"
#include "machine/device.h"

struct fw_cfg;
struct ram;

/* Numeric items. Values are little-endian. */
enum fw_cfg_key {
    FW_CFG_SIGNATURE = 0x00, /* "QEMU"; selected after reset */
    FW_CFG_ID = 0x01,        /* u32, what the interface can do */
    FW_CFG_UUID = 0x02,      /* 16 bytes */
    FW_CFG_RAM_SIZE = 0x03,  /* u64 */
    FW_CFG_NOGRAPHIC = 0x04, /* u16 */
    FW_CFG_NB_CPUS = 0x05,   /* u16 */
    FW_CFG_KERNEL_ADDR = 0x07,
    FW_CFG_KERNEL_SIZE = 0x08,
    FW_CFG_INITRD_ADDR = 0x0A,
    FW_CFG_INITRD_SIZE = 0x0B,
    FW_CFG_BOOT_MENU = 0x0E, /* u16 */
    FW_CFG_MAX_CPUS = 0x0F,  /* u16 */
    FW_CFG_KERNEL_ENTRY = 0x10,
    FW_CFG_KERNEL_DATA = 0x11,
    FW_CFG_INITRD_DATA = 0x12,
    FW_CFG_CMDLINE_ADDR = 0x13,
    FW_CFG_CMDLINE_SIZE = 0x14, /* with the NUL */
    FW_CFG_CMDLINE_DATA = 0x15,
    FW_CFG_SETUP_ADDR = 0x16,
    FW_CFG_SETUP_SIZE = 0x17,
    FW_CFG_SETUP_DATA = 0x18,
    FW_CFG_FILE_DIR = 0x19,
    FW_CFG_FILE_FIRST = 0x20,
    FW_CFG_IRQ0_OVERRIDE = 0x8002, /* u32 */
};

#define FW_CFG_FILES_MAX     32
#define FW_CFG_FILE_NAME_MAX 56 /* with the NUL */

/*
 * What becomes of an item's bytes: copied now, or used where they are, which must then outlive the
 * device.
 */
enum fw_cfg_bytes {
    FW_CFG_COPY,
    FW_CFG_BORROW,
};

/* The device, with SIGNATURE and ID. DMA goes to `ram`. */
struct fw_cfg *fw_cfg_new(struct ram *ram);

/* For machine_add_device and the `dev` of the regions; freeing it frees the whole. */
struct device *fw_cfg_device(struct fw_cfg *fw);

/*
 * The selector and data ports (MAP_PORT_FW_CFG, 2 bytes) and the DMA port (MAP_PORT_FW_CFG_DMA, 8
 * bytes).
 */
extern const struct region_ops fw_cfg_port_ops;
extern const struct region_ops fw_cfg_dma_ops;

/* Item `key`: below FW_CFG_FILE_DIR, or with bit 15 set and below 0x8040. */
void fw_cfg_add_bytes(struct fw_cfg *fw, u16 key, const void *data, u64 size,
                      enum fw_cfg_bytes bytes);
void fw_cfg_add_u16(struct fw_cfg *fw, u16 key, u16 value);
void fw_cfg_add_u32(struct fw_cfg *fw, u16 key, u32 value);
void fw_cfg_add_u64(struct fw_cfg *fw, u16 key, u64 value);
void fw_cfg_add_string(struct fw_cfg *fw, u16 key, const char *text); /* with its NUL, copied */

/*
 * A named file, at the place in the directory that its name gives it; the keys of the files behind
 * it move up. False and `err` when the name is too long or the directory full.
 */
bool fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, u64 size,
                     enum fw_cfg_bytes bytes, struct error *err)
    __attribute__((warn_unused_result));

/*
 * The same for a file that the guest may write (by DMA, whole or in part, never longer): borrowed.
 */
bool fw_cfg_add_writable_file(struct fw_cfg *fw, const char *name, void *data, u64 size,
                              struct error *err) __attribute__((warn_unused_result));
