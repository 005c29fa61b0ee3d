/* SPDX-License-Identifier: MIT */
/*
 * The host side of the differential tests: the case runs natively at its fixed addresses.
 *
 * A breakpoint in the harness enters: its signal frame is replaced by the case's registers, so that returning
 * from the handler loads all of them at once. The INT3 after the code, or the fault, comes back the same way.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "case.h"

#define NATIVE_CS64             0x33u
#define NATIVE_CS32             0x23u
#define NATIVE_DS               0x2Bu
#define NATIVE_FLAGS            (FLAGS_ARITH | FLAG_DF | FLAG_AC | FLAG_ID)

/* The kernel's extended state in a signal frame: magic numbers at the end of the legacy region. */
#define NATIVE_FP_XSTATE_MAGIC1 0x46505853u
#define NATIVE_SW_BYTES_OFFSET  464

static u8 *native_code; /* writable view of the code pages */

/* What the handler works on. */
static struct {
    bool inside;
    const struct insn_case *c;
    struct case_state *state;
    struct case_end end;
    ucontext_t harness;
    u8 harness_fp[4096];
} native;

static const int native_gregs[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static void native_fail(const char *what)
{
    fprintf(stderr, "native: %s: %s\n", what, strerror(errno));
    exit(1);
}

static u32 native_fp_size(const void *fp)
{
    u32 magic, size;

    memcpy(&magic, (const u8 *)fp + NATIVE_SW_BYTES_OFFSET, 4);
    memcpy(&size, (const u8 *)fp + NATIVE_SW_BYTES_OFFSET + 4, 4);
    return magic == NATIVE_FP_XSTATE_MAGIC1 && size <= sizeof(native.harness_fp) ? size : 512;
}

/* Put the case's x87, SSE and AVX state into a frame; its software bytes stay. */
static void native_load_fp(u8 *fp, const struct xsave_area *x)
{
    u64 bv;

    memcpy(fp, x, 416);
    memcpy(&bv, fp + 512, 8);
    bv |= XCR0_X87 | XCR0_SSE | XCR0_AVX;
    memcpy(fp + 512, &bv, 8);
    memcpy(fp + 576, x->ymm_hi, sizeof(x->ymm_hi));
}

/* Components in their initial state may be left out of the frame. */
static void native_store_fp(const u8 *fp, struct xsave_area *x)
{
    u64 bv;

    memcpy(&bv, fp + 512, 8);
    memcpy(x, fp, 416);
    if (!(bv & XCR0_X87)) {
        memset(x, 0, 24);
        x->fcw = 0x37F;
        memset(x->st, 0, sizeof(x->st));
    }
    if (!(bv & XCR0_SSE))
        memset(x->xmm, 0, sizeof(x->xmm));
    if (bv & XCR0_AVX)
        memcpy(x->ymm_hi, fp + 576, sizeof(x->ymm_hi));
    else
        memset(x->ymm_hi, 0, sizeof(x->ymm_hi));
}

static void native_enter(ucontext_t *uc)
{
    greg_t *g = uc->uc_mcontext.gregs;
    u8 *fp = (u8 *)uc->uc_mcontext.fpregs;

    native.harness = *uc;
    memcpy(native.harness_fp, fp, native_fp_size(fp));
    for (unsigned i = 0; i < 16; i++)
        g[native_gregs[i]] = (greg_t)native.state->gpr[i];
    g[REG_RIP] = (greg_t)native.state->rip;
    g[REG_EFL] =
        (g[REG_EFL] & ~(greg_t)NATIVE_FLAGS) | (greg_t)(native.state->rflags & NATIVE_FLAGS);
    if (native.c->code32)
        g[REG_CSGSFS] = (g[REG_CSGSFS] & ~(greg_t)0xFFFF) | NATIVE_CS32;
    native_load_fp(fp, &native.state->xsave);
    native.inside = true;
}

static void native_leave(ucontext_t *uc)
{
    greg_t *g = uc->uc_mcontext.gregs;
    u8 *fp = (u8 *)uc->uc_mcontext.fpregs;
    fpregset_t fpregs = uc->uc_mcontext.fpregs;

    for (unsigned i = 0; i < 16; i++)
        native.state->gpr[i] = (u64)g[native_gregs[i]];
    native.state->rip = (u64)g[REG_RIP];
    native.state->rflags = (u64)g[REG_EFL];
    native.end.vector = (u32)g[REG_TRAPNO];
    native.end.code = (u32)g[REG_ERR];
    native.end.cr2 = (u64)g[REG_CR2];
    if (native.end.vector == 3)
        native.state->rip--;
    native_store_fp(fp, &native.state->xsave);
    memcpy(fp, native.harness_fp, native_fp_size(fp));
    *uc = native.harness;
    uc->uc_mcontext.fpregs = fpregs;
    native.inside = false;
}

static void native_signal(int number, siginfo_t *info, void *context)
{
    static const char text[] = "native: the harness itself faulted\n";

    (void)info;
    if (native.inside) {
        native_leave(context);
        return;
    }
    if (number == SIGTRAP) {
        native_enter(context);
        return;
    }
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        _exit(3);
    _exit(2);
}

static void *native_map(u64 at, size_t size, int prot, int fd)
{
    int flags = MAP_FIXED_NOREPLACE | (fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED);
    void *p = mmap((void *)at, size, prot, flags, fd, 0); // NOLINT(performance-no-int-to-ptr)

    if (p == MAP_FAILED)
        native_fail("cannot map the case's memory");
    return p;
}

static void native_map_code(void)
{
    int fd = memfd_create("code", MFD_CLOEXEC);

    if (fd < 0 || ftruncate(fd, CASE_CODE_SIZE))
        native_fail("memfd");
    native_map(CASE_CODE, CASE_CODE_SIZE, PROT_READ | PROT_EXEC, fd);
    native_code = mmap(NULL, CASE_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (native_code == MAP_FAILED)
        native_fail("mmap");
    close(fd);
    memset(native_code, 0xCC, CASE_CODE_SIZE);
}

void native_init(void)
{
    static const int signals[] = { SIGTRAP, SIGSEGV, SIGILL, SIGFPE, SIGBUS };
    struct sigaction sa = { .sa_sigaction = native_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    stack_t stack = { .ss_size = 128 * 1024 };

    /* 64-bit processes run with null data segments, which 32-bit code cannot use. */
    __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" ::"r"(NATIVE_DS));
    native_map_code();
    native_map(CASE_DATA, CASE_DATA_SIZE, PROT_READ | PROT_WRITE, -1);
    native_map(CASE_STACK, CASE_STACK_SIZE, PROT_READ | PROT_WRITE, -1);
    stack.ss_sp = malloc(stack.ss_size);
    if (!stack.ss_sp || sigaltstack(&stack, NULL))
        native_fail("sigaltstack");
    sigfillset(&sa.sa_mask);
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        if (sigaction(signals[i], &sa, NULL))
            native_fail("sigaction");
}

struct case_end native_run(const struct insn_case *c, struct case_state *state)
{
    u8 *data = (u8 *)CASE_DATA, *stack = (u8 *)CASE_STACK; // NOLINT(performance-no-int-to-ptr)

    memcpy(native_code + (CASE_ENTRY - CASE_CODE), c->code, c->size);
    memcpy(data, state->data, sizeof(state->data));
    memcpy(stack, state->stack, sizeof(state->stack));
    native.c = c;
    native.state = state;
    __asm__ volatile("int3" ::: "memory");
    memcpy(state->data, data, sizeof(state->data));
    memcpy(state->stack, stack, sizeof(state->stack));
    memset(native_code + (CASE_ENTRY - CASE_CODE), 0xCC, c->size);
    return native.end;
}
