/* SPDX-License-Identifier: MIT */
/*
 * Random bytes as code, in every mode: the CPU may do with its guest what it likes, but the host process
 * must not crash,
 * hang or be overrun.
 *
 * Input: a mode, register contents, code. With -DFUZZ_MAIN (the smoke test) the inputs are pseudo-random.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "accel/accel.h"
#include "accel/soft/block.h"
#include "accel/soft/mem.h"
#include "accel/soft/soft.h"
#include "accel/soft/tlb.h"
#include "base/bytes.h"
#include "cli/config.h"
#include "machine/machine.h"

#define FUZZ_RAM    MIB(2)
#define FUZZ_CODE   0x10000u
#define FUZZ_TABLES 0x100000u
#define FUZZ_IDT    0x8000u
#define FUZZ_GDT    0x9000u
#define FUZZ_BLOCKS 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum fuzz_mode {
    FUZZ_REAL,
    FUZZ_PROT16,
    FUZZ_PROT32,
    FUZZ_VM86,
    FUZZ_LONG,
    FUZZ_COMPAT,
    FUZZ_LONG_USER,
    FUZZ_MODES
};

static struct machine fuzz_machine;
static struct config fuzz_config;
static struct cpu *fuzz_cpu;

static int fuzz_no_vector(void *apic)
{
    (void)apic;
    return -1;
}

static u64 fuzz_mmio_read(void *apic, u64 offset, unsigned size)
{
    (void)apic;
    (void)size;
    return offset;
}

static void fuzz_mmio_write(void *apic, u64 offset, unsigned size, u64 value)
{
    (void)apic;
    (void)offset;
    (void)size;
    (void)value;
}

static bool fuzz_msr_read(void *apic, u32 msr, u64 *value)
{
    (void)apic;
    *value = msr;
    return true;
}

static bool fuzz_msr_write(void *apic, u32 msr, u64 value)
{
    (void)apic;
    return (msr ^ value) & 1;
}

static u64 fuzz_get_base(void *apic)
{
    (void)apic;
    return 0xFEE00900;
}

static bool fuzz_set_base(void *apic, u64 value)
{
    (void)apic;
    return !(value & 1);
}

static u8 fuzz_get_cr8(void *apic)
{
    (void)apic;
    return 0;
}

static void fuzz_set_cr8(void *apic, u8 value)
{
    (void)apic;
    (void)value;
}

static void fuzz_apic_init(void *apic)
{
    (void)apic;
}

static const struct vcpu_apic_ops fuzz_apic_ops = {
    .pending = fuzz_no_vector,
    .ack = fuzz_no_vector,
    .mmio_read = fuzz_mmio_read,
    .mmio_write = fuzz_mmio_write,
    .msr_read = fuzz_msr_read,
    .msr_write = fuzz_msr_write,
    .get_base = fuzz_get_base,
    .set_base = fuzz_set_base,
    .get_cr8 = fuzz_get_cr8,
    .set_cr8 = fuzz_set_cr8,
    .init = fuzz_apic_init,
};

static void fuzz_init(void)
{
    struct error err;

    if (fuzz_cpu)
        return;
    config_init(&fuzz_config);
    fuzz_config.ram_size = FUZZ_RAM;
    fuzz_config.smp.cpus = 1;
    fuzz_machine.accel = &accel_soft;
    if (!machine_init(&fuzz_machine, &fuzz_config, &err) ||
        !machine_init_vcpus(&fuzz_machine, &err)) {
        fprintf(stderr, "fuzz_engine: %s\n", err.text);
        exit(1);
    }
    fuzz_machine.vcpus[0].apic_ops = &fuzz_apic_ops;
    fuzz_cpu = fuzz_machine.vcpus[0].accel;
}

/* Identity map of 2 MiB, user and supervisor, in 4 KiB pages. */
static void fuzz_tables(void)
{
    u8 *ram = fuzz_machine.ram.host;

    for (unsigned level = 0; level < 3; level++)
        store_le64(ram + FUZZ_TABLES + level * 0x1000u, (FUZZ_TABLES + (level + 1) * 0x1000u) | 7);
    for (unsigned i = 0; i < 512; i++)
        store_le64(ram + FUZZ_TABLES + 0x3000 + i * 8, i * 0x1000u | 7);
}

/* Gates to the code itself, present for some vectors. */
static void fuzz_idt(unsigned entry_size)
{
    u8 *idt = fuzz_machine.ram.host + FUZZ_IDT;

    memset(idt, 0, 0x1000);
    for (unsigned i = 0; i < 256; i += 2) {
        store_le16(idt + i * entry_size, 0);
        store_le16(idt + i * entry_size + 2, 0x10);
        store_le16(idt + i * entry_size + 4, 0x8E00);
        store_le16(idt + i * entry_size + 6, FUZZ_CODE >> 16);
    }
}

static void fuzz_gdt(void)
{
    static const u64 descriptors[] = {
        0,
        0,
        0x00AF9B000000FFFF,
        0x00CF93000000FFFF,
        0x00CF9B000000FFFF,
        0x008F9B000000FFFF,
        0x00AFFB000000FFFF,
        0x00CFF3000000FFFF,
        0x0000890080000067,
        0,
    };

    for (unsigned i = 0; i < ARRAY_SIZE(descriptors); i++)
        store_le64(fuzz_machine.ram.host + FUZZ_GDT + i * 8, descriptors[i]);
}

static void fuzz_segments(u16 attr, u64 base, u32 limit)
{
    for (unsigned i = 0; i < SEG_COUNT; i++)
        fuzz_cpu->seg[i] = (struct segment){ base, limit, 0x18, attr };
}

static void fuzz_long_mode(struct cpu *cpu, bool user, bool compat)
{
    u16 dpl = user ? 3u << SEG_DPL_SHIFT : 0;

    cpu->cr0 |= CR0_PE | CR0_PG | CR0_NE | CR0_WP;
    cpu->cr4 |= CR4_PAE | CR4_OSFXSR | CR4_OSXSAVE | CR4_OSXMMEXCPT;
    cpu->msr.efer = EFER_LME | EFER_LMA | EFER_NXE | EFER_SCE;
    cpu->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    cpu->cr3 = FUZZ_TABLES;
    fuzz_segments((u16)(SEG_P | SEG_S | 3 | SEG_DB | SEG_G | dpl), 0, 0xFFFFFFFFu);
    cpu->seg[SEG_CS].attr =
        (u16)(SEG_P | SEG_S | SEG_TYPE_CODE | 3 | SEG_G | dpl | (compat ? SEG_DB : SEG_L));
    cpu->seg[SEG_CS].selector = compat ? 0x20 : 0x10;
    fuzz_idt(16);
}

static void fuzz_protected_mode(struct cpu *cpu, bool wide)
{
    cpu->cr0 |= CR0_PE;
    cpu->cr4 |= CR4_OSFXSR;
    fuzz_segments((u16)(SEG_P | SEG_S | 3 | SEG_G | (wide ? SEG_DB : 0)), 0, 0xFFFFFFFFu);
    cpu->seg[SEG_CS].attr |= SEG_TYPE_CODE;
    cpu->seg[SEG_CS].selector = wide ? 0x20 : 0x28;
    fuzz_idt(8);
}

static void fuzz_real_mode(struct cpu *cpu, bool vm86)
{
    fuzz_segments((u16)(SEG_P | SEG_S | 3 | (vm86 ? 3u << SEG_DPL_SHIFT : 0)), FUZZ_CODE, 0xFFFF);
    for (unsigned i = 0; i < SEG_COUNT; i++)
        cpu->seg[i].selector = FUZZ_CODE >> 4;
    cpu->rip = 0;
    if (!vm86)
        return;
    cpu->cr0 |= CR0_PE;
    cpu->sflags |= FLAG_VM | FLAG_IOPL;
    fuzz_idt(8);
}

static void fuzz_mode_set(enum fuzz_mode mode)
{
    struct cpu *cpu = fuzz_cpu;

    cpu->rip = FUZZ_CODE;
    cpu->idtr = (struct table_reg){ FUZZ_IDT, 0xFFF };
    cpu->gdtr = (struct table_reg){ FUZZ_GDT, 0x4F };
    switch (mode) {
    case FUZZ_REAL: fuzz_real_mode(cpu, false); break;
    case FUZZ_VM86: fuzz_real_mode(cpu, true); break;
    case FUZZ_PROT16: fuzz_protected_mode(cpu, false); break;
    case FUZZ_PROT32: fuzz_protected_mode(cpu, true); break;
    case FUZZ_LONG: fuzz_long_mode(cpu, false, false); break;
    case FUZZ_LONG_USER: fuzz_long_mode(cpu, true, false); break;
    case FUZZ_COMPAT:
    case FUZZ_MODES: fuzz_long_mode(cpu, true, true); break;
    }
    tlb_flush(cpu, TLB_FLUSH_ALL, 0);
    cpu_mode_update(cpu);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cpu *cpu;
    size_t code = size > 33 ? size - 33 : 0;

    if (!code)
        return 0;
    fuzz_init();
    cpu = fuzz_cpu;
    memset(fuzz_machine.ram.host, 0, 0x20000);
    fuzz_tables();
    fuzz_gdt();
    accel_soft.vcpu_reset(&fuzz_machine.vcpus[0]);
    /* Each register is a small number, an address near the code, or anything. */
    for (unsigned i = 0; i < 16; i++)
        cpu->gpr[i] = data[1 + i * 2] & 0x80 ? load_le16(data + 1 + i * 2)
                                             : FUZZ_CODE + data[2 + i * 2] * 64u;
    memcpy(fuzz_machine.ram.host + FUZZ_CODE, data + 33, MIN(code, 0x8000));
    block_invalidate(cpu->soft->cache, 0, FUZZ_RAM);
    fuzz_mode_set((enum fuzz_mode)(data[0] % FUZZ_MODES));
    /* A pending request makes long REP instructions stop between elements, so that the blocks bound the time. */
    atomic_store(&fuzz_machine.vcpus[0].requests, VCPU_REQ_QUIT);
    soft_execute(cpu, ~(u64)0, FUZZ_BLOCKS, true);
    return 0;
}

#ifdef FUZZ_MAIN
/* Instructions are likelier than in pure noise when common bytes and prefixes are. */
static u8 fuzz_code_byte(u64 random)
{
    static const u8 common[] = { 0x0F, 0x66, 0x67, 0xF2, 0xF3, 0x48, 0x4C, 0x41,
                                 0xC4, 0xC5, 0x8B, 0x89, 0xF0, 0xA4, 0xAB, 0xCF,
                                 0xCD, 0xCB, 0x9D, 0x8E, 0x22, 0x01, 0xC7, 0xFF };

    return random & 0x300 ? (u8)random : common[(random >> 10) % sizeof(common)];
}

int main(int argc, char **argv)
{
    u64 state = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    u64 count = argc > 1 ? strtoull(argv[1], NULL, 0) : 20000;
    u8 input[256];

    for (u64 n = 0; n < count; n++) {
        for (unsigned i = 0; i < sizeof(input); i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            input[i] = i > 32 ? fuzz_code_byte(state >> 33) : (u8)(state >> 33);
        }
        LLVMFuzzerTestOneInput(input, sizeof(input));
    }
    printf("%llu inputs\n", (unsigned long long)count);
    return 0;
}
#endif
