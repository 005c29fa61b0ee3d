/* SPDX-License-Identifier: MIT */
/*
 * The cache of host operations, and running those that may raise SIMD floating-point exceptions.
 *
 * Unmasked exceptions. A guest that unmasks one in MXCSR runs its instruction with its own MXCSR:
 * only the processor knows exactly which flags go with a fault. The host then sends SIGFPE, and the
 * handler here continues the thread at the stub's fault exit. Signal dispositions belong to the
 * process, so the handler is installed once, for all machines, and passes on what is not from a
 * stub.
 */
#include "accel/soft/hostop.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "accel/soft/cpuid.h"
#include "accel/soft/decode.h"
#include "accel/soft/fpu.h"
#include "accel/soft/hostop_stub.h"
#include "base/mem.h"

/*
 * More than all forms of all rows; address space, touched as it is used. test_hostop.c counts the
 * forms.
 */
#define HOSTOP_MAX   (1u << 17)
#define HOSTOP_HASH  (HOSTOP_MAX * 2)
#define HOSTOP_ALIGN 16u
#define CODE_SIZE    ((size_t)HOSTOP_MAX * STUB_MAX)

struct hostop_cache {
    _Atomic(struct hostop *)
        *table;           /* open addressing; entries are only ever added (release, with acquire) */
    pthread_mutex_t lock; /* protects what follows */
    struct hostop *pool;
    u32 used;
    u8 *write;      /* the code, writable */
    const u8 *exec; /* the same pages, executable */
    size_t code_len;
};

/* --- SIGFPE --- */

static pthread_once_t sigfpe_once = PTHREAD_ONCE_INIT;
static struct sigaction sigfpe_previous;

/* The operation that this thread runs with exceptions unmasked, or NULL. */
static _Thread_local const struct hostop *volatile sigfpe_op;

static void sigfpe_pass_on(int sig, siginfo_t *info, void *context)
{
    if (sigfpe_previous.sa_flags & SA_SIGINFO) {
        sigfpe_previous.sa_sigaction(sig, info, context);
    } else if (sigfpe_previous.sa_handler == SIG_DFL || sigfpe_previous.sa_handler == SIG_IGN) {
        /*
         * An ignored SIGFPE of the processor kills as the default does: the instruction runs again.
         */
        sigaction(SIGFPE, &sigfpe_previous, NULL);
    } else {
        sigfpe_previous.sa_handler(sig);
    }
}

static void sigfpe_handler(int sig, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    greg_t *rip = &uc->uc_mcontext.gregs[REG_RIP];
    const struct hostop *op = sigfpe_op;

    if (op && *rip >= (greg_t)(uintptr_t)op->run && *rip < (greg_t)(uintptr_t)op->fault_exit)
        *rip = (greg_t)(uintptr_t)op->fault_exit;
    else
        sigfpe_pass_on(sig, info, context);
}

static void sigfpe_install(void)
{
    struct sigaction action = { .sa_sigaction = sigfpe_handler,
                                .sa_flags = SA_SIGINFO | SA_ONSTACK };

    sigemptyset(&action.sa_mask);
    sigaction(SIGFPE, &action, &sigfpe_previous);
}

/* --- Running --- */

void hostop_restore_mxcsr(const struct cpu *cpu)
{
    u32 value = MXCSR_DEFAULT;

    if (unlikely((cpu->xsave.mxcsr & MXCSR_CONTROL) != MXCSR_DEFAULT))
        __asm__ volatile("ldmxcsr %0" : : "m"(value));
}

int hostop_run_fp(struct cpu *cpu, const struct hostop *op, void *reg, void *vreg, void *is4,
                  void *rm)
{
    int fault;

    if (likely((cpu->xsave.mxcsr & MXCSR_CONTROL) == MXCSR_DEFAULT))
        return op->run(cpu, reg, vreg, is4, rm);
    sigfpe_op = op;
    atomic_signal_fence(memory_order_seq_cst);
    fault = op->run(cpu, reg, vreg, is4, rm);
    atomic_signal_fence(memory_order_seq_cst);
    sigfpe_op = NULL;
    hostop_restore_mxcsr(cpu);
    return fault;
}

/* --- From bytes and rows to a form --- */

struct hostop_bytes {
    bool w, l;
    u8 modrm, imm;
};

static bool hostop_legacy_prefix(u8 byte)
{
    static const u8 prefixes[] = {
        0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3
    };

    return memchr(prefixes, byte, sizeof(prefixes)) != NULL;
}

static const u8 *hostop_parse_vex(struct hostop_bytes *b, const u8 *p)
{
    if (p[0] == 0xC5) {
        b->l = p[1] & 4;
        return p + 2;
    }
    b->w = p[2] & 0x80;
    b->l = p[2] & 4;
    return p + 3;
}

/* Past the prefixes. Of several REX only one right before the opcode counts. */
static const u8 *hostop_parse_prefixes(struct hostop_bytes *b, const u8 *p, u32 mode)
{
    for (;; p++) {
        bool rex = (mode & MODE_CS_L) && (*p & 0xF0) == 0x40;

        if (!rex && !hostop_legacy_prefix(*p))
            return p;
        b->w = rex && (*p & 8);
    }
}

static const u8 *hostop_parse_legacy(const u8 *p)
{
    if (*p != 0x0F)
        return p; /* x87 */
    p++;
    return *p == 0x38 || *p == 0x3A ? p + 1 : p;
}

/* The decoder has accepted the bytes: this only picks fields that struct insn has no room for. */
static struct hostop_bytes hostop_parse(const u8 *bytes, const struct insn *in, bool vex, u32 mode)
{
    struct hostop_bytes b = { 0 };
    const u8 *p = hostop_parse_prefixes(&b, bytes, mode);

    p = vex ? hostop_parse_vex(&b, p) : hostop_parse_legacy(p);
    b.modrm = p[1];
    b.imm = bytes[in->len - 1];
    if (!(mode & MODE_CS_L))
        b.w = false;
    return b;
}

static bool hostop_row_vex(const struct insn_row *row)
{
    return row->map == MAP_V0F || row->map == MAP_V0F38 || row->map == MAP_V0F3A;
}

static bool hostop_row_has_size(const struct insn_row *row, enum operand_size size)
{
    for (unsigned i = 0; i < ARRAY_SIZE(row->op); i++)
        if (operand_kinds[row->op[i]].size == size)
            return true;
    return false;
}

/* PCMPESTRI and PCMPESTRM take their lengths from 64-bit registers with W. */
static bool hostop_row_lengths(const struct insn_row *row)
{
    return (row->map == MAP_0F3A || row->map == MAP_V0F3A) &&
           (row->opcode == 0x60 || row->opcode == 0x61);
}

static bool hostop_wide(const struct insn_row *row, bool w)
{
    if (row->w != WA)
        return row->w == W1;
    return w && (hostop_row_has_size(row, SZ_Y) || hostop_row_lengths(row));
}

static bool hostop_ymm(const struct insn_row *row, bool l)
{
    if (row->l != LA)
        return row->l == L1;
    return l && hostop_row_vex(row) && hostop_row_has_size(row, SZ_X);
}

static struct hostop_form hostop_form(const struct insn_row *row, const struct hostop_bytes *b,
                                      u32 mode)
{
    struct hostop_form form = {
        .row = row,
        .memory = (b->modrm & 0xC0) != 0xC0,
        .wide = hostop_wide(row, b->w),
        .ymm = hostop_ymm(row, b->l),
    };

    if (row_operand(row, SRC_IMM) || row_operand(row, SRC_IS4))
        form.imm = b->imm;
    if (row_operand(row, SRC_IS4) && !(mode & MODE_CS_L))
        form.imm &= 0x7F; /* SDM vol. 2A, 2.3.10: bit 7 counts in 64-bit mode only */
    if (row->attr & ATTR_X87)
        form.modrm = b->modrm; /* all of it: a fault shows it in FOP */
    return form;
}

/* --- A new operation --- */

static unsigned hostop_bytes_of(const struct operand_kind *kind, const struct hostop_form *form)
{
    static const u8 sizes[] = {
        [SZ_B] = 1, [SZ_W] = 2, [SZ_D] = 4, [SZ_Q] = 8, [SZ_DQ] = 16, [SZ_QQ] = 32, [SZ_T] = 10,
    };

    if (kind->size == SZ_X)
        return form->ymm ? 32 : 16;
    if (kind->size == SZ_Y)
        return form->wide ? 8 : 4;
    return kind->size < ARRAY_SIZE(sizes) ? sizes[kind->size] : 0;
}

static struct hostop_slot hostop_slot(const struct operand_kind *kind)
{
    static const struct hostop_slot slots[] = {
        [FILE_GPR] = { offsetof(struct cpu, gpr), 15, 3 },
        [FILE_MMX] = { offsetof(struct cpu, xsave.st), 7, 4 },
        [FILE_XMM] = { offsetof(struct cpu, xsave.xmm), 15, 4 },
    };

    if (!kind || kind->file >= ARRAY_SIZE(slots))
        return (struct hostop_slot){ 0, 0, 0 };
    return slots[kind->file];
}

static void hostop_describe(struct hostop *op, const struct hostop_form *form)
{
    const struct insn_row *row = form->row;
    const struct operand_kind *rm = row_operand(row, SRC_RM);
    const struct operand_kind *result = &operand_kinds[row->op[0]];

    op->reg = hostop_slot(row_operand(row, SRC_REG));
    op->vreg = hostop_slot(row_operand(row, SRC_VVVV));
    op->rm = hostop_slot(rm);
    if (row_operand(row, SRC_IS4))
        op->is4 = (u16)(offsetof(struct cpu, xsave.xmm) + 16 * (form->imm >> 4));
    if (form->memory && rm)
        op->size = (u8)hostop_bytes_of(rm, form);
    if ((row->attr & ATTR_ALIGN) && op->size)
        op->align = op->size - 1;
    op->store = form->memory && result->source == SRC_RM;
    op->vex = hostop_row_vex(row);
    op->mmx = row->attr & ATTR_MMX;
    op->mm_reg = result->file == FILE_MMX && result->source == SRC_REG;
    op->mm_rm = result->file == FILE_MMX && result->source == SRC_RM;
    op->opcode = row->opcode;
    op->modrm = form->modrm;
}

static void hostop_make_stub(struct hostop_cache *cache, struct hostop *op,
                             const struct hostop_form *form)
{
    struct stub stub;
    const u8 *exec = cache->exec + cache->code_len;

    stub_build(&stub, form);
    assert(cache->code_len + stub.len <= CODE_SIZE);
    memcpy(cache->write + cache->code_len, stub.code, stub.len);
    cache->code_len = align_up(cache->code_len + stub.len, HOSTOP_ALIGN);
    op->run = (hostop_fn *)(uintptr_t)exec;
    op->fault_exit = exec + stub.fault_exit;
}

static struct hostop *hostop_new_locked(struct hostop_cache *cache, u64 key,
                                        const struct hostop_form *form)
{
    struct hostop *op = &cache->pool[cache->used];

    assert(cache->used < HOSTOP_MAX);
    cache->used++;
    op->key = key;
    hostop_describe(op, form);
    hostop_make_stub(cache, op, form);
    return op;
}

static u64 hostop_key(const struct insn *in, const struct hostop_form *form)
{
    u64 key = (u64)in->row | (u64)form->memory << 16 | (u64)form->wide << 17 | (u64)form->ymm << 18;

    return key | (u64)form->modrm << 32 | (u64)form->imm << 40 | BIT64(63);
}

struct hostop_form hostop_form_of(const struct hostop *op)
{
    u64 key = op->key;

    return (struct hostop_form){
        .row = &insn_rows[key & 0xFFFF],
        .memory = key >> 16 & 1,
        .wide = key >> 17 & 1,
        .ymm = key >> 18 & 1,
        .modrm = (u8)(key >> 32),
        .imm = (u8)(key >> 40),
    };
}

/* The table's place for `key`: its entry, or the empty one where it belongs. */
static _Atomic(struct hostop *) *hostop_place(struct hostop_cache *cache, u64 key)
{
    u32 i = (u32)((key * 0x9E3779B97F4A7C15u) >> 40) % HOSTOP_HASH;

    for (;;) {
        struct hostop *op = atomic_load_explicit(&cache->table[i], memory_order_acquire);

        if (!op || op->key == key)
            return &cache->table[i];
        i = (i + 1) % HOSTOP_HASH;
    }
}

const struct hostop *hostop_get(struct hostop_cache *cache, const u8 *bytes, const struct insn *in,
                                u32 mode)
{
    const struct insn_row *row = &insn_rows[in->row];
    struct hostop_bytes b = hostop_parse(bytes, in, hostop_row_vex(row), mode);
    struct hostop_form form = hostop_form(row, &b, mode);
    u64 key = hostop_key(in, &form);
    struct hostop *op = atomic_load_explicit(hostop_place(cache, key), memory_order_acquire);

    if (op)
        return op;
    pthread_mutex_lock(&cache->lock);
    op = atomic_load_explicit(hostop_place(cache, key), memory_order_relaxed);
    if (!op) {
        op = hostop_new_locked(cache, key, &form);
        atomic_store_explicit(hostop_place(cache, key), op, memory_order_release);
    }
    pthread_mutex_unlock(&cache->lock);
    return op;
}

/* --- The cache --- */

/* Address space that costs memory only where it is touched. */
static void *hostop_reserve(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    return p == MAP_FAILED ? NULL : p;
}

static bool hostop_map_code(struct hostop_cache *cache)
{
    int fd = memfd_create("mote-hostop", MFD_CLOEXEC);
    void *write = MAP_FAILED;
    void *exec = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, CODE_SIZE) == 0) {
        write = mmap(NULL, CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        exec = mmap(NULL, CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    }
    if (fd >= 0)
        close(fd);
    cache->write = write == MAP_FAILED ? NULL : write;
    cache->exec = exec == MAP_FAILED ? NULL : exec;
    return cache->write && cache->exec;
}

struct hostop_cache *hostop_cache_new(struct error *err)
{
    struct hostop_cache *cache = xcalloc(1, sizeof(*cache));

    pthread_mutex_init(&cache->lock, NULL);
    cache->table = hostop_reserve(HOSTOP_HASH * sizeof(cache->table[0]));
    cache->pool = hostop_reserve(HOSTOP_MAX * sizeof(cache->pool[0]));
    if (!cache->table || !cache->pool || !hostop_map_code(cache)) {
        error_set_errno(err, errno, "cannot map memory for the CPU's host operations");
        hostop_cache_free(cache);
        return NULL;
    }
    pthread_once(&sigfpe_once, sigfpe_install);
    return cache;
}

static void hostop_unmap(void *p, size_t size)
{
    if (p)
        munmap(p, size);
}

void hostop_cache_free(struct hostop_cache *cache)
{
    if (!cache)
        return;
    hostop_unmap((void *)(uintptr_t)cache->exec, CODE_SIZE);
    hostop_unmap(cache->write, CODE_SIZE);
    hostop_unmap(cache->pool, HOSTOP_MAX * sizeof(cache->pool[0]));
    hostop_unmap((void *)(uintptr_t)cache->table, HOSTOP_HASH * sizeof(cache->table[0]));
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}
