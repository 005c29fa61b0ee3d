/* SPDX-License-Identifier: MIT */
/*
 * The software accelerator: CPUs that interpret decoded blocks.
 *
 * run: serve requests, find the block at RIP, call its first handler, which calls the next, until the block's last one
 * returns here. Faults come back through the one landing, are delivered, and the loop goes on.
 */
#include "accel/soft/soft.h"

#include "accel/accel.h"

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "accel/soft/block.h"
#include "accel/soft/cpu_reset.h"
#include "accel/soft/cpuid.h"
#include "accel/soft/dump.h"
#include "accel/soft/event.h"
#include "accel/soft/fault.h"
#include "accel/soft/host_cpu.h"
#include "accel/soft/hostop.h"
#include "accel/soft/hypercall.h"
#include "accel/soft/mem.h"
#include "accel/soft/perfmap.h"
#include "accel/soft/stats.h"
#include "accel/soft/tlb.h"
#include "accel/soft/trans.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/config.h"
#include "machine/machine.h"

/* Bytes of decoded blocks kept for a machine. A stock kernel's boot decodes about twice this, most of it once. */
#define SOFT_CACHE_SIZE           MIB(6)

/* With the translator more is kept: what is dropped must be found hot again. */
#define SOFT_CACHE_SIZE_TRANSLATE MIB(16)

/* Nothing is being delivered: no exception combines with it. */
#define SOFT_NO_VECTOR            0xFFFFFFFFu

/* What the landing is told. */
enum landing { LAND_NONE, LAND_FAULT, LAND_EXIT_BLOCK, LAND_TRIPLE_FAULT, LAND_ERROR };

#define DR6_BS    BIT64(14)
#define DR6_BD    BIT64(13)
#define DR6_FIXED 0xFFFF0FF0u
#define DR7_GD    BIT64(13)

/* --- Leaving an instruction early (fault.h) --- */

static _Noreturn void soft_land(struct cpu *cpu, const struct insn *in, enum landing why)
{
    if (in)
        cpu->rip = insn_rip(cpu, in);
    /* The block counted all its instructions at its start; those from this one on have not run. */
    if (in && cpu->block)
        cpu->icount -= cpu->block->count - (u64)(in - cpu->block->insns);
    siglongjmp(cpu->landing, why);
}

void cpu_fault(struct cpu *cpu, const struct insn *in, enum vector vector, u32 code)
{
    cpu->fault_vector = vector;
    cpu->fault_code = code;
    soft_land(cpu, in, LAND_FAULT);
}

void cpu_page_fault(struct cpu *cpu, const struct insn *in, gva addr, u32 code)
{
    cpu->cr2 = addr;
    cpu_fault(cpu, in, VEC_PF, code);
}

void cpu_triple_fault(struct cpu *cpu)
{
    siglongjmp(cpu->landing, LAND_TRIPLE_FAULT);
}

void cpu_exit_block(struct cpu *cpu)
{
    siglongjmp(cpu->landing, LAND_EXIT_BLOCK);
}

void cpu_internal_error(struct cpu *cpu, const char *format, ...)
{
    char text[256], dump[4096];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    log_error("CPU %u: not emulated: %s", cpu->vcpu->id, text);
    cpu_dump(cpu, dump, sizeof(dump));
    log_text(dump);
    siglongjmp(cpu->landing, LAND_ERROR);
}

/* --- Exceptions: which of two counts, SDM vol. 3A, 6.15 table 6-5 --- */

static bool soft_is_contributory(u32 vector)
{
    return vector == VEC_DE || (vector >= VEC_TS && vector <= VEC_GP);
}

static bool soft_makes_double_fault(u32 first, u32 second)
{
    if (soft_is_contributory(first))
        return soft_is_contributory(second);
    return first == VEC_PF && (second == VEC_PF || soft_is_contributory(second));
}

static void soft_log_triple_fault(struct cpu *cpu)
{
    char dump[4096];

    if (!log_on(LOG_CPU_RESET | LOG_INT))
        return;
    log_line("cpu %u: triple fault", cpu->vcpu->id);
    cpu_dump(cpu, dump, sizeof(dump));
    log_text(dump);
}

/* Choose the exception that the pending fault makes together with the one being delivered. */
static void soft_combine_faults(struct cpu *cpu)
{
    u32 first = cpu->fault_previous;

    if (!cpu->fault_depth)
        return;
    if (first == VEC_DF)
        cpu_triple_fault(cpu);
    if (soft_makes_double_fault(first, cpu->fault_vector)) {
        cpu->fault_vector = VEC_DF;
        cpu->fault_code = 0;
    }
}

static void soft_deliver(struct cpu *cpu, u32 vector, u32 code, enum event_kind kind)
{
    LOG(LOG_INT,
        "cpu %u: %s 0x%02x code 0x%x at 0x%04x:0x%llx stack 0x%04x:0x%llx cr2 0x%llx cpl %u",
        cpu->vcpu->id, kind == EVENT_EXCEPTION ? "exception" : "interrupt", vector, code,
        cpu->seg[SEG_CS].selector, (unsigned long long)cpu->rip, cpu->seg[SEG_SS].selector,
        (unsigned long long)cpu->gpr[RSP], (unsigned long long)cpu->cr2, cpu->cpl);
    stats_enter(cpu, STATS_LOOP);
    stats_delivered(cpu, kind != EVENT_EXCEPTION, vector);
    cpu->fault_depth = 1;
    cpu->fault_previous = kind == EVENT_EXCEPTION ? vector : SOFT_NO_VECTOR;
    event_deliver(cpu, vector, code, kind);
    cpu->fault_depth = 0;
}

static void soft_deliver_fault(struct cpu *cpu)
{
    cpu->stat_exceptions++;
    soft_combine_faults(cpu);
    soft_deliver(cpu, cpu->fault_vector, cpu->fault_code, EVENT_EXCEPTION);
}

/* A #DB trap with the causes gathered in db_pending. */
static void soft_deliver_debug(struct cpu *cpu)
{
    cpu->dr[6] = (cpu->dr[6] & ~(u64)0xF) | DR6_FIXED | cpu->db_pending;
    cpu->db_pending = 0;
    cpu->dr[7] &= ~DR7_GD;
    cpu_mode_update(cpu);
    cpu->stat_exceptions++;
    soft_deliver(cpu, VEC_DB, 0, EVENT_EXCEPTION);
}

/* --- Requests --- */

static void soft_init_signal(struct cpu *cpu)
{
    struct vcpu *vcpu = cpu->vcpu;

    vcpu->apic_ops->init(vcpu->apic);
    cpu_reset(cpu, true);
    vcpu->run_state = vcpu->bsp ? VCPU_RUNNING : VCPU_WAIT_SIPI;
}

static void soft_startup_signal(struct cpu *cpu)
{
    struct vcpu *vcpu = cpu->vcpu;
    u8 vector = atomic_load(&vcpu->sipi_vector);

    if (vcpu->run_state != VCPU_WAIT_SIPI)
        return;
    cpu->seg[SEG_CS].selector = (u16)(vector << 8);
    cpu->seg[SEG_CS].base = (u64)vector << 12;
    cpu->rip = 0;
    cpu_mode_update(cpu);
    vcpu->run_state = VCPU_RUNNING;
}

static void soft_interrupt(struct cpu *cpu)
{
    struct vcpu *vcpu = cpu->vcpu;
    int vector;

    vcpu_take(vcpu, VCPU_REQ_INTR);
    if (!(cpu->sflags & FLAG_IF)) {
        cpu->intr_waiting = true;
        return;
    }
    cpu->intr_waiting = false;
    vector = vcpu->apic_ops->ack(vcpu->apic);
    if (vector < 0)
        return;
    vcpu->run_state = VCPU_RUNNING;
    /* Another one may wait behind this one. */
    if (vcpu->apic_ops->pending(vcpu->apic) >= 0)
        atomic_fetch_or(&vcpu->requests, VCPU_REQ_INTR);
    cpu->stat_interrupts++;
    /* Without breakpoints nothing clears RF instruction by instruction; the one that it covered is long done. */
    if (!(cpu->mode & MODE_STEP))
        cpu->sflags &= ~FLAG_RF;
    soft_deliver(cpu, (u32)vector, 0, EVENT_EXTERNAL);
}

static void soft_nmi(struct cpu *cpu)
{
    if (cpu->nmi_blocked)
        return;
    vcpu_take(cpu->vcpu, VCPU_REQ_NMI);
    cpu->nmi_blocked = true;
    cpu->vcpu->run_state = VCPU_RUNNING;
    soft_deliver(cpu, VEC_NMI, 0, EVENT_EXTERNAL);
}

/* The block cache wants its memory back: this is a point without block pointers. */
static void soft_sync_cache(struct cpu *cpu)
{
    vcpu_take(cpu->vcpu, VCPU_REQ_ACCEL);
    cpu->block = NULL;
    block_enter(cpu);
}

/* False: leave the run loop. */
static bool soft_serve(struct cpu *cpu)
{
    struct vcpu *vcpu = cpu->vcpu;
    u32 requests = atomic_load(&vcpu->requests);

    if (requests & (VCPU_REQ_PAUSE | VCPU_REQ_QUIT))
        return false;
    if (requests & VCPU_REQ_ACCEL)
        soft_sync_cache(cpu);
    if (vcpu_take(vcpu, VCPU_REQ_INIT))
        soft_init_signal(cpu);
    if (vcpu_take(vcpu, VCPU_REQ_SIPI))
        soft_startup_signal(cpu);
    if (vcpu->run_state == VCPU_WAIT_SIPI) {
        if (vcpu_take(vcpu, VCPU_REQ_INTR))
            cpu->intr_waiting = true;
        vcpu_take(vcpu, VCPU_REQ_NMI);
        return true;
    }
    if (cpu->shadow)
        return true; /* not before the next instruction; the request stays */
    if ((requests & VCPU_REQ_NMI) && !cpu->nmi_blocked)
        soft_nmi(cpu);
    else if (requests & VCPU_REQ_INTR)
        soft_interrupt(cpu);
    return true;
}

/* HLT, and waiting for SIPI: sleep until a request changes the state. False: leave the run loop. */
static bool soft_wait(struct cpu *cpu)
{
    struct vcpu *vcpu = cpu->vcpu;

    cpu->shadow = false;
    while (vcpu->run_state != VCPU_RUNNING) {
        if (!atomic_load(&vcpu->requests)) {
            block_leave(cpu);
            stats_enter(cpu, STATS_IDLE);
            vcpu_park(vcpu);
            stats_enter(cpu, STATS_LOOP);
            block_enter(cpu);
        }
        if (!soft_serve(cpu))
            return false;
        if (vcpu->run_state == VCPU_HALTED && hypercall_take_kick(vcpu))
            vcpu->run_state = VCPU_RUNNING;
    }
    return true;
}

/* --- Running --- */

static inline struct block *soft_next_block(struct cpu *cpu)
{
    struct jmp_cache_entry *e = block_jmp_slot(cpu, cpu->rip);

    if (likely(e->rip == (cpu->rip | cpu->jmp_base) && e->key == cpu->jmp_key))
        return e->block;
    cpu->block = NULL;
    return block_find(cpu);
}

/* Count a run; after enough of them the block is translated. */
static void soft_count_run(struct cpu *cpu, struct block *b)
{
    u16 runs = (u16)(__atomic_load_n(&b->runs, __ATOMIC_RELAXED) + 1);

    if (runs > cpu->soft->translate_after)
        return;
    __atomic_store_n(&b->runs, runs, __ATOMIC_RELAXED);
    if (runs == cpu->soft->translate_after && b != cpu->scratch) {
        stats_enter(cpu, STATS_TRANSLATING);
        block_translate(cpu->soft->cache, b, cpu->rip);
    }
}

static inline void soft_interpret_block(struct cpu *cpu, struct block *b)
{
    cpu->block = b;
    cpu->gpr[GPR_RIP] = cpu->rip;
    cpu->icount += b->count;
    b->insns[0].fn(cpu, b->insns);
}

static inline void soft_run_block(struct cpu *cpu, struct block *b)
{
    const void *code = atomic_load_explicit(&b->code, memory_order_acquire);

    if (!code && cpu->soft->translate_after) {
        soft_count_run(cpu, b);
        code = atomic_load_explicit(&b->code, memory_order_acquire);
    }
    if (code && likely(!cpu->fpu_refused)) {
        stats_enter(cpu, STATS_TRANSLATED);
        trans_run(cpu, code);
        return;
    }
    cpu->fpu_refused = false;
    stats_enter(cpu, STATS_INTERPRETED);
    soft_interpret_block(cpu, b);
}

/* Instruction breakpoints are faults, before the instruction, unless RF is set (SDM vol. 3B, 18.3.1.1). */
static bool soft_hits_breakpoint(struct cpu *cpu)
{
    gva addr = cpu->mode & MODE_CS_L ? cpu->rip : (u32)(cpu->seg[SEG_CS].base + cpu->rip);
    u64 hit = 0;

    if (cpu->sflags & FLAG_RF)
        return false;
    for (unsigned i = 0; i < 4; i++)
        if ((cpu->dr[7] >> (i * 2) & 3) && !(cpu->dr[7] >> (16 + i * 4) & 3) && cpu->dr[i] == addr)
            hit |= BIT64(i);
    cpu->db_pending |= hit;
    return hit != 0;
}

/* One instruction, with breakpoints and single step. */
static void soft_step(struct cpu *cpu)
{
    bool trap = cpu->sflags & FLAG_TF;
    bool resumed = cpu->sflags & FLAG_RF;
    u32 cpl = cpu->cpl;

    if (soft_hits_breakpoint(cpu)) {
        soft_deliver_debug(cpu);
        return;
    }
    soft_run_block(cpu, soft_next_block(cpu));
    cpu->block = NULL;
    if (resumed) /* RF covers one instruction; an IRET that has just set it keeps it for the next */
        cpu->sflags &= ~FLAG_RF;
    /* SYSCALL and interrupt gates into an inner ring clear TF and with it this trap. */
    if (trap && ((cpu->sflags & FLAG_TF) || cpu->cpl == cpl))
        cpu->db_pending |= DR6_BS;
    if (cpu->db_pending && !cpu->shadow)
        soft_deliver_debug(cpu);
}

/*
 * After STI or MOV SS with an interrupt waiting: one instruction, and then the interrupt. Running on to the block's end
 * could pass a CLI.
 */
static void soft_run_shadowed(struct cpu *cpu)
{
    cpu->mode |= MODE_STEP;
    cpu->jmp_key |= MODE_STEP;
    soft_run_block(cpu, soft_next_block(cpu));
    cpu->block = NULL;
    cpu_mode_update(cpu);
}

static void soft_log_block(struct cpu *cpu)
{
    char dump[4096];

    cpu_dump(cpu, dump, sizeof(dump));
    log_text(dump);
}

static enum accel_exit soft_loop(struct cpu *cpu)
{
    struct vcpu *vcpu = cpu->vcpu;
    bool shadowed;

    for (;;) {
        shadowed = false;
        if (unlikely(atomic_load_explicit(&vcpu->requests, memory_order_relaxed))) {
            cpu->block = NULL;
            if (!soft_serve(cpu))
                return ACCEL_EXIT_REQUEST;
            shadowed = cpu->shadow;
        }
        if (unlikely(vcpu->run_state != VCPU_RUNNING) && !soft_wait(cpu))
            return ACCEL_EXIT_REQUEST;
        cpu->shadow = false;
        if (unlikely(log_on(LOG_CPU)))
            soft_log_block(cpu);
        cpu->stat_blocks++;
        if (unlikely(cpu->mode & MODE_STEP))
            soft_step(cpu);
        else if (unlikely(shadowed))
            soft_run_shadowed(cpu);
        else
            soft_run_block(cpu, soft_next_block(cpu));
    }
}

static enum accel_exit soft_run(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->accel;
    enum accel_exit exit;

    block_enter(cpu);
    switch (sigsetjmp(cpu->landing, 0)) {
    case LAND_NONE:
    case LAND_EXIT_BLOCK: cpu->block = NULL; break;
    case LAND_FAULT:
        cpu->block = NULL;
        soft_deliver_fault(cpu);
        break;
    case LAND_TRIPLE_FAULT:
        soft_log_triple_fault(cpu);
        block_leave(cpu);
        return ACCEL_EXIT_TRIPLE_FAULT;
    default: block_leave(cpu); return ACCEL_EXIT_ERROR;
    }
    exit = soft_loop(cpu);
    block_leave(cpu);
    return exit;
}

static enum soft_stop soft_execute_blocks(struct cpu *cpu, u64 stop, u64 end)
{
    while (cpu->stat_blocks < end) {
        if (cpu->rip == stop)
            return SOFT_STOP_AT;
        cpu->stat_blocks++;
        cpu->shadow = false;
        if (cpu->mode & MODE_STEP)
            soft_step(cpu);
        else
            soft_run_block(cpu, soft_next_block(cpu));
    }
    return SOFT_STOP_LIMIT;
}

enum soft_stop soft_execute(struct cpu *cpu, u64 stop, u64 blocks_max, bool deliver)
{
    u64 end = cpu->stat_blocks + blocks_max;
    enum soft_stop result;

    cpu->fault_depth = 0;
    block_enter(cpu);
    switch (sigsetjmp(cpu->landing, 0)) {
    case LAND_NONE:
    case LAND_EXIT_BLOCK: break;
    case LAND_FAULT:
        cpu->block = NULL;
        if (!deliver)
            return SOFT_STOP_FAULT;
        cpu->stat_blocks++;
        soft_deliver_fault(cpu);
        break;
    default: cpu->block = NULL; return SOFT_STOP_ERROR;
    }
    result = soft_execute_blocks(cpu, stop, end);
    block_leave(cpu);
    return result;
}

/* --- Set-up --- */

static bool soft_probe(const struct config *config, struct error *err)
{
    (void)config;
    (void)err;
    return true;
}

static void soft_code_written(void *arg, u64 offset, u64 size)
{
    struct soft *soft = arg;

    block_invalidate(soft->cache, offset, size);
}

static bool soft_init_translator(struct soft *soft, const struct config *config, struct error *err)
{
    u32 threshold = config->translate;

    soft->translator = trans_new(soft, threshold, err);
    if (!soft->translator)
        return false;
    if (config->perfmap) {
        soft->perfmap = perfmap_new("/tmp", err);
        if (!soft->perfmap)
            return false;
        trans_set_perfmap(soft->translator, soft->perfmap);
    }
    block_cache_set_translator(soft->cache, soft->translator);
    /* The log of registers at each block wants to see each block. */
    soft->translate_after = log_on(LOG_CPU) ? 0 : MIN(threshold, UINT16_MAX);
    return true;
}

static bool soft_init(struct machine *machine, const struct config *config, struct error *err)
{
    struct soft *soft = xcalloc(1, sizeof(*soft));
    bool translate = HOST_X86 && config->translate;

    machine->accel_state = soft;
    soft->machine = machine;
    soft->ram_host = machine->ram.host;
    soft->ram_size = machine->ram.size;
    soft->code_pages = machine->ram.code_pages;
    pthread_mutex_init(&soft->split_lock, NULL);
    soft->cpuid = cpuid_model_new(config, machine->clock.tsc_hz, err);
    if (!soft->cpuid)
        return false;
    soft->phys_mask = BIT64(cpuid_phys_bits(soft->cpuid)) - 1;
    soft->crowded = config->smp.cpus > (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1);
    soft->page_1g = feature_has(cpuid_features(soft->cpuid), FEAT_PDPE1GB);
    soft->hostops = hostop_cache_new(err);
    if (!soft->hostops)
        return false;
    soft->cache = block_cache_new(&machine->ram, cpuid_features(soft->cpuid),
                                  translate ? SOFT_CACHE_SIZE_TRANSLATE : SOFT_CACHE_SIZE, err);
    if (!soft->cache)
        return false;
    ram_on_code_write(&machine->ram, soft_code_written, soft);
    return !translate || soft_init_translator(soft, config, err);
}

static bool soft_vcpu_init(struct vcpu *vcpu, const struct config *config, struct error *err)
{
    struct soft *soft = vcpu->machine->accel_state;
    struct cpu *cpu = aligned_alloc(64, align_up(sizeof(*cpu), 64));

    (void)config;
    if (!cpu)
        return error_set(err, "no memory for CPU %u", vcpu->id);
    memset(cpu, 0, sizeof(*cpu));
    cpu->vcpu = vcpu;
    cpu->soft = soft;
    cpu->cpuid = soft->cpuid;
    vcpu->accel = cpu;
    vcpu->tsc_offset = &cpu->msr.tsc_offset;
    cpu->stats = log_on(LOG_STATS) ? stats_new() : NULL;
    block_cache_add_cpu(soft->cache, cpu);
    trans_init_cpu(cpu);
    return true;
}

static void soft_vcpu_reset(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->accel;

    cpu->shadow = cpu->nmi_blocked = cpu->intr_waiting = false;
    cpu->db_pending = 0;
    cpu->fault_depth = 0;
    cpu_reset(cpu, false);
    tlb_reset(cpu);
    cpu_mode_update(cpu);
}

static void soft_vcpu_set_boot(struct vcpu *vcpu, const struct cpu_boot_state *state)
{
    cpu_set_boot(vcpu->accel, state);
}

static void soft_cpu_signature(struct machine *machine, u32 *eax, u32 *edx)
{
    const struct soft *soft = machine->accel_state;
    struct cpuid_result r = cpuid_query(soft->cpuid, &(struct cpuid_query){ .leaf = 1 });

    *eax = r.eax;
    *edx = r.edx;
}

static void soft_dump(struct vcpu *vcpu, char *text, size_t size)
{
    cpu_dump(vcpu->accel, text, size);
}

static void soft_vcpu_free(struct vcpu *vcpu)
{
    struct cpu *cpu = vcpu->accel;

    if (!cpu)
        return;
    stats_log(cpu);
    stats_free(cpu->stats);
    free(cpu->scratch);
    free(cpu->mini);
    free(cpu);
    vcpu->accel = NULL;
}

static void soft_free(struct machine *machine)
{
    struct soft *soft = machine->accel_state;

    if (!soft)
        return;
    if (log_on(LOG_STATS) && soft->cache) {
        struct block_stats s = block_cache_stats(soft->cache);

        log_line("code cache: %llu blocks with %llu instructions decoded, %llu dropped by writes, "
                 "recycled %llu times",
                 (unsigned long long)s.decoded, (unsigned long long)s.insns,
                 (unsigned long long)s.invalidated, (unsigned long long)s.recycled);
        log_line("translator: %llu blocks to %llu bytes, %llu links, full %llu times",
                 (unsigned long long)s.translated, (unsigned long long)s.code_bytes,
                 (unsigned long long)s.links, (unsigned long long)s.code_full);
    }
    ram_on_code_write(&machine->ram, NULL, NULL);
    block_cache_free(soft->cache);
    trans_free(soft->translator);
    perfmap_free(soft->perfmap);
    hostop_cache_free(soft->hostops);
    cpuid_model_free(soft->cpuid);
    free(soft);
    machine->accel_state = NULL;
}

const struct accel_ops accel_soft = {
    .name = "soft",
    .probe = soft_probe,
    .init = soft_init,
    .vcpu_init = soft_vcpu_init,
    .vcpu_reset = soft_vcpu_reset,
    .vcpu_set_boot = soft_vcpu_set_boot,
    .run = soft_run,
    .cpu_signature = soft_cpu_signature,
    .dump = soft_dump,
    .vcpu_free = soft_vcpu_free,
    .free = soft_free,
};
