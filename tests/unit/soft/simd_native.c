/* SPDX-License-Identifier: MIT */
/* See simd_native.h. */
#include "simd_native.h"

#include <assert.h>
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

void native_enter(struct native *n);
extern const void *native_target;
extern u64 native_rdi;
const void *native_target;
u64 native_rdi;

static sigjmp_buf native_landing;
static volatile bool native_inside;
static u32 native_fault_mxcsr;
static u8 *native_page;

_Static_assert(offsetof(struct native, flags) == 128 && offsetof(struct native, xsave) == 192,
               "native_enter knows the layout");

__asm__(".text\n"
        ".globl native_enter\n"
        "native_enter:\n"
        "  push %rbp; push %rbx; push %r12; push %r13; push %r14; push %r15; push %rdi\n"
        "  mov $7, %eax; xor %edx, %edx; xrstor64 192(%rdi)\n"
        "  pushq 128(%rdi); popfq\n"
        "  mov 0(%rdi), %rax; mov 8(%rdi), %rcx; mov 16(%rdi), %rdx; mov 24(%rdi), %rbx\n"
        "  mov 40(%rdi), %rbp; mov 48(%rdi), %rsi; mov 64(%rdi), %r8; mov 72(%rdi), %r9\n"
        "  mov 80(%rdi), %r10; mov 88(%rdi), %r11; mov 96(%rdi), %r12; mov 104(%rdi), %r13\n"
        "  mov 112(%rdi), %r14; mov 120(%rdi), %r15; mov 56(%rdi), %rdi\n"
        "  call *native_target(%rip)\n"
        "  mov %rdi, native_rdi(%rip); mov (%rsp), %rdi\n"
        "  mov %rax, 0(%rdi); mov %rcx, 8(%rdi); mov %rdx, 16(%rdi); mov %rbx, 24(%rdi)\n"
        "  mov %rbp, 40(%rdi); mov %rsi, 48(%rdi); mov %r8, 64(%rdi); mov %r9, 72(%rdi)\n"
        "  mov %r10, 80(%rdi); mov %r11, 88(%rdi); mov %r12, 96(%rdi); mov %r13, 104(%rdi)\n"
        "  mov %r14, 112(%rdi); mov %r15, 120(%rdi); mov native_rdi(%rip), %rax\n"
        "  mov %rax, 56(%rdi); pushfq; popq 128(%rdi)\n"
        "  mov $7, %eax; xor %edx, %edx; xsave64 192(%rdi)\n"
        "  vzeroupper; fninit; push $0x1F80; ldmxcsr (%rsp); add $8, %rsp\n"
        "  pop %rdi; pop %r15; pop %r14; pop %r13; pop %r12; pop %rbx; pop %rbp; ret\n");

static void native_signal(int sig, siginfo_t *info, void *context)
{
    const ucontext_t *uc = context;

    (void)info;
    assert(native_inside);
    native_fault_mxcsr = uc->uc_mcontext.fpregs->mxcsr;
    siglongjmp(native_landing, sig);
}

static const int signals[] = { SIGFPE, SIGSEGV, SIGILL };
static struct sigaction native_kept[ARRAY_SIZE(signals)];

void native_keep_handlers(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        sigaction(signals[i], NULL, &native_kept[i]);
}

void native_arm(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        sigaction(signals[i], &native_kept[i], NULL);
}

bool native_setup(void)
{
    struct sigaction action = { .sa_sigaction = native_signal,
                                .sa_flags = SA_SIGINFO | SA_NODEFER };

    for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
        sigaction(signals[i], &action, NULL);
    native_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(native_page != MAP_FAILED);
    return native_has(FEAT_AVX);
}

u64 native_code_address(void)
{
    return (u64)(uintptr_t)native_page;
}

int native_run(struct native *n, const u8 *bytes, unsigned size)
{
    int sig;

    mprotect(native_page, 4096, PROT_READ | PROT_WRITE);
    memcpy(native_page, bytes, size);
    native_page[size] = 0xC3;
    mprotect(native_page, 4096, PROT_READ | PROT_EXEC);
    native_target = native_page;
    n->flags = (n->flags & FLAGS_ARITH) | FLAG_1 | FLAG_IF;
    n->xsave.xstate_bv = 7;
    n->xsave.xcomp_bv = 0;
    sig = sigsetjmp(native_landing, 1);
    if (sig == 0) {
        native_inside = true;
        native_enter(n);
    } else {
        n->xsave.mxcsr = native_fault_mxcsr;
    }
    native_inside = false;
    return sig;
}

bool native_has(enum cpu_feature feature)
{
    unsigned a, b, c, d, b7, c7, xsave;

    __cpuid_count(7, 0, a, b7, c7, d);
    __cpuid_count(13, 1, xsave, b, c, d);
    __cpuid(1, a, b, c, d);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wswitch-enum"
    switch (feature) {
    case FEAT_SSE3: return c & BIT(0);
    case FEAT_PCLMULQDQ: return c & BIT(1);
    case FEAT_SSSE3: return c & BIT(9);
    case FEAT_FMA: return c & BIT(12);
    case FEAT_SSE41: return c & BIT(19);
    case FEAT_SSE42: return c & BIT(20);
    case FEAT_AES: return c & BIT(25);
    case FEAT_XSAVE: return c & BIT(27);
    case FEAT_AVX: return c & BIT(28);
    case FEAT_F16C: return c & BIT(29);
    case FEAT_AVX2: return b7 & BIT(5);
    case FEAT_SHA: return b7 & BIT(29);
    case FEAT_GFNI: return c7 & BIT(8);
    case FEAT_VAES: return c7 & BIT(9);
    case FEAT_XSAVEOPT: return xsave & BIT(0);
    case FEAT_XSAVEC: return xsave & BIT(1);
    case FEAT_VPCLMULQDQ: return c7 & BIT(10);
    default: return true;
    }
#pragma GCC diagnostic pop
}
