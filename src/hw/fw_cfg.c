/* SPDX-License-Identifier: MIT */
/*
 * The firmware configuration device (QEMU's docs/specs/fw_cfg): ports 0x510 and 0x511, DMA at
 * 0x514.
 */
#include "hw/fw_cfg.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "machine/ram.h"

/* Bits of the selector beside the item's number. */
#define FW_CFG_KEY_ARCH       0x8000u
#define FW_CFG_KEY_NUMBER     0x3FFFu /* bit 14, the old write channel, is ignored */

#define FW_CFG_ITEMS          (FW_CFG_FILE_FIRST + FW_CFG_FILES_MAX)

#define FW_CFG_ID_TRADITIONAL BIT(0)
#define FW_CFG_ID_DMA         BIT(1)

/* Bits of the DMA descriptor's control word. */
#define FW_CFG_DMA_ERROR      BIT(0)
#define FW_CFG_DMA_READ       BIT(1)
#define FW_CFG_DMA_SKIP       BIT(2)
#define FW_CFG_DMA_SELECT     BIT(3)
#define FW_CFG_DMA_WRITE      BIT(4)
#define FW_CFG_DMA_KEY        0xFFFF0000u

/* The descriptor in guest memory, big-endian: u32 control, u32 length, u64 address. */
#define FW_CFG_DESC_SIZE      16u
#define FW_CFG_DESC_CONTROL   0u
#define FW_CFG_DESC_LENGTH    4u
#define FW_CFG_DESC_ADDRESS   8u

/*
 * Guest memory is reached in pieces of this size, so that what a bad range has before its hole is
 * transferred.
 */
#define FW_CFG_CHUNK          MIB(1)

/* The directory, big-endian: u32 count, then per file u32 size, u16 key, u16 0, name. */
#define FW_CFG_DIR_ENTRY      64u
#define FW_CFG_DIR_SIZE       (4u + FW_CFG_FILES_MAX * FW_CFG_DIR_ENTRY)

static const u8 fw_cfg_dma_signature[8] = "QEMU CFG";

struct fw_cfg_item {
    const u8 *data;
    u8 *writable; /* the same bytes, when the guest may write them */
    u8 *owned;    /* the same bytes, when they are ours to free */
    u64 size;
};

struct fw_cfg_file {
    char name[FW_CFG_FILE_NAME_MAX];
    struct fw_cfg_item item;
};

/* Guest-visible state. */
struct fw_cfg_state {
    u16 key;
    u64 offset;   /* into the selected item, at most its size */
    u64 dma_addr; /* high half, waiting for the low one */
};

struct fw_cfg {
    struct device dev;
    struct ram *ram;
    struct fw_cfg_state state;
    const struct fw_cfg_item *selected; /* the item of state.key; never NULL */
    struct fw_cfg_item generic[FW_CFG_FILE_FIRST];
    struct fw_cfg_item arch[FW_CFG_ITEMS];
    unsigned file_count;
    struct fw_cfg_file files[FW_CFG_FILES_MAX]; /* by name */
    u8 directory[FW_CFG_DIR_SIZE];
};

/* What keys without an item select. */
static const struct fw_cfg_item fw_cfg_nothing;

/* ---- Items ---- */

static const struct fw_cfg_item *fw_cfg_find(const struct fw_cfg *fw, u16 key)
{
    unsigned n = key & FW_CFG_KEY_NUMBER;

    if (n >= FW_CFG_ITEMS)
        return &fw_cfg_nothing;
    if (key & FW_CFG_KEY_ARCH)
        return &fw->arch[n];
    if (n < FW_CFG_FILE_FIRST)
        return &fw->generic[n];
    n -= FW_CFG_FILE_FIRST;
    return n < fw->file_count ? &fw->files[n].item : &fw_cfg_nothing;
}

static void fw_cfg_select(struct fw_cfg *fw, u16 key)
{
    fw->state.key = key;
    fw->state.offset = 0;
    fw->selected = fw_cfg_find(fw, key);
}

static u64 fw_cfg_left(const struct fw_cfg *fw)
{
    return fw->selected->size - fw->state.offset;
}

static void fw_cfg_item_free(struct fw_cfg_item *item)
{
    free(item->owned);
    memset(item, 0, sizeof(*item));
}

static void fw_cfg_item_set(struct fw_cfg_item *item, const void *data, u64 size,
                            enum fw_cfg_bytes bytes)
{
    u8 *copy = NULL;

    if (bytes == FW_CFG_COPY && size) {
        copy = xcalloc(size, 1);
        memcpy(copy, data, size);
    }
    fw_cfg_item_free(item); /* after the copy: the new bytes may come from the old ones */
    item->owned = copy;
    item->data = copy ? copy : data;
    item->size = size;
}

/* ---- DMA ---- */

/* Move one piece between the selected item (or the zeros behind it) and guest memory. */
static bool fw_cfg_dma_piece(struct fw_cfg *fw, u32 control, gpa addr, u64 size)
{
    const struct fw_cfg_item *item = fw->selected;
    u64 offset = fw->state.offset;

    if (control & FW_CFG_DMA_READ)
        return item->size == offset ? ram_set(fw->ram, addr, 0, size) == 0
                                    : ram_write(fw->ram, addr, item->data + offset, size) == 0;
    if (control & FW_CFG_DMA_WRITE)
        return ram_read(fw->ram, addr, item->writable + offset, size) == 0;
    return true;
}

static bool fw_cfg_dma_move(struct fw_cfg *fw, u32 control, gpa addr, u32 length)
{
    u64 size;

    for (; length; length -= (u32)size, addr += size) {
        u64 left = fw_cfg_left(fw);

        size = MIN(length, left ? MIN(left, FW_CFG_CHUNK) : FW_CFG_CHUNK);
        if (!fw_cfg_dma_piece(fw, control, addr, size))
            return false;
        fw->state.offset += MIN(size, left);
    }
    return true;
}

/* A write fits whole into an item that takes writes, or nothing of it happens. */
static bool fw_cfg_dma_allowed(const struct fw_cfg *fw, u32 control, u32 length)
{
    return !(control & FW_CFG_DMA_WRITE) || (fw->selected->writable && length <= fw_cfg_left(fw));
}

/* The one operation that the control word asks for: reading goes before writing before skipping. */
static u32 fw_cfg_dma_operation(u32 control)
{
    if (control & FW_CFG_DMA_READ)
        return FW_CFG_DMA_READ;
    if (control & FW_CFG_DMA_WRITE)
        return FW_CFG_DMA_WRITE;
    return control & FW_CFG_DMA_SKIP;
}

static void fw_cfg_dma_finish(struct fw_cfg *fw, gpa desc, bool ok)
{
    u8 control[4];

    store_be32(control, ok ? 0 : FW_CFG_DMA_ERROR);
    if (ram_write(fw->ram, desc + FW_CFG_DESC_CONTROL, control, sizeof(control)) < 0)
        guest_error("fw_cfg: DMA descriptor at 0x%llx is not in RAM", (unsigned long long)desc);
}

static void fw_cfg_dma(struct fw_cfg *fw, gpa desc)
{
    u8 raw[FW_CFG_DESC_SIZE];
    u32 control, length, op;
    bool ok = false;

    if (ram_read(fw->ram, desc, raw, sizeof(raw)) == 0) {
        control = load_be32(raw + FW_CFG_DESC_CONTROL);
        if (control & FW_CFG_DMA_SELECT)
            fw_cfg_select(fw, (u16)FIELD_GET(FW_CFG_DMA_KEY, control));
        op = fw_cfg_dma_operation(control);
        length = op ? load_be32(raw + FW_CFG_DESC_LENGTH) : 0;
        ok = fw_cfg_dma_allowed(fw, op, length) &&
             fw_cfg_dma_move(fw, op, load_be64(raw + FW_CFG_DESC_ADDRESS), length);
    }
    if (!ok)
        guest_error("fw_cfg: DMA transfer failed (key 0x%x)", fw->state.key);
    fw_cfg_dma_finish(fw, desc, ok);
}

/* ---- Register access ---- */

/* The data port answers at both addresses, bytes only; past the end it reads zeros. */
static u64 fw_cfg_port_read(void *opaque, u64 offset, unsigned size)
{
    struct fw_cfg *fw = opaque;

    (void)offset;
    if (size != 1 || !fw_cfg_left(fw))
        return 0;
    return fw->selected->data[fw->state.offset++];
}

static void fw_cfg_port_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct fw_cfg *fw = opaque;

    if (offset == 0 && size == 2)
        fw_cfg_select(fw, (u16)value);
}

static u64 fw_cfg_dma_read(void *opaque, u64 offset, unsigned size)
{
    u64 value = 0;

    (void)opaque;
    if (offset + size <= sizeof(fw_cfg_dma_signature))
        for (unsigned i = 0; i < size; i++)
            value |= (u64)fw_cfg_dma_signature[offset + i] << (8 * i);
    return value;
}

static void fw_cfg_dma_start(struct fw_cfg *fw, gpa desc)
{
    fw->state.dma_addr = 0;
    fw_cfg_dma(fw, desc);
}

static void fw_cfg_dma_write(void *opaque, u64 offset, unsigned size, u64 value)
{
    struct fw_cfg *fw = opaque;
    u32 half = __builtin_bswap32((u32)value);

    if (offset == 0 && size == 8)
        fw_cfg_dma_start(fw, __builtin_bswap64(value));
    else if (offset == 4 && size == 4)
        fw_cfg_dma_start(fw, fw->state.dma_addr | half);
    else if (offset == 0 && size == 4)
        fw->state.dma_addr = (u64)half << 32;
}

const struct region_ops fw_cfg_port_ops = {
    .read = fw_cfg_port_read,
    .write = fw_cfg_port_write,
    .sizes = BUS_SIZE_1 | BUS_SIZE_2,
};

const struct region_ops fw_cfg_dma_ops = {
    .read = fw_cfg_dma_read,
    .write = fw_cfg_dma_write,
    .sizes = BUS_SIZE_1 | BUS_SIZE_2 | BUS_SIZE_4 | BUS_SIZE_8,
};

/* ---- Adding items ---- */

/* The items changed under the selector: look its key up again. */
static void fw_cfg_reselect(struct fw_cfg *fw)
{
    fw->selected = fw_cfg_find(fw, fw->state.key);
    fw->state.offset = MIN(fw->state.offset, fw->selected->size);
}

void fw_cfg_add_bytes(struct fw_cfg *fw, u16 key, const void *data, u64 size,
                      enum fw_cfg_bytes bytes)
{
    unsigned n = key & FW_CFG_KEY_NUMBER;
    struct fw_cfg_item *item = key & FW_CFG_KEY_ARCH ? &fw->arch[n] : &fw->generic[n];

    assert(n < (key & FW_CFG_KEY_ARCH ? FW_CFG_ITEMS : FW_CFG_FILE_FIRST));
    fw_cfg_item_set(item, data, size, bytes);
    fw_cfg_reselect(fw);
}

void fw_cfg_add_u16(struct fw_cfg *fw, u16 key, u16 value)
{
    u8 bytes[2];

    store_le16(bytes, value);
    fw_cfg_add_bytes(fw, key, bytes, sizeof(bytes), FW_CFG_COPY);
}

void fw_cfg_add_u32(struct fw_cfg *fw, u16 key, u32 value)
{
    u8 bytes[4];

    store_le32(bytes, value);
    fw_cfg_add_bytes(fw, key, bytes, sizeof(bytes), FW_CFG_COPY);
}

void fw_cfg_add_u64(struct fw_cfg *fw, u16 key, u64 value)
{
    u8 bytes[8];

    store_le64(bytes, value);
    fw_cfg_add_bytes(fw, key, bytes, sizeof(bytes), FW_CFG_COPY);
}

void fw_cfg_add_string(struct fw_cfg *fw, u16 key, const char *text)
{
    fw_cfg_add_bytes(fw, key, text, strlen(text) + 1, FW_CFG_COPY);
}

/* The file `name`, made at its place among the others if it is new; NULL when there is no room. */
static struct fw_cfg_file *fw_cfg_file_place(struct fw_cfg *fw, const char *name)
{
    struct fw_cfg_file *file = fw->files;
    struct fw_cfg_file *end = fw->files + fw->file_count;

    while (file < end && strcmp(file->name, name) < 0)
        file++;
    if (file < end && !strcmp(file->name, name))
        return file;
    if (fw->file_count == FW_CFG_FILES_MAX)
        return NULL;
    memmove(file + 1, file, (size_t)(end - file) * sizeof(*file));
    memset(file, 0, sizeof(*file));
    memcpy(file->name, name, strlen(name));
    fw->file_count++;
    return file;
}

static void fw_cfg_directory_write(struct fw_cfg *fw)
{
    u8 *entry = fw->directory + 4;

    memset(fw->directory, 0, sizeof(fw->directory));
    store_be32(fw->directory, fw->file_count);
    for (unsigned i = 0; i < fw->file_count; i++, entry += FW_CFG_DIR_ENTRY) {
        store_be32(entry, (u32)fw->files[i].item.size);
        store_be16(entry + 4, (u16)(FW_CFG_FILE_FIRST + i));
        memcpy(entry + 8, fw->files[i].name, FW_CFG_FILE_NAME_MAX);
    }
}

bool fw_cfg_add_file(struct fw_cfg *fw, const char *name, const void *data, u64 size,
                     enum fw_cfg_bytes bytes, struct error *err)
{
    struct fw_cfg_file *file;

    if (strlen(name) >= FW_CFG_FILE_NAME_MAX)
        return error_set(err, "the fw_cfg file name '%s' is longer than %u bytes", name,
                         FW_CFG_FILE_NAME_MAX - 1);
    if (size > UINT32_MAX)
        return error_set(err, "the fw_cfg file '%s' is larger than 4 GiB", name);
    file = fw_cfg_file_place(fw, name);
    if (!file)
        return error_set(err, "no room for the fw_cfg file '%s': there are %u files already", name,
                         FW_CFG_FILES_MAX);
    fw_cfg_item_set(&file->item, data, size, bytes);
    fw_cfg_directory_write(fw);
    fw_cfg_reselect(fw);
    return true;
}

bool fw_cfg_add_writable_file(struct fw_cfg *fw, const char *name, void *data, u64 size,
                              struct error *err)
{
    if (!fw_cfg_add_file(fw, name, data, size, FW_CFG_BORROW, err))
        return false;
    fw_cfg_file_place(fw, name)->item.writable = data;
    return true;
}

/* ---- Life ---- */

static void fw_cfg_reset(struct device *dev)
{
    struct fw_cfg *fw = container_of(dev, struct fw_cfg, dev);

    fw->state.dma_addr = 0;
    fw_cfg_select(fw, FW_CFG_SIGNATURE);
}

static void fw_cfg_free(struct device *dev)
{
    struct fw_cfg *fw;

    if (!dev)
        return;
    fw = container_of(dev, struct fw_cfg, dev);
    for (unsigned i = 0; i < ARRAY_SIZE(fw->generic); i++)
        fw_cfg_item_free(&fw->generic[i]);
    for (unsigned i = 0; i < ARRAY_SIZE(fw->arch); i++)
        fw_cfg_item_free(&fw->arch[i]);
    for (unsigned i = 0; i < fw->file_count; i++)
        fw_cfg_item_free(&fw->files[i].item);
    pthread_mutex_destroy(&dev->lock);
    free(fw);
}

static const struct device_ops fw_cfg_device_ops = {
    .reset = fw_cfg_reset,
    .free = fw_cfg_free,
};

struct device *fw_cfg_device(struct fw_cfg *fw)
{
    return &fw->dev;
}

struct fw_cfg *fw_cfg_new(struct ram *ram)
{
    struct fw_cfg *fw = xcalloc(1, sizeof(*fw));

    device_init(&fw->dev, "fw_cfg", &fw_cfg_device_ops);
    fw->ram = ram;
    fw->selected = &fw_cfg_nothing;
    fw_cfg_add_bytes(fw, FW_CFG_SIGNATURE, "QEMU", 4, FW_CFG_COPY);
    fw_cfg_add_u32(fw, FW_CFG_ID, FW_CFG_ID_TRADITIONAL | FW_CFG_ID_DMA);
    fw_cfg_add_bytes(fw, FW_CFG_FILE_DIR, fw->directory, sizeof(fw->directory), FW_CFG_BORROW);
    fw_cfg_reset(&fw->dev);
    return fw;
}
