/* SPDX-License-Identifier: MIT */
/*
 * The guest's SIMD and x87 registers in the host's, while translated code runs.
 *
 *   cpu->xsave  --fpu_load, trans_fpu_want-->  host registers     at the entry of a block that uses them
 *   cpu->xsave  <--fpu_save------------------  host registers     before C code runs
 *
 * cpu->fpu_live says what the host holds. The vector registers with MXCSR, and the x87 with MMX, come and go each
 * for itself. They are loaded only in states where nothing can fault but memory: the instructions are enabled, and
 * all floating-point exceptions masked. In other states the block is left (cpu->fpu_refused) and the
 * interpreter runs it.
 *
 * FIP, FDP and FOP in the image are the guest's: code notes the addresses of its last x87 instruction (t_x87.c), and
 * whether the host writes them at all is seen from marks, as in x_x87.c.
 */
#include <stddef.h>

#include "accel/soft/fpu.h"
#include "accel/soft/trans_int.h"

/* FOP that no instruction has. */
#define X87_NO_OPCODE FOP_MASK

/* --- Called by the thunks --- */

static bool fpu_vectors_fit(const struct cpu *cpu, unsigned need)
{
    const u64 states = XCR0_SSE | XCR0_AVX;

    if ((cpu->cr0 & (CR0_EM | CR0_TS)) || !(cpu->cr4 & CR4_OSFXSR) ||
        (cpu->xsave.mxcsr & MXCSR_MASKS) != MXCSR_MASKS)
        return false;
    return !(need & FPU_AVX) || ((cpu->cr4 & CR4_OSXSAVE) && (cpu->xcr0 & states) == states);
}

static bool fpu_x87_fits(const struct cpu *cpu)
{
    return !(cpu->cr0 & (CR0_EM | CR0_TS)) && (cpu->xsave.fcw & FCW_MASKS) == FCW_MASKS &&
           !(cpu->xsave.fsw & FSW_ES);
}

static void fpu_x87_load(struct cpu *cpu)
{
    struct xsave_area *x = &cpu->xsave;

    cpu->x87_fip_before = x->fip;
    cpu->x87_fdp_before = x->fdp;
    cpu->x87_fop_before = x->fop;
    x->fip = 0;
    x->fdp = 0;
    x->fop = X87_NO_OPCODE;
    x->xstate_bv = XCR0_X87;
    x->xcomp_bv = 0;
    __asm__ volatile("xrstor64 %0" : : "m"(*x), "a"((u32)XCR0_X87), "d"(0));
}

static void fpu_x87_save(struct cpu *cpu)
{
    struct xsave_area *x = &cpu->xsave;

    __asm__ volatile("xsave64 %0\n\tfninit" : "+m"(*x) : "a"((u32)XCR0_X87), "d"(0));
    x->fip = x->fip ? cpu->x87_page + (cpu->x87_last >> 16) : cpu->x87_fip_before;
    x->fdp = x->fdp ? cpu->x87_fdp : cpu->x87_fdp_before;
    x->fop = x->fop == X87_NO_OPCODE ? cpu->x87_fop_before : cpu->x87_last & FOP_MASK;
}

bool trans_fpu_want(struct cpu *cpu, const struct block *b, unsigned i, unsigned need)
{
    bool vectors = need & (FPU_SSE | FPU_AVX), x87 = need & FPU_X87;

    if ((!vectors || fpu_vectors_fit(cpu, need)) && (!x87 || fpu_x87_fits(cpu))) {
        if (x87)
            fpu_x87_load(cpu);
        cpu->fpu_live = (u8)need;
        if (vectors && fpu_vectors_fit(cpu, FPU_AVX))
            cpu->fpu_live |= FPU_AVX;
        return false;
    }
    cpu->rip = cpu->page_rip + (b->offset & 0xFFF) + b->insns[i].off;
    cpu->icount -= (u64)b->count - i;
    cpu->fpu_refused = true;
    return true;
}

/* --- Thunks --- */

static const struct emit_simd fpu_movups_load = { .map = 1, .opcode = 0x10 };
static const struct emit_simd fpu_movups_store = { .map = 1, .opcode = 0x11 };
static const struct emit_simd fpu_insert_high = {
    .prefix = 0x66, .map = 3, .opcode = 0x18, .vex = true, .l = true
};
static const struct emit_simd fpu_extract_high = {
    .prefix = 0x66, .map = 3, .opcode = 0x19, .vex = true, .l = true
};

static bool fpu_host_avx(void)
{
    return __builtin_cpu_supports("avx");
}

static u8 *fpu_test_live(struct emit *e, unsigned bit)
{
    emit_op_mixed(e, 0, 0xF6, 0, false, 0, true, GS(fpu_live)); /* test */
    emit_byte(e, bit);
    return emit_jcc(e, EMIT_E);
}

static void fpu_move_vectors(struct emit *e, bool store)
{
    const struct emit_simd *high = store ? &fpu_extract_high : &fpu_insert_high;
    struct emit_simd low = store ? fpu_movups_store : fpu_movups_load;

    low.vex = fpu_host_avx();
    for (unsigned n = 0; n < 16; n++) {
        emit_simd(e, &low, n, 0, GS(xsave.xmm[n]));
        if (!fpu_host_avx())
            continue;
        emit_simd(e, high, n, store ? 0 : n, GS(xsave.ymm_hi[n]));
        emit_byte(e, 1);
    }
}

static void fpu_mxcsr(struct emit *e, bool store, struct emit_operand at)
{
    emit_op(e, 0, 0x0FAE, 2, store ? 3 : 2, at);
}

static void fpu_thunk_load(struct emit *e)
{
    fpu_move_vectors(e, false);
    fpu_mxcsr(e, false, GS(xsave.mxcsr));
    emit_byte(e, 0xC3);
}

static void fpu_thunk_save(struct emit *e)
{
    u8 *skip = fpu_test_live(e, FPU_SSE | FPU_AVX);

    fpu_move_vectors(e, true);
    fpu_mxcsr(e, true, GS(xsave.mxcsr));
    fpu_mxcsr(e, false, GS(fpu_host_mxcsr));
    if (fpu_host_avx()) {
        emit_byte(e, 0xC5); /* vzeroupper */
        emit_byte(e, 0xF8);
        emit_byte(e, 0x77);
    }
    emit_patch(e, skip, e->at);
    skip = fpu_test_live(e, FPU_X87);
    emit_group1(e, 0, 5, 3, emit_reg(H_RSP), 8);
    emit_load(e, H_RDI, GS(self));
    emit_mov_imm(e, H_RAX, (u64)(uintptr_t)fpu_x87_save);
    emit_op(e, 0, 0xFF, 2, 2, emit_reg(H_RAX)); /* call */
    emit_group1(e, 0, 0, 3, emit_reg(H_RSP), 8);
    emit_patch(e, skip, e->at);
    emit_op_mixed(e, 0, 0xC6, 0, false, 0, true, GS(fpu_live)); /* mov */
    emit_byte(e, 0);
    emit_byte(e, 0xC3);
}

void t_fpu_thunks(struct emit *e, struct t_thunks *thunks)
{
    thunks->fpu_load = e->at;
    fpu_thunk_load(e);
    thunks->fpu_save = e->at;
    fpu_thunk_save(e);
}

/* --- Blocks --- */

void t_fpu_needs(struct t *t)
{
    unsigned need = 0;

    t->fpu_needs[t->b->count] = 0;
    for (unsigned i = t->b->count; i-- > 0;) {
        need |= t->rows[t->b->insns[i].row].flags >> T_FPU_SHIFT;
        t->fpu_needs[i] = (u8)need;
    }
}

static void t_fpu_check(struct t *t, unsigned bit)
{
    t->stubs[t->stub_count++] = (struct t_stub){ .jump = fpu_test_live(&t->e, bit), .fpu = true };
}

void t_fpu_begin(struct t *t)
{
    unsigned need = t->fpu_needs[0];

    if (need & FPU_AVX)
        t_fpu_check(t, FPU_AVX);
    else if (need & FPU_SSE)
        t_fpu_check(t, FPU_SSE);
    if (need & FPU_X87)
        t_fpu_check(t, FPU_X87);
    for (unsigned i = 0; i < t->stub_count; i++)
        t->stubs[i].resume = t->e.at;
}
