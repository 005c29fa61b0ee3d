/* SPDX-License-Identifier: MIT */
/* fw_cfg: what firmware sees through the ports and by DMA. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "hw/fw_cfg.h"
#include "unit/fakes/fake_apic.h"
#include "unit/fakes/fake_apic_ram.h"

#define RAM_SIZE   MIB(8)
#define DESC       0x1000u
#define BUFFER     0x2000u
#define DMA_ERROR  1u
#define DMA_READ   2u
#define DMA_SKIP   4u
#define DMA_SELECT 8u
#define DMA_WRITE  16u

struct env {
    struct ram ram;
    struct fw_cfg *fw;
};

static int setup(void **state)
{
    struct env *env = calloc(1, sizeof(*env));

    fake_ram_init(&env->ram, RAM_SIZE);
    env->fw = fw_cfg_new(&env->ram);
    *state = env;
    return 0;
}

static int teardown(void **state)
{
    struct env *env = *state;
    struct device *dev = fw_cfg_device(env->fw);

    dev->ops->free(dev);
    fake_ram_fini(&env->ram);
    free(env);
    return 0;
}

static void select_key(struct env *env, u16 key)
{
    fw_cfg_port_ops.write(env->fw, 0, 2, key);
}

static u8 read_byte(struct env *env)
{
    return (u8)fw_cfg_port_ops.read(env->fw, 1, 1);
}

static void read_bytes(struct env *env, void *data, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ((u8 *)data)[i] = read_byte(env);
}

static u32 read_le32(struct env *env, u16 key)
{
    u8 bytes[4];

    select_key(env, key);
    read_bytes(env, bytes, sizeof(bytes));
    return load_le32(bytes);
}

static void dma_go(struct env *env, gpa desc)
{
    fw_cfg_dma_ops.write(env->fw, 0, 4, __builtin_bswap32((u32)(desc >> 32)));
    fw_cfg_dma_ops.write(env->fw, 4, 4, __builtin_bswap32((u32)desc));
}

/* One transfer by a descriptor at DESC; returns the control word that the device left. */
static u32 dma(struct env *env, u32 control, u32 length, gpa addr)
{
    store_be32(env->ram.host + DESC, control);
    store_be32(env->ram.host + DESC + 4, length);
    store_be64(env->ram.host + DESC + 8, addr);
    dma_go(env, DESC);
    return load_be32(env->ram.host + DESC);
}

static u32 dma_select(struct env *env, u16 key, u32 control, u32 length, gpa addr)
{
    return dma(env, (u32)key << 16 | DMA_SELECT | control, length, addr);
}

/* ---- Ports ---- */

static void signature_is_selected_after_reset(void **state)
{
    struct env *env = *state;
    struct device *dev = fw_cfg_device(env->fw);
    char text[5] = { 0 };

    read_bytes(env, text, 4);
    assert_string_equal(text, "QEMU");
    select_key(env, FW_CFG_ID);
    dev->ops->reset(dev);
    read_bytes(env, text, 4);
    assert_string_equal(text, "QEMU");
}

static void id_tells_of_both_interfaces(void **state)
{
    assert_int_equal(read_le32(*state, FW_CFG_ID), 3);
}

static void selecting_starts_over(void **state)
{
    struct env *env = *state;

    select_key(env, FW_CFG_SIGNATURE);
    assert_int_equal(read_byte(env), 'Q');
    assert_int_equal(read_byte(env), 'E');
    select_key(env, FW_CFG_SIGNATURE);
    assert_int_equal(read_byte(env), 'Q');
}

static void numbers_are_little_endian_and_zeros_follow(void **state)
{
    struct env *env = *state;
    u8 bytes[10];

    fw_cfg_add_u16(env->fw, FW_CFG_NB_CPUS, 0x1234);
    assert_int_equal(read_le32(env, FW_CFG_NB_CPUS), 0x1234);
    fw_cfg_add_u64(env->fw, FW_CFG_RAM_SIZE, UINT64_C(0x123456789ABCDEF0));
    select_key(env, FW_CFG_RAM_SIZE);
    read_bytes(env, bytes, sizeof(bytes));
    assert_true(load_le64(bytes) == UINT64_C(0x123456789ABCDEF0));
    assert_int_equal(bytes[8] | bytes[9], 0);
}

static void unknown_keys_read_zeros(void **state)
{
    static const u16 keys[] = {
        0x06, 0x1A, 0x20, 0x3F, 0x40, 0x3FFF, 0x8000, 0x803F, 0x8040, 0xFFFF
    };
    struct env *env = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(keys); i++)
        assert_int_equal(read_le32(env, keys[i]), 0);
}

static void write_channel_bit_is_ignored(void **state)
{
    assert_int_equal(read_le32(*state, 0x4000 | FW_CFG_ID), 3);
}

static void arch_keys_are_apart(void **state)
{
    struct env *env = *state;

    fw_cfg_add_u32(env->fw, FW_CFG_IRQ0_OVERRIDE, 1);
    assert_int_equal(read_le32(env, FW_CFG_IRQ0_OVERRIDE), 1);
    assert_int_equal(read_le32(env, FW_CFG_IRQ0_OVERRIDE & 0x7FFF), 0);
}

static void only_bytes_are_read_and_words_written(void **state)
{
    struct env *env = *state;

    select_key(env, FW_CFG_SIGNATURE);
    assert_int_equal(fw_cfg_port_ops.read(env->fw, 0, 2), 0);
    fw_cfg_port_ops.write(env->fw, 0, 1, FW_CFG_ID);
    fw_cfg_port_ops.write(env->fw, 1, 1, 'x');
    assert_int_equal(fw_cfg_port_ops.read(env->fw, 0, 1), 'Q'); /* port 0x510 reads data, too */
    assert_int_equal(fw_cfg_port_ops.read(env->fw, 1, 1), 'E');
    assert_int_equal(fw_cfg_port_ops.sizes, BUS_SIZE_1 | BUS_SIZE_2);
    assert_false(fw_cfg_port_ops.split);
}

static void strings_end_in_nul(void **state)
{
    struct env *env = *state;
    char text[10];

    fw_cfg_add_string(env->fw, FW_CFG_CMDLINE_DATA, "console");
    select_key(env, FW_CFG_CMDLINE_DATA);
    read_bytes(env, text, sizeof(text));
    assert_string_equal(text, "console");
}

static void adding_again_replaces(void **state)
{
    struct env *env = *state;
    u8 text[4];

    fw_cfg_add_string(env->fw, FW_CFG_CMDLINE_DATA, "first and long");
    select_key(env, FW_CFG_CMDLINE_DATA);
    for (unsigned i = 0; i < 10; i++)
        read_byte(env);
    fw_cfg_add_string(env->fw, FW_CFG_CMDLINE_DATA, "2nd");
    assert_int_equal(read_byte(env), 0); /* the offset was cut to the new end */
    select_key(env, FW_CFG_CMDLINE_DATA);
    read_bytes(env, text, sizeof(text));
    assert_memory_equal(text, "2nd", 4);
}

static void borrowed_bytes_are_read_where_they_are(void **state)
{
    struct env *env = *state;
    u8 image[3] = { 1, 2, 3 };

    fw_cfg_add_bytes(env->fw, FW_CFG_KERNEL_DATA, image, sizeof(image), FW_CFG_BORROW);
    image[0] = 9;
    select_key(env, FW_CFG_KERNEL_DATA);
    assert_int_equal(read_byte(env), 9);
    fw_cfg_add_bytes(env->fw, FW_CFG_KERNEL_DATA, image, sizeof(image), FW_CFG_COPY);
    image[0] = 7;
    select_key(env, FW_CFG_KERNEL_DATA);
    assert_int_equal(read_byte(env), 9);
}

/* ---- Files ---- */

static void add_text(struct env *env, const char *name, const char *text)
{
    struct error err;

    assert_true(fw_cfg_add_file(env->fw, name, text, strlen(text), FW_CFG_COPY, &err));
}

/* The directory's entry `i`, after checking its reserved field. */
static void read_entry(struct env *env, unsigned i, u32 *size, u16 *key, char name[56])
{
    u8 entry[64];

    select_key(env, FW_CFG_FILE_DIR);
    for (unsigned k = 0; k < 4; k++)
        read_byte(env);
    for (unsigned k = 0; k <= i; k++)
        read_bytes(env, entry, sizeof(entry));
    *size = load_be32(entry);
    *key = load_be16(entry + 4);
    assert_int_equal(load_be16(entry + 6), 0);
    memcpy(name, entry + 8, 56);
}

static void directory_is_sorted_by_name(void **state)
{
    static const char *const sorted[] = { "bootorder", "etc/acpi/rsdp", "etc/e820", "opt/x" };
    struct env *env = *state;
    char name[56];
    u32 size;
    u16 key;

    add_text(env, "etc/e820", "e820!");
    add_text(env, "opt/x", "");
    add_text(env, "bootorder", "b");
    add_text(env, "etc/acpi/rsdp", "rsdp");
    assert_int_equal(read_le32(env, FW_CFG_FILE_DIR), __builtin_bswap32(4));
    for (unsigned i = 0; i < ARRAY_SIZE(sorted); i++) {
        read_entry(env, i, &size, &key, name);
        assert_string_equal(name, sorted[i]);
        assert_int_equal(key, 0x20 + i);
    }
    read_entry(env, 2, &size, &key, name);
    assert_int_equal(size, 5);
    select_key(env, key);
    assert_int_equal(read_byte(env), 'e');
    read_entry(env, 4, &size, &key, name);
    assert_int_equal(key, 0);
}

static void directory_has_room_for_all_entries(void **state)
{
    struct env *env = *state;

    /* 2052 bytes: skipping to its last byte leaves one. */
    assert_int_equal(dma_select(env, FW_CFG_FILE_DIR, DMA_SKIP, 2051, 0), 0);
    env->ram.host[BUFFER] = 0xFF;
    assert_int_equal(dma(env, DMA_READ, 1, BUFFER), 0);
    assert_int_equal(env->ram.host[BUFFER], 0);
}

static void a_file_added_again_is_replaced_in_place(void **state)
{
    struct env *env = *state;
    char name[56];
    u32 size;
    u16 key;

    add_text(env, "b", "old");
    add_text(env, "a", "1");
    add_text(env, "b", "newer");
    assert_int_equal(read_le32(env, FW_CFG_FILE_DIR), __builtin_bswap32(2));
    read_entry(env, 1, &size, &key, name);
    assert_int_equal(size, 5);
    select_key(env, key);
    assert_int_equal(read_byte(env), 'n');
}

static void the_33rd_file_and_long_names_are_refused(void **state)
{
    struct env *env = *state;
    struct error err;
    char name[64];

    for (unsigned i = 0; i < FW_CFG_FILES_MAX; i++) {
        snprintf(name, sizeof(name), "opt/%u", i);
        add_text(env, name, name);
    }
    assert_false(fw_cfg_add_file(env->fw, "opt/more", "x", 1, FW_CFG_COPY, &err));
    assert_non_null(strstr(err.text, "opt/more"));
    add_text(env, "opt/7", "replaced"); /* takes no room */
    memset(name, 'n', 56);
    name[56] = 0;
    assert_false(fw_cfg_add_file(env->fw, name, "x", 1, FW_CFG_COPY, &err));
    name[55] = 0;
    assert_false(fw_cfg_add_file(env->fw, "opt/4G", "", UINT64_C(1) << 32, FW_CFG_BORROW, &err));
    assert_int_equal(read_le32(env, FW_CFG_FILE_DIR), __builtin_bswap32(FW_CFG_FILES_MAX));
}

static void a_name_of_55_bytes_is_taken(void **state)
{
    struct env *env = *state;
    char name[56], seen[56];
    u32 size;
    u16 key;

    memset(name, 'n', 55);
    name[55] = 0;
    add_text(env, name, "x");
    read_entry(env, 0, &size, &key, seen);
    assert_string_equal(seen, name);
}

/* ---- DMA ---- */

static void dma_port_reads_the_signature(void **state)
{
    struct env *env = *state;

    assert_int_equal(fw_cfg_dma_ops.read(env->fw, 0, 1), 'Q');
    assert_int_equal(fw_cfg_dma_ops.read(env->fw, 7, 1), 'G');
    assert_int_equal(fw_cfg_dma_ops.read(env->fw, 2, 2), 0x554D);
    assert_int_equal(fw_cfg_dma_ops.read(env->fw, 0, 4), 0x554D4551);
    assert_int_equal(fw_cfg_dma_ops.read(env->fw, 4, 4), 0x47464320);
    assert_true(fw_cfg_dma_ops.read(env->fw, 0, 8) == UINT64_C(0x47464320554D4551));
}

static void dma_select_and_read(void **state)
{
    struct env *env = *state;

    assert_int_equal(dma_select(env, FW_CFG_SIGNATURE, DMA_READ, 4, BUFFER), 0);
    assert_memory_equal(env->ram.host + BUFFER, "QEMU", 4);
}

static void dma_goes_on_where_it_stopped(void **state)
{
    struct env *env = *state;

    assert_int_equal(dma_select(env, FW_CFG_SIGNATURE, DMA_READ, 1, BUFFER), 0);
    assert_int_equal(dma(env, DMA_SKIP, 1, 0), 0);
    assert_int_equal(read_byte(env), 'M');
    assert_int_equal(dma(env, DMA_READ, 1, BUFFER + 1), 0);
    assert_memory_equal(env->ram.host + BUFFER, "QU", 2);
}

static void dma_reads_zeros_past_the_end(void **state)
{
    struct env *env = *state;

    memset(env->ram.host + BUFFER, 0xFF, 16);
    assert_int_equal(dma_select(env, FW_CFG_SIGNATURE, DMA_READ, 12, BUFFER), 0);
    assert_memory_equal(env->ram.host + BUFFER, "QEMU\0\0\0\0\0\0\0\0\xFF\xFF\xFF\xFF", 16);
    assert_int_equal(dma_select(env, 0x3FFF, DMA_READ, 16, BUFFER), 0);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(env->ram.host[BUFFER + i], 0);
}

static void dma_crosses_its_chunks(void **state)
{
    u64 size = MIB(3) + 17;
    u8 *image = malloc(size);
    struct env *env = *state;
    u64 seed = 1;

    for (u64 i = 0; i < size; i++)
        image[i] = (u8)fake_random(&seed);
    fw_cfg_add_bytes(env->fw, FW_CFG_INITRD_DATA, image, size, FW_CFG_BORROW);
    memset(env->ram.host + MIB(1), 0xFF, MIB(5));
    assert_int_equal(dma_select(env, FW_CFG_INITRD_DATA, DMA_READ, (u32)size + 100, MIB(1)), 0);
    assert_memory_equal(env->ram.host + MIB(1), image, size);
    for (u64 i = 0; i < 100; i++)
        assert_int_equal(env->ram.host[MIB(1) + size + i], 0);
    assert_int_equal(env->ram.host[MIB(1) + size + 100], 0xFF);
    select_key(env, FW_CFG_SIGNATURE);
    fw_cfg_add_bytes(env->fw, FW_CFG_INITRD_DATA, NULL, 0, FW_CFG_BORROW);
    free(image);
}

static void dma_read_beats_write_beats_skip(void **state)
{
    struct env *env = *state;

    assert_int_equal(dma_select(env, 0, DMA_READ | DMA_WRITE | DMA_SKIP, 2, BUFFER), 0);
    assert_memory_equal(env->ram.host + BUFFER, "QE", 2);
    assert_int_equal(dma(env, DMA_WRITE | DMA_SKIP, 1, BUFFER), DMA_ERROR);
    assert_int_equal(read_byte(env), 'M');
}

static void dma_without_operation_moves_nothing(void **state)
{
    struct env *env = *state;

    assert_int_equal(dma_select(env, FW_CFG_SIGNATURE, 0, 0xFFFFFFFF, UINT64_C(1) << 60), 0);
    assert_int_equal(read_byte(env), 'Q');
}

static void dma_skip_is_clamped_to_the_end(void **state)
{
    struct env *env = *state;

    assert_int_equal(dma_select(env, FW_CFG_SIGNATURE, DMA_SKIP, 0xFFFFFFFF, 0), 0);
    assert_int_equal(read_byte(env), 0);
}

static void dma_writes_need_a_writable_file(void **state)
{
    struct env *env = *state;
    u8 bytes[4] = "....";
    struct error err;

    assert_true(fw_cfg_add_writable_file(env->fw, "opt/w", bytes, sizeof(bytes), &err));
    memcpy(env->ram.host + BUFFER, "abcdef", 6);
    assert_int_equal(dma_select(env, FW_CFG_SIGNATURE, DMA_WRITE, 1, BUFFER), DMA_ERROR);
    assert_int_equal(dma_select(env, 0x21, DMA_WRITE, 1, BUFFER), DMA_ERROR);
    assert_int_equal(dma_select(env, 0x20, DMA_WRITE, 2, BUFFER), 0);
    assert_memory_equal(bytes, "ab..", 4);
    assert_int_equal(dma(env, DMA_WRITE, 3, BUFFER), DMA_ERROR); /* does not fit whole */
    assert_memory_equal(bytes, "ab..", 4);
    assert_int_equal(dma(env, DMA_WRITE, 2, BUFFER + 4), 0);
    assert_memory_equal(bytes, "abef", 4);
    assert_int_equal(dma(env, DMA_WRITE, 1, BUFFER), DMA_ERROR);
    assert_int_equal(dma_select(env, 0x20, DMA_WRITE, 2, RAM_SIZE), DMA_ERROR);
    assert_memory_equal(bytes, "abef", 4);
}

static void dma_to_nowhere_is_an_error(void **state)
{
    static const gpa nowhere[] = { RAM_SIZE, RAM_SIZE - 3, 0xFEE00000, UINT64_MAX, UINT64_MAX - 3 };
    struct env *env = *state;

    for (unsigned i = 0; i < ARRAY_SIZE(nowhere); i++) {
        assert_int_equal(dma_select(env, FW_CFG_SIGNATURE, DMA_READ, 4, nowhere[i]), DMA_ERROR);
        assert_int_equal(dma_select(env, 0x3F, DMA_READ, 4, nowhere[i]), DMA_ERROR);
    }
}

static void dma_of_4_gib_stops_at_the_end_of_ram(void **state)
{
    struct env *env = *state;

    memset(env->ram.host + BUFFER, 0xFF, 64);
    assert_int_equal(dma_select(env, 0x3F, DMA_READ, 0xFFFFFFFF, BUFFER), DMA_ERROR);
    assert_int_equal(env->ram.host[BUFFER + 63], 0);
}

static void dma_over_its_own_descriptor_still_reports(void **state)
{
    struct env *env = *state;

    assert_int_equal(dma_select(env, FW_CFG_SIGNATURE, DMA_READ, 16, DESC), 0);
    assert_memory_equal(env->ram.host + DESC, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16);
    assert_int_equal(dma_select(env, FW_CFG_SIGNATURE, DMA_READ, 3, DESC + 2), 0);
    assert_memory_equal(env->ram.host + DESC + 4, "M", 1);
}

static void dma_descriptor_outside_ram_is_survived(void **state)
{
    static const gpa descs[] = { RAM_SIZE, RAM_SIZE - 8, RAM_SIZE - 2, UINT64_MAX,
                                 UINT64_MAX - 15 };
    struct env *env = *state;

    memset(env->ram.host + RAM_SIZE - 8, 0xFF, 8);
    for (unsigned i = 0; i < ARRAY_SIZE(descs); i++)
        dma_go(env, descs[i]);
    /* The control word alone fits at RAM_SIZE - 8. */
    assert_int_equal(load_be32(env->ram.host + RAM_SIZE - 8), DMA_ERROR);
    assert_int_equal(load_be32(env->ram.host + RAM_SIZE - 4), 0xFFFFFFFF);
}

static void dma_high_half_lasts_for_one_transfer(void **state)
{
    struct env *env = *state;

    fake_ram_add(&env->ram, UINT64_C(1) << 32, MIB(1), MIB(4));
    store_be32(env->ram.host + MIB(4) + DESC, 0x77);
    store_be32(env->ram.host + DESC, 0x77);
    dma_go(env, (UINT64_C(1) << 32) + DESC);
    assert_int_equal(load_be32(env->ram.host + MIB(4) + DESC), 0);
    assert_int_equal(load_be32(env->ram.host + DESC), 0x77);
    fw_cfg_dma_ops.write(env->fw, 4, 4, __builtin_bswap32(DESC));
    assert_int_equal(load_be32(env->ram.host + DESC), 0);
}

static void dma_takes_one_8_byte_write_and_no_odd_ones(void **state)
{
    struct env *env = *state;

    store_be32(env->ram.host + DESC, 0x77);
    fw_cfg_dma_ops.write(env->fw, 4, 2, __builtin_bswap32(DESC));
    fw_cfg_dma_ops.write(env->fw, 4, 1, 0x10);
    fw_cfg_dma_ops.write(env->fw, 2, 4, __builtin_bswap32(DESC));
    fw_cfg_dma_ops.write(env->fw, 0, 1, 0x10);
    assert_int_equal(load_be32(env->ram.host + DESC), 0x77);
    fw_cfg_dma_ops.write(env->fw, 0, 8, __builtin_bswap64(DESC));
    assert_int_equal(load_be32(env->ram.host + DESC), 0);
}

/* ---- Random guests ---- */

static void random_port_access(struct env *env, u64 *seed)
{
    unsigned size = 1u << fake_random(seed) % 2;

    if (fake_random(seed) % 2)
        fw_cfg_port_ops.write(env->fw, fake_random(seed) % 2, size, fake_random(seed) & 0xC03F);
    else
        assert_true(fw_cfg_port_ops.read(env->fw, fake_random(seed) % 2, size) <= 0xFF);
}

static void random_dma(struct env *env, u64 *seed)
{
    u32 control = (u32)fake_random(seed) & 0xC03F001F;
    u32 length = (u32)fake_random(seed) >> fake_random(seed) % 32;
    gpa addr = fake_random(seed) >> (fake_random(seed) % 2 ? 40 : fake_random(seed) % 64);
    u32 left = dma(env, control, length, addr);
    bool over = addr < DESC + 4 && addr + length > DESC;

    if (!over)
        assert_in_range(left, 0, DMA_ERROR);
}

static void random_accesses_stay_inside(void **state)
{
    struct env *env = *state;
    u8 *writable = malloc(100); /* exact, so that the sanitizer sees a byte too many */
    struct error err;
    u64 seed = 42;

    add_text(env, "a", "text");
    assert_true(fw_cfg_add_writable_file(env->fw, "w", writable, 100, &err));
    memset(writable, 0, 100);
    for (unsigned i = 0; i < 3000; i++) {
        random_port_access(env, &seed);
        if (i % 8 == 0)
            random_dma(env, &seed);
    }
    assert_int_equal(read_le32(env, FW_CFG_ID), 3);
    select_key(env, 0);
    assert_true(fw_cfg_add_file(env->fw, "w", "", 0, FW_CFG_COPY, &err));
    free(writable);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(signature_is_selected_after_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(id_tells_of_both_interfaces, setup, teardown),
        cmocka_unit_test_setup_teardown(selecting_starts_over, setup, teardown),
        cmocka_unit_test_setup_teardown(numbers_are_little_endian_and_zeros_follow, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(unknown_keys_read_zeros, setup, teardown),
        cmocka_unit_test_setup_teardown(write_channel_bit_is_ignored, setup, teardown),
        cmocka_unit_test_setup_teardown(arch_keys_are_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(only_bytes_are_read_and_words_written, setup, teardown),
        cmocka_unit_test_setup_teardown(strings_end_in_nul, setup, teardown),
        cmocka_unit_test_setup_teardown(adding_again_replaces, setup, teardown),
        cmocka_unit_test_setup_teardown(borrowed_bytes_are_read_where_they_are, setup, teardown),
        cmocka_unit_test_setup_teardown(directory_is_sorted_by_name, setup, teardown),
        cmocka_unit_test_setup_teardown(directory_has_room_for_all_entries, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_added_again_is_replaced_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(the_33rd_file_and_long_names_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_of_55_bytes_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_port_reads_the_signature, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_select_and_read, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_goes_on_where_it_stopped, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_reads_zeros_past_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_crosses_its_chunks, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_read_beats_write_beats_skip, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_without_operation_moves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_skip_is_clamped_to_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_writes_need_a_writable_file, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_to_nowhere_is_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_of_4_gib_stops_at_the_end_of_ram, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_over_its_own_descriptor_still_reports, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_descriptor_outside_ram_is_survived, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_high_half_lasts_for_one_transfer, setup, teardown),
        cmocka_unit_test_setup_teardown(dma_takes_one_8_byte_write_and_no_odd_ones, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(random_accesses_stay_inside, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
