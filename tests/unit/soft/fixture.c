/* SPDX-License-Identifier: MIT */
/* See fixture.h. */
#include "fixture.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "accel/soft/block.h"
#include "accel/soft/cpuid.h"
#include "accel/soft/fault.h"

const u64 fx_features[FEATURE_WORDS] = { [0 ... FEATURE_WORDS - 1] = ~(u64)0 };

/* The fixture of a CPU: the vCPU is embedded in it. */
static struct fx *fx_of(struct cpu *cpu)
{
    return container_of(cpu->vcpu, struct fx, vcpu);
}

/* --- Faults --- */

_Noreturn void cpu_fault(struct cpu *cpu, const struct insn *in, enum vector vector, u32 code)
{
    struct fx *fx = fx_of(cpu);

    fx->vector = (int)vector;
    fx->code = code;
    fx->rip_fault = in ? insn_rip(cpu, in) : cpu->rip;
    siglongjmp(cpu->landing, 1);
}

_Noreturn void cpu_page_fault(struct cpu *cpu, const struct insn *in, gva addr, u32 code)
{
    fx_of(cpu)->cr2 = addr;
    cpu_fault(cpu, in, VEC_PF, code);
}

/* --- Memory --- */

/* Host address of [addr, addr + size), all of it present for the access. */
static u8 *fx_host(struct cpu *cpu, const struct insn *in, gva addr, u64 size, bool write)
{
    struct fx *fx = fx_of(cpu);

    for (u64 i = 0; i < size; i++) {
        u64 page = (addr + i - FX_BASE) / 4096;

        if (page >= FX_PAGES || !(write ? fx->writable : fx->readable)[page])
            cpu_page_fault(cpu, in, addr + i, write ? 2 : 0);
    }
    return fx->ram + (addr - FX_BASE);
}

static bool fx_is_plain(const struct fx *fx, gva addr, u64 size)
{
    return !((addr ^ (addr + size - 1)) & PAGE_MASK) && !fx->mmio[(addr - FX_BASE) / 4096];
}

u64 mem_load_slow(struct cpu *cpu, const struct insn *in, gva addr, unsigned size)
{
    u64 value = 0;

    memcpy(&value, fx_host(cpu, in, addr, size, false), size);
    return value;
}

void mem_store_slow(struct cpu *cpu, const struct insn *in, gva addr, unsigned size, u64 value)
{
    u8 *host = fx_host(cpu, in, addr, size, true);

    memcpy(host, &value, size);
    mem_stored(cpu, host, size);
}

void mem_code_written(struct cpu *cpu, const u8 *host, unsigned size)
{
    struct fx *fx = fx_of(cpu);

    assert(host >= fx->ram && host + size <= fx->ram + FX_SIZE);
    fx->code_writes++;
}

const void *mem_ptr_r(struct cpu *cpu, const struct insn *in, gva addr, unsigned size)
{
    return fx_host(cpu, in, addr, size, false);
}

void *mem_rmw_slow(struct cpu *cpu, const struct insn *in, gva addr, unsigned size)
{
    u8 *host = fx_host(cpu, in, addr, size, true);

    if (fx_is_plain(fx_of(cpu), addr, size))
        return host;
    memcpy(cpu->bounce, host, size);
    return cpu->bounce;
}

void mem_rmw_end_slow(struct cpu *cpu, const struct insn *in, gva addr, unsigned size)
{
    memcpy(fx_host(cpu, in, addr, size, true), cpu->bounce, size);
}

void *mem_run(struct cpu *cpu, const struct insn *in, gva addr, u64 *size, enum access access)
{
    struct fx *fx = fx_of(cpu);
    u8 *host = fx_host(cpu, in, addr, 1, access == ACCESS_WRITE);

    if (++fx->runs == fx->request_after)
        atomic_store(&fx->vcpu.requests, VCPU_REQ_INTR);
    *size = MIN(*size, 4096 - (addr & 0xFFF));
    return fx_is_plain(fx, addr, 1) ? host : NULL;
}

gva mem_seg_linear(struct cpu *cpu, const struct insn *in, enum seg_reg seg, u64 offset,
                   unsigned size, bool write)
{
    const struct segment *s = &cpu->seg[seg];

    (void)write;
    if (cpu->mode & MODE_CS_L)
        return seg >= SEG_FS ? s->base + offset : offset;
    if (offset + size - 1 > s->limit)
        cpu_fault(cpu, in, seg == SEG_SS ? VEC_SS : VEC_GP, 0);
    return (u32)(s->base + offset);
}

gva mem_seg_addr(struct cpu *cpu, const struct insn *in, u64 offset, unsigned size, bool write)
{
    static const u64 masks[4] = { 0, 0xFFFF, 0xFFFFFFFF, ~(u64)0 };

    return mem_seg_linear(cpu, in, (enum seg_reg)in->seg, offset & masks[insn_asz(in)], size,
                          write);
}

/* --- The fixture --- */

struct fx *fx_new(u32 mode)
{
    struct fx *fx = aligned_alloc(4096, align_up(sizeof(*fx), 4096));
    struct cpu *cpu = aligned_alloc(64, align_up(sizeof(*cpu), 64));

    assert(fx && cpu);
    memset(fx, 0, sizeof(*fx));
    memset(cpu, 0, sizeof(*cpu));
    fx->cpu = cpu;
    for (unsigned i = 0; i < FX_PAGES; i++)
        fx->readable[i] = fx->writable[i] = true;
    fx->soft.ram_host = fx->ram;
    fx->soft.ram_size = FX_SIZE;
    fx->soft.code_pages = fx->code_pages;
    cpu->soft = &fx->soft;
    cpu->vcpu = &fx->vcpu;
    cpu->mode = mode;
    cpu->tlb = &cpu->tlbs[0];
    cpu->tlb_gen = 1;
    cpu->gpr[GPR_BIAS] = UINT64_C(1) << 31;
    cpu->gpr[RSP] = FX_BASE + FX_SIZE;
    cpu->rip = 0x1000;
    cpu->sflags = FLAG_1;
    for (unsigned i = 0; i < SEG_COUNT; i++)
        cpu->seg[i].limit = mode == FX_16 ? 0xFFFF : 0xFFFFFFFF;
    fx_tlb_fill(fx);
    return fx;
}

void fx_free(struct fx *fx)
{
    free(fx->cpu);
    free(fx);
}

void fx_tlb_clear(struct fx *fx)
{
    memset(fx->cpu->tlb, 0xFF, sizeof(*fx->cpu->tlb));
}

void fx_tlb_fill(struct fx *fx)
{
    fx_tlb_clear(fx);
    for (unsigned i = 0; i < FX_PAGES; i++) {
        gva page = FX_BASE + i * 4096;
        struct tlb_entry *e = mem_tlb_entry(fx->cpu, page);

        e->addend = (u64)fx->ram - FX_BASE;
        if (fx->readable[i] && !fx->mmio[i])
            e->tag_r = page | fx->cpu->tlb_gen;
        if (fx->writable[i] && !fx->mmio[i])
            e->tag_w = page | fx->cpu->tlb_gen;
    }
}

void fx_decode(struct fx *fx, const u8 *bytes, size_t size)
{
    enum decode_result result = decode_insn(bytes, size, fx->cpu->mode, fx_features, &fx->insns[0]);

    assert(result == DECODE_OK && fx->insns[0].len == size);
    fx->insns[1] = (struct insn){
        .fn = x_block_end, .off = size & 0xFFF, .base = GPR_ZERO, .index = GPR_ZERO, .seg = SEG_DS
    };
}

int fx_run(struct fx *fx, const u8 *bytes, size_t size)
{
    struct cpu *cpu = fx->cpu;

    fx_decode(fx, bytes, size);
    fx->vector = FX_NO_FAULT;
    fx->code_writes = 0;
    fx->runs = 0;
    cpu->gpr[GPR_RIP] = cpu->rip;
    if (sigsetjmp(cpu->landing, 0) == 0)
        fx->insns[0].fn(cpu, fx->insns);
    return fx->vector;
}

u64 fx_get(const struct fx *fx, gva addr, unsigned size)
{
    u64 value = 0;

    assert(addr >= FX_BASE && addr + size <= FX_BASE + FX_SIZE);
    memcpy(&value, fx->ram + (addr - FX_BASE), size);
    return value;
}

void fx_set(struct fx *fx, gva addr, unsigned size, u64 value)
{
    assert(addr >= FX_BASE && addr + size <= FX_BASE + FX_SIZE);
    memcpy(fx->ram + (addr - FX_BASE), &value, size);
}

u64 fx_flags(const struct fx *fx)
{
    return fx->cpu->aflags & FLAGS_ARITH;
}
