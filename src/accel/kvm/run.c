/* SPDX-License-Identifier: MIT */
/*
 * KVM_RUN, and what it returns for.
 *
 * A kick from another thread sets immediate_exit and sends a signal: whichever side of KVM_RUN's start it finds, the
 * CPU comes back. With the local APICs outside, their interrupts, INIT and SIPI are served here; with the 8259 pair
 * alone outside, its interrupts are: both look like struct vcpu_apic_ops.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "accel/kvm/kvm.h"
#include "base/bits.h"
#include "base/log.h"
#include "machine/bus.h"
#include "machine/machine.h"

#define RUN_KICK_SIGNAL  SIGUSR1
#define RUN_APIC_ENABLED BIT64(11)
#define RUN_APIC_BASE    UINT64_C(0xFFFFFF000)
#define RUN_APIC_SIZE    0x1000u

/* --- Kicks --- */

static void run_signal(int number)
{
    (void)number; /* its only use is to interrupt KVM_RUN */
}

void kvm_run_init_signal(void)
{
    struct sigaction action = { .sa_handler = run_signal };

    sigaction(RUN_KICK_SIGNAL, &action, NULL);
}

void kvm_run_kick(struct vcpu *vcpu)
{
    struct kvm_cpu *cpu = vcpu->accel;

    __atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (vcpu->thread_started && !pthread_equal(vcpu->thread, pthread_self()))
        pthread_kill(vcpu->thread, RUN_KICK_SIGNAL);
}

/* --- Counting --- */

static void run_count_place(struct kvm_cpu *cpu, u64 addr, bool mmio)
{
    for (unsigned i = 0; i < KVM_PLACES_MAX; i++) {
        struct kvm_place *place = &cpu->places[i];

        if (place->count && (place->addr != addr || place->mmio != mmio))
            continue;
        place->addr = addr;
        place->mmio = mmio;
        place->count++;
        return;
    }
}

static const char *const run_exit_names[KVM_EXITS_MAX] = {
    [KVM_EXIT_UNKNOWN] = "unknown",
    [KVM_EXIT_EXCEPTION] = "exception",
    [KVM_EXIT_IO] = "io",
    [KVM_EXIT_HYPERCALL] = "hypercall",
    [KVM_EXIT_DEBUG] = "debug",
    [KVM_EXIT_HLT] = "hlt",
    [KVM_EXIT_MMIO] = "mmio",
    [KVM_EXIT_IRQ_WINDOW_OPEN] = "irq-window",
    [KVM_EXIT_SHUTDOWN] = "shutdown",
    [KVM_EXIT_FAIL_ENTRY] = "fail-entry",
    [KVM_EXIT_INTR] = "intr",
    [KVM_EXIT_SET_TPR] = "set-tpr",
    [KVM_EXIT_TPR_ACCESS] = "tpr-access",
    [KVM_EXIT_NMI] = "nmi",
    [KVM_EXIT_INTERNAL_ERROR] = "internal-error",
    [KVM_EXIT_SYSTEM_EVENT] = "system-event",
    [KVM_EXIT_IOAPIC_EOI] = "ioapic-eoi",
};

void kvm_run_log_exits(const struct kvm_cpu *cpu)
{
    char line[1024];
    int n = snprintf(line, sizeof(line), "cpu %u: exits:", cpu->vcpu->id);

    for (unsigned i = 0; i < KVM_EXITS_MAX && n < (int)sizeof(line); i++)
        if (cpu->exits[i])
            n += snprintf(line + n, sizeof(line) - (size_t)n, " %s %llu,",
                          run_exit_names[i] ? run_exit_names[i] : "other",
                          (unsigned long long)cpu->exits[i]);
    log_line("%s kicks %llu", line, (unsigned long long)cpu->signals);
    for (unsigned i = 0; i < KVM_PLACES_MAX && cpu->places[i].count; i++)
        log_line("cpu %u: exits at %s 0x%llx: %llu", cpu->vcpu->id,
                 cpu->places[i].mmio ? "address" : "port", (unsigned long long)cpu->places[i].addr,
                 (unsigned long long)cpu->places[i].count);
}

/* --- I/O --- */

static void run_store(u8 *data, u64 value, unsigned size)
{
    memcpy(data, &value, size);
}

static u64 run_load(const u8 *data, unsigned size)
{
    u64 value = 0;

    memcpy(&value, data, size);
    return value;
}

/* IN and OUT, with a repeat count for INS and OUTS. */
static void run_io(struct kvm_cpu *cpu)
{
    struct kvm_run *run = cpu->run;
    struct bus *bus = &cpu->vcpu->machine->pio;
    u8 *data = (u8 *)run + run->io.data_offset;

    if (log_on(LOG_EXITS))
        run_count_place(cpu, run->io.port, false);
    for (u32 i = 0; i < run->io.count; i++, data += run->io.size) {
        if (run->io.direction == KVM_EXIT_IO_OUT)
            bus_write(bus, run->io.port, run->io.size, run_load(data, run->io.size));
        else
            run_store(data, bus_read(bus, run->io.port, run->io.size), run->io.size);
    }
}

/* The CPU's own APIC page, where the local APIC is outside. */
static bool run_apic_access(struct kvm_cpu *cpu, u64 addr, u64 *offset)
{
    struct vcpu *vcpu = cpu->vcpu;
    u64 base;

    if (cpu->kvm->irqchip != ACCEL_IRQCHIP_NONE)
        return false;
    base = vcpu->apic_ops->get_base(vcpu->apic);
    *offset = addr - (base & RUN_APIC_BASE);
    return (base & RUN_APIC_ENABLED) && *offset < RUN_APIC_SIZE;
}

static void run_mmio_piece(struct kvm_cpu *cpu, u64 addr, u8 *data, unsigned size, bool is_write)
{
    struct vcpu *vcpu = cpu->vcpu;
    struct bus *bus = &vcpu->machine->mmio;
    u64 offset;

    if (!run_apic_access(cpu, addr, &offset)) {
        if (is_write)
            bus_write(bus, addr, size, run_load(data, size));
        else
            run_store(data, bus_read(bus, addr, size), size);
    } else if (is_write) {
        vcpu->apic_ops->mmio_write(vcpu->apic, offset, size, run_load(data, size));
    } else {
        run_store(data, vcpu->apic_ops->mmio_read(vcpu->apic, offset, size), size);
    }
}

/* Parts of an access that crosses a page may have any size: those go byte by byte. */
static void run_mmio(struct kvm_cpu *cpu)
{
    struct kvm_run *run = cpu->run;
    unsigned size = run->mmio.len, step = size & (size - 1) ? 1 : size;

    if (log_on(LOG_EXITS))
        run_count_place(cpu, run->mmio.phys_addr, true);
    for (unsigned at = 0; at < size; at += step)
        run_mmio_piece(cpu, run->mmio.phys_addr + at, run->mmio.data + at, step,
                       run->mmio.is_write);
}

/* --- Errors --- */

static enum accel_exit run_fail(struct kvm_cpu *cpu, const char *what)
{
    char dump[4096];

    log_error("CPU %u: %s", cpu->vcpu->id, what);
    kvm_regs_dump(cpu->vcpu, dump, sizeof(dump));
    log_text(dump);
    return ACCEL_EXIT_ERROR;
}

/* What the kernel was given to emulate comes along with an emulation failure. */
static enum accel_exit run_internal_error(struct kvm_cpu *cpu)
{
    static const char *const errors[] = {
        [KVM_INTERNAL_ERROR_EMULATION] = "KVM cannot emulate an instruction",
        [KVM_INTERNAL_ERROR_SIMUL_EX] = "KVM: two exceptions at once",
        [KVM_INTERNAL_ERROR_DELIVERY_EV] = "KVM cannot deliver an event",
        [KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "KVM: unexpected exit of the CPU"
    };
    const struct kvm_run *run = cpu->run;
    u32 code = run->internal.suberror;
    char text[256];
    int n = snprintf(text, sizeof(text), "%s (internal error %u",
                     code < ARRAY_SIZE(errors) && errors[code] ? errors[code] : "KVM", code);

    for (u32 i = 0; i < MIN(run->internal.ndata, 4u); i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, ", 0x%llx",
                      (unsigned long long)run->internal.data[i]);
    snprintf(text + n, sizeof(text) - (size_t)n, ")");
    return run_fail(cpu, text);
}

static enum accel_exit run_fail_entry(struct kvm_cpu *cpu)
{
    char text[128];

    snprintf(text, sizeof(text), "the host's CPU refuses the guest's state (reason 0x%llx)",
             (unsigned long long)cpu->run->fail_entry.hardware_entry_failure_reason);
    return run_fail(cpu, text);
}

/* A triple fault, or what KVM takes for one. */
static enum accel_exit run_shutdown(struct kvm_cpu *cpu)
{
    char dump[4096];

    if (log_on(LOG_CPU_RESET | LOG_INT)) {
        log_line("cpu %u: triple fault", cpu->vcpu->id);
        kvm_regs_dump(cpu->vcpu, dump, sizeof(dump));
        log_text(dump);
    }
    return ACCEL_EXIT_TRIPLE_FAULT;
}

/* --- Requests and interrupts from outside --- */

/*
 * One interrupt of the controller outside, when the CPU can take it; else KVM_RUN shall return when it can. The kernel
 * knows of the local APIC's part in it, if it has that.
 */
static void run_interrupt(struct kvm_cpu *cpu)
{
    struct vcpu *vcpu = cpu->vcpu;
    struct kvm_run *run = cpu->run;
    struct kvm_interrupt interrupt;
    int vector;

    if (vcpu_take(vcpu, VCPU_REQ_INTR))
        cpu->interrupting = true;
    run->request_interrupt_window = 0;
    if (!cpu->interrupting || !vcpu->apic_ops)
        return;
    if (vcpu->apic_ops->pending(vcpu->apic) < 0) {
        cpu->interrupting = false;
        return;
    }
    if (run->if_flag && vcpu->run_state == VCPU_HALTED)
        vcpu->run_state = VCPU_RUNNING;
    if (run->ready_for_interrupt_injection && run->if_flag) {
        vector = vcpu->apic_ops->ack(vcpu->apic);
        interrupt.irq = (u32)vector;
        if (vector >= 0 && ioctl(cpu->fd, KVM_INTERRUPT, &interrupt) < 0)
            log_warn("KVM refuses interrupt 0x%x: errno %d", (unsigned)vector, errno);
        run->ready_for_interrupt_injection = 0;
    }
    run->request_interrupt_window = vcpu->apic_ops->pending(vcpu->apic) >= 0;
}

static void run_init_signal(struct kvm_cpu *cpu)
{
    struct vcpu *vcpu = cpu->vcpu;

    if (cpu->kvm->irqchip != ACCEL_IRQCHIP_NONE)
        return;
    vcpu->apic_ops->init(vcpu->apic);
    kvm_regs_init(cpu);
    vcpu->run_state = vcpu->bsp ? VCPU_RUNNING : VCPU_WAIT_SIPI;
}

static void run_startup_signal(struct kvm_cpu *cpu)
{
    struct vcpu *vcpu = cpu->vcpu;

    if (vcpu->run_state != VCPU_WAIT_SIPI)
        return;
    kvm_regs_startup(cpu, atomic_load(&vcpu->sipi_vector));
    vcpu->run_state = VCPU_RUNNING;
}

/* False: leave. */
static bool run_serve(struct kvm_cpu *cpu)
{
    struct vcpu *vcpu = cpu->vcpu;
    u32 requests = atomic_load(&vcpu->requests);

    if (requests & (VCPU_REQ_PAUSE | VCPU_REQ_QUIT))
        return false;
    vcpu_take(vcpu, VCPU_REQ_ACCEL);
    if (vcpu_take(vcpu, VCPU_REQ_INIT))
        run_init_signal(cpu);
    if (vcpu_take(vcpu, VCPU_REQ_SIPI))
        run_startup_signal(cpu);
    if (vcpu_take(vcpu, VCPU_REQ_NMI) && vcpu->run_state != VCPU_WAIT_SIPI) {
        ioctl(cpu->fd, KVM_NMI);
        vcpu->run_state = VCPU_RUNNING;
    }
    run_interrupt(cpu);
    return true;
}

/* --- Running --- */

static enum accel_exit run_exit(struct kvm_cpu *cpu, bool *leave)
{
    struct machine *machine = cpu->vcpu->machine;

    *leave = false;
    switch (cpu->run->exit_reason) {
    case KVM_EXIT_IO: run_io(cpu); break;
    case KVM_EXIT_MMIO: run_mmio(cpu); break;
    case KVM_EXIT_IOAPIC_EOI: machine->eoi(machine->eoi_arg, cpu->run->eoi.vector); break;
    case KVM_EXIT_HLT: cpu->vcpu->run_state = VCPU_HALTED; break;
    case KVM_EXIT_IRQ_WINDOW_OPEN:
    case KVM_EXIT_INTR:
    case KVM_EXIT_SET_TPR: break;
    case KVM_EXIT_SYSTEM_EVENT: machine_request(machine, MACHINE_RESET, 0); break;
    case KVM_EXIT_SHUTDOWN: *leave = true; return run_shutdown(cpu);
    case KVM_EXIT_INTERNAL_ERROR: *leave = true; return run_internal_error(cpu);
    case KVM_EXIT_FAIL_ENTRY: *leave = true; return run_fail_entry(cpu);
    default:
        *leave = true;
        return run_fail(cpu, "KVM stopped for a reason that mote does not know");
    }
    return ACCEL_EXIT_REQUEST;
}

/* The local APIC outside has its priority and base told both ways. */
static void run_sync_in(struct kvm_cpu *cpu)
{
    struct vcpu *vcpu = cpu->vcpu;

    if (cpu->kvm->irqchip != ACCEL_IRQCHIP_NONE)
        return;
    cpu->run->cr8 = vcpu->apic_ops->get_cr8(vcpu->apic);
    cpu->run->apic_base = vcpu->apic_ops->get_base(vcpu->apic);
}

static void run_sync_out(struct kvm_cpu *cpu)
{
    struct vcpu *vcpu = cpu->vcpu;

    if (cpu->kvm->irqchip != ACCEL_IRQCHIP_NONE)
        return;
    if (cpu->run->cr8 != vcpu->apic_ops->get_cr8(vcpu->apic))
        vcpu->apic_ops->set_cr8(vcpu->apic, (u8)cpu->run->cr8);
    if (cpu->run->apic_base != vcpu->apic_ops->get_base(vcpu->apic))
        (void)!vcpu->apic_ops->set_base(vcpu->apic, cpu->run->apic_base);
}

/* KVM_RUN once. False: it did not run, and there is no exit to look at. */
static bool run_once(struct kvm_cpu *cpu, int *code)
{
    int result;

    run_sync_in(cpu);
    cpu->runs++;
    result = ioctl(cpu->fd, KVM_RUN, 0);
    *code = result < 0 ? errno : 0;
    run_sync_out(cpu);
    cpu->completing = false;
    if (result < 0) {
        cpu->signals++;
        return false;
    }
    cpu->exits[MIN(cpu->run->exit_reason, KVM_EXITS_MAX - 1u)]++;
    cpu->completing =
        cpu->run->exit_reason == KVM_EXIT_IO || cpu->run->exit_reason == KVM_EXIT_MMIO;
    return true;
}

/* EINTR: kicked. EAGAIN: a CPU that waited for its SIPI was woken. */
static bool run_may_repeat(int code)
{
    return code == EINTR || code == EAGAIN;
}

/*
 * Before registers are read or set from here: let the kernel finish the instruction whose I/O was served. An access in
 * several parts exits again for each.
 */
static void run_complete(struct kvm_cpu *cpu)
{
    bool leave;
    int code;

    while (cpu->completing) {
        __atomic_store_n(&cpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
        if (run_once(cpu, &code))
            run_exit(cpu, &leave);
    }
}

static void run_log(struct kvm_cpu *cpu)
{
    char dump[4096];

    kvm_regs_dump(cpu->vcpu, dump, sizeof(dump));
    log_text(dump);
}

enum accel_exit kvm_run_cpu(struct vcpu *vcpu)
{
    struct kvm_cpu *cpu = vcpu->accel;
    enum accel_exit exit;
    bool leave;
    int code;

    for (;;) {
        __atomic_store_n(&cpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
        if (!run_serve(cpu)) {
            run_complete(cpu);
            return ACCEL_EXIT_REQUEST;
        }
        if (vcpu->run_state != VCPU_RUNNING) {
            vcpu_park(vcpu);
            continue;
        }
        if (!run_once(cpu, &code)) {
            if (!run_may_repeat(code)) {
                errno = code;
                return run_fail(cpu, "KVM_RUN failed");
            }
            continue;
        }
        if (unlikely(log_on(LOG_CPU)))
            run_log(cpu);
        exit = run_exit(cpu, &leave);
        if (leave)
            return exit;
    }
}
