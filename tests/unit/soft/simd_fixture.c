/* SPDX-License-Identifier: MIT */
/* See simd_fixture.h. */
#include "simd_fixture.h"

#include <assert.h>
#include <string.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/fpu.h"
#include "accel/soft/hostop.h"

/* Memory of any size: all of it is looked at before the first byte moves. */
static void fx_probe(struct cpu *cpu, const struct insn *in, gva addr, unsigned size,
                     enum access access)
{
    for (unsigned i = 0; i < size; i++) {
        u64 one = 1;

        mem_run(cpu, in, addr + i, &one, access);
    }
}

void mem_read(struct cpu *cpu, const struct insn *in, gva addr, void *data, unsigned size)
{
    fx_probe(cpu, in, addr, size, ACCESS_READ);
    for (unsigned i = 0; i < size; i++)
        ((u8 *)data)[i] = mem_load8(cpu, in, addr + i);
}

void mem_write(struct cpu *cpu, const struct insn *in, gva addr, const void *data, unsigned size)
{
    fx_probe(cpu, in, addr, size, ACCESS_WRITE);
    for (unsigned i = 0; i < size; i++)
        mem_store8(cpu, in, addr + i, ((const u8 *)data)[i]);
}

const u64 *cpuid_features(const struct cpuid_model *model)
{
    (void)model;
    return fx_features;
}

struct fx *simd_fx_new(u32 mode)
{
    struct fx *fx = fx_new(mode);
    struct error err;

    fx->soft.hostops = hostop_cache_new(&err);
    assert(fx->soft.hostops);
    fpu_reset(fx->cpu);
    fx->cpu->cr0 = CR0_PE | CR0_NE | CR0_MP;
    fx->cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | CR4_OSXSAVE;
    fx->cpu->xcr0 = XCR0_X87 | XCR0_SSE | XCR0_AVX;
    return fx;
}

void simd_fx_free(struct fx *fx)
{
    hostop_cache_free(fx->soft.hostops);
    fx_free(fx);
}

int simd_run(struct fx *fx, const u8 *bytes, size_t size)
{
    struct cpu *cpu = fx->cpu;
    struct insn *in = fx->insns;

    fx_decode(fx, bytes, size);
    if (insn_rows[in->row].class == CLASS_HOST)
        in->hostop = hostop_get(fx->soft.hostops, bytes, in, cpu->mode);
    fx->vector = FX_NO_FAULT;
    fx->code_writes = 0;
    cpu->gpr[GPR_RIP] = cpu->rip = 0x1000;
    if (sigsetjmp(cpu->landing, 0) == 0)
        in->fn(cpu, in);
    return fx->vector;
}
