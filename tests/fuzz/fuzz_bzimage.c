/* SPDX-License-Identifier: MIT */
/*
 * Any bytes as a bzImage: parsed, unpacked and placed in a guest of 24 MiB, without a write outside of the
 * memory that the header claims.
 *
 * Input: the file. With -DFUZZ_MAIN, a smoke run over kernels of each compression format.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "boot/image.h"
#include "boot/linux.h"
#include "boot/unpack.h"
#include "fuzz/smoke.h"
#include "unit/boot/fixture.h"

#define FUZZ_RAM   MIB(24)
#define FUZZ_GUARD 4096u
#define FUZZ_BYTE  0xC5u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct ram fuzz_ram;

static void fuzz_require(bool condition)
{
    if (!condition)
        abort();
}

static void fuzz_setup(void)
{
    struct error err;

    if (fuzz_ram.host)
        return;
    fuzz_require(ram_init(&fuzz_ram, FUZZ_RAM, &err));
    ram_add_slot(&fuzz_ram, 0, FUZZ_RAM, 0);
}

/* Some bytes on both sides of [begin, end), as far as they are in RAM. */
static void fuzz_guard(gpa begin, gpa end, bool check)
{
    u8 *low = fuzz_ram.host + begin - FUZZ_GUARD, *high = fuzz_ram.host + end;
    size_t room = MIN(FUZZ_RAM - end, FUZZ_GUARD);

    if (!check) {
        memset(low, FUZZ_BYTE, FUZZ_GUARD);
        memset(high, FUZZ_BYTE, room);
        return;
    }
    for (size_t i = 0; i < FUZZ_GUARD; i++)
        fuzz_require(low[i] == FUZZ_BYTE && (i >= room || high[i] == FUZZ_BYTE));
}

static void fuzz_params(const struct linux_header *header, const u8 *data)
{
    u8 page[LINUX_PARAMS_SIZE];
    struct e820_map map;

    e820_build(&map, FUZZ_RAM, 0, true);
    linux_build_params(page, data, &(struct linux_params){ .load = header->load, .e820 = &map });
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct linux_header header;
    struct unpack unpack;
    enum image_kind kind;
    struct error err;

    fuzz_setup();
    if (!image_classify(data, size, &kind, &err) || kind != IMAGE_BZIMAGE ||
        !linux_parse(&header, data, size, &err))
        return 0;
    fuzz_params(&header, data);
    fuzz_require(header.kernel_offset + header.kernel_size == size);
    fuzz_require(header.payload_offset + header.payload_size <= size);
    if (linux_end(&header) > FUZZ_RAM || !unpack_plan(&unpack, &header, data, &err) ||
        !unpack.possible)
        return 0;
    fuzz_require(elf_end(&unpack.elf) <= linux_end(&header));
    fuzz_guard(MIB(1), linux_end(&header), false);
    if (unpack_run(&unpack, &fuzz_ram, &err))
        fuzz_require(elf_contains(&unpack.elf, unpack.elf.entry));
    fuzz_guard(MIB(1), linux_end(&header), true);
    fuzz_require(ram_set(&fuzz_ram, 0, 0, FUZZ_RAM) == 0);
    return 0;
}

#ifdef FUZZ_MAIN
#define FUZZ_ROUNDS      1500
#define FUZZ_KERNEL_SIZE 0x3000u
#define FUZZ_HEAD        0x270u

/* A kernel of three pages: text, and data that has to be moved after unpacking. */
static void fuzz_vmlinux(u8 *kernel)
{
    Elf64_Ehdr eh = { .e_ident = { 0x7F, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
                      .e_type = ET_EXEC,
                      .e_machine = EM_X86_64,
                      .e_entry = 0x1000000,
                      .e_phoff = sizeof(eh),
                      .e_phentsize = sizeof(Elf64_Phdr),
                      .e_phnum = 2 };
    Elf64_Phdr ph[2] = {
        { .p_type = PT_LOAD,
          .p_offset = 0x1000,
          .p_paddr = 0x1000000,
          .p_filesz = 64,
          .p_memsz = 64 },
        { .p_type = PT_LOAD,
          .p_offset = 0x2000,
          .p_paddr = 0x1000800,
          .p_filesz = 0x1000,
          .p_memsz = 0x4000 },
    };

    for (unsigned i = 0; i < FUZZ_KERNEL_SIZE; i++)
        kernel[i] = fixture_byte(i);
    memcpy(kernel, &eh, sizeof(eh));
    memcpy(kernel + sizeof(eh), ph, sizeof(ph));
}

int main(void)
{
    static const enum payload_format formats[] = { PAYLOAD_GZIP, PAYLOAD_LZ4, PAYLOAD_ZSTD,
                                                   PAYLOAD_XZ, PAYLOAD_LZMA };
    struct smoke smoke = { 88172645463325252 };
    u8 kernel[FUZZ_KERNEL_SIZE];

    fuzz_vmlinux(kernel);
    for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
        struct blob payload = fixture_compress(formats[i], kernel, sizeof(kernel));
        struct blob seed = fixture_bzimage(payload.data, payload.size);

        fixture_put32(&seed, 0x260, 0x40000); /* init_size */
        smoke_run(&smoke, LLVMFuzzerTestOneInput, seed.data, seed.size, FUZZ_HEAD, FUZZ_ROUNDS);
        free(payload.data);
        free(seed.data);
    }
    ram_fini(&fuzz_ram);
    printf("%u inputs\n", (unsigned)(ARRAY_SIZE(formats) * FUZZ_ROUNDS));
    return 0;
}
#endif
