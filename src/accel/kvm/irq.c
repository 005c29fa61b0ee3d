/* SPDX-License-Identifier: MIT */
/*
 * Interrupt controllers in the kernel, and what spares exits to us: irqfds and ioeventfds.
 *
 * With the local APICs alone inside (split), each input of our I/O APICs that the guest has programmed gets a routing
 * entry with its message, and an irqfd: an interrupt is one write to that. The entry also makes the kernel tell us of
 * the EOI of level-triggered vectors. With all inside, lines are set by KVM_IRQ_LINE; those with one source, virtio's,
 * by irqfds, of the resampling kind for levels: the kernel lowers the line at the EOI and asks us to look again.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "accel/kvm/kvm.h"
#include "base/bits.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/config.h"
#include "host/loop.h"
#include "machine/machine.h"

#define KVM_PINS       24u /* of the I/O APIC inside */
#define KVM_PIC_PINS   8u
#define KVM_TIMER_PIN  2u /* where GSI 0 arrives, as on PCs */
#define KVM_ROUTES_MAX (MAP_GSI_COUNT + 16)

static enum accel_irqchip kvm_irq_kind(const struct config *config)
{
    const char *word = config->machine.kernel_irqchip;

    if (word && !strcmp(word, "off"))
        return ACCEL_IRQCHIP_NONE;
    return word && !strcmp(word, "on") ? ACCEL_IRQCHIP_ALL : ACCEL_IRQCHIP_LAPICS;
}

/* --- Routes --- */

static bool kvm_irq_publish(struct kvm *kvm)
{
    return ioctl(kvm->vm, KVM_SET_GSI_ROUTING, kvm->routes) == 0;
}

static struct kvm_irq_routing_entry *kvm_irq_find(struct kvm *kvm, unsigned gsi)
{
    for (unsigned i = 0; i < kvm->routes->nr; i++)
        if (kvm->routes->entries[i].gsi == gsi)
            return &kvm->routes->entries[i];
    return NULL;
}

static void kvm_irq_add_pin(struct kvm *kvm, unsigned gsi, u32 chip, u32 pin)
{
    kvm->routes->entries[kvm->routes->nr++] = (struct kvm_irq_routing_entry){
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_IRQCHIP,
        .u.irqchip = { .irqchip = chip, .pin = pin },
    };
}

/* The wiring of the board, as in microvm.c: lines 0-15 to both controllers, the timer to pin 2. */
static bool kvm_irq_route_board(struct kvm *kvm, struct error *err)
{
    for (unsigned gsi = 0; gsi < KVM_PINS; gsi++) {
        if (gsi < 2 * KVM_PIC_PINS && gsi != MAP_GSI_CASCADE)
            kvm_irq_add_pin(kvm, gsi,
                            gsi < KVM_PIC_PINS ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
                            gsi % KVM_PIC_PINS);
        if (gsi != MAP_GSI_CASCADE)
            kvm_irq_add_pin(kvm, gsi, KVM_IRQCHIP_IOAPIC, gsi == MAP_GSI_PIT ? KVM_TIMER_PIN : gsi);
    }
    return kvm_irq_publish(kvm) || error_set_errno(err, errno, "KVM refuses the interrupt routes");
}

/* --- irqfds --- */

/* Let writes to a new eventfd drive `gsi`. */
static bool kvm_irq_assign(struct kvm *kvm, unsigned gsi, bool resample)
{
    struct kvm_gsi *g = &kvm->gsis[gsi];
    struct kvm_irqfd irqfd = { .gsi = gsi };

    g->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (resample)
        g->resample = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (g->fd >= 0 && (!resample || g->resample >= 0)) {
        irqfd.fd = (u32)g->fd;
        irqfd.flags = resample ? KVM_IRQFD_FLAG_RESAMPLE : 0;
        irqfd.resamplefd = resample ? (u32)g->resample : 0;
        if (ioctl(kvm->vm, KVM_IRQFD, &irqfd) == 0)
            return true;
    }
    if (g->fd >= 0)
        close(g->fd);
    if (g->resample >= 0)
        close(g->resample);
    g->fd = g->resample = -1;
    return false;
}

static void kvm_irq_signal(const struct kvm_gsi *g)
{
    u64 one = 1;

    /* The counter cannot overflow: the kernel reads it at once. */
    if (write(g->fd, &one, sizeof(one)) < 0)
        log_warn("cannot write to an irqfd: errno %d", errno);
}

/* --- Operations: local APICs inside --- */

static void kvm_irq_send(struct machine *machine, gpa addr, u32 data)
{
    struct kvm *kvm = machine->accel_state;
    struct kvm_msi msi = { .address_lo = (u32)addr, .address_hi = (u32)(addr >> 32), .data = data };

    /* 0: the guest has no such CPU, or it is blocked. Not an error of ours. */
    if (ioctl(kvm->vm, KVM_SIGNAL_MSI, &msi) < 0)
        guest_error("kvm: message 0x%x to 0x%llx: errno %d", data, (unsigned long long)addr, errno);
}

static void kvm_irq_route(struct machine *machine, unsigned gsi, gpa addr, u32 data)
{
    struct kvm *kvm = machine->accel_state;
    struct kvm_irq_routing_entry entry = {
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_MSI,
        .u.msi = { .address_lo = (u32)addr, .address_hi = (u32)(addr >> 32), .data = data },
    };
    struct kvm_irq_routing_entry *old;

    pthread_mutex_lock(&kvm->route_lock);
    old = kvm_irq_find(kvm, gsi);
    if (!old) {
        old = &kvm->routes->entries[kvm->routes->nr++];
        old->type = 0;
    }
    if (memcmp(old, &entry, sizeof(entry)) != 0) {
        *old = entry;
        if (!kvm_irq_publish(kvm))
            log_warn("KVM refuses the route of interrupt line %u: errno %d", gsi, errno);
    }
    if (kvm->gsis[gsi].fd < 0)
        kvm_irq_assign(kvm, gsi, false);
    pthread_mutex_unlock(&kvm->route_lock);
}

static void kvm_irq_fire(struct machine *machine, unsigned gsi)
{
    struct kvm *kvm = machine->accel_state;
    struct kvm_irq_level level = { .irq = gsi, .level = 1 };

    if (kvm->gsis[gsi].fd >= 0)
        kvm_irq_signal(&kvm->gsis[gsi]);
    else
        ioctl(kvm->vm, KVM_IRQ_LINE, &level);
}

/* --- Operations: all inside --- */

static void kvm_irq_set_gsi(void *sink, unsigned gsi, bool level)
{
    struct machine *machine = sink;
    struct kvm *kvm = machine->accel_state;
    struct kvm_gsi *g = &kvm->gsis[gsi];
    struct kvm_irq_level line = { .irq = gsi, .level = level };

    pthread_mutex_lock(&g->lock);
    g->level = level;
    if (g->fd < 0)
        ioctl(kvm->vm, KVM_IRQ_LINE, &line);
    else if (level)
        kvm_irq_signal(g);
    pthread_mutex_unlock(&g->lock);
}

/* The guest ended the interrupt, and the kernel lowered the line: is it still high? */
static void kvm_irq_resample(void *arg, u32 events)
{
    struct kvm_gsi *g = arg;
    u64 count;

    (void)events;
    if (read(g->resample, &count, sizeof(count)) < 0)
        return;
    pthread_mutex_lock(&g->lock);
    if (g->level)
        kvm_irq_signal(g);
    pthread_mutex_unlock(&g->lock);
}

static bool kvm_irq_own_gsi(struct machine *machine, unsigned gsi, bool level, struct error *err)
{
    struct kvm *kvm = machine->accel_state;
    struct kvm_gsi *g = &kvm->gsis[gsi];

    if (!kvm_irq_assign(kvm, gsi, level))
        return error_set_errno(err, errno, "KVM refuses an irqfd for interrupt line %u", gsi);
    if (!level)
        return true;
    g->watch = loop_fd_add(machine->loop, g->resample, EPOLLIN, NULL, kvm_irq_resample, g);
    return g->watch || error_set_errno(err, errno, "cannot watch an irqfd");
}

const struct accel_irqchip_ops kvm_irqchip_ops = {
    .kind = kvm_irq_kind,
    .send = kvm_irq_send,
    .route = kvm_irq_route,
    .fire = kvm_irq_fire,
    .set_gsi = kvm_irq_set_gsi,
    .own_gsi = kvm_irq_own_gsi,
};

/* --- Doorbells --- */

bool kvm_irq_doorbell(struct machine *machine, gpa addr, u32 value, int fd)
{
    struct kvm *kvm = machine->accel_state;
    struct kvm_ioeventfd bell = {
        .datamatch = value,
        .addr = addr,
        .len = sizeof(u32),
        .fd = fd,
        .flags = KVM_IOEVENTFD_FLAG_DATAMATCH,
    };

    return ioctl(kvm->vm, KVM_IOEVENTFD, &bell) == 0;
}

/* --- Life --- */

static bool kvm_irq_create_split(struct kvm *kvm, struct error *err)
{
    struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { MAP_GSI_COUNT } };

    return ioctl(kvm->vm, KVM_ENABLE_CAP, &cap) == 0 ||
           error_set_errno(err, errno, "-M kernel-irqchip=split: KVM refuses");
}

static bool kvm_irq_create_all(struct kvm *kvm, const struct config *config, struct error *err)
{
    struct kvm_pit_config pit = { .flags = 0 };

    if (ioctl(kvm->vm, KVM_CREATE_IRQCHIP, 0) < 0)
        return error_set_errno(err, errno, "-M kernel-irqchip=on: KVM refuses");
    if (config->machine.pit != OOA_OFF && ioctl(kvm->vm, KVM_CREATE_PIT2, &pit) < 0)
        return error_set_errno(err, errno, "-M kernel-irqchip=on: KVM refuses the timer");
    return kvm_irq_route_board(kvm, err);
}

bool kvm_irq_init(struct kvm *kvm, const struct config *config, struct error *err)
{
    kvm->irqchip = kvm_irq_kind(config);
    kvm->routes =
        xcalloc(1, sizeof(*kvm->routes) + KVM_ROUTES_MAX * sizeof(struct kvm_irq_routing_entry));
    if (kvm->irqchip == ACCEL_IRQCHIP_NONE)
        return true;
    if (kvm->irqchip == ACCEL_IRQCHIP_LAPICS)
        return kvm_irq_create_split(kvm, err);
    return kvm_irq_create_all(kvm, config, err);
}

void kvm_irq_free(struct kvm *kvm)
{
    for (unsigned i = 0; i < MAP_GSI_COUNT; i++) {
        struct kvm_gsi *g = &kvm->gsis[i];

        loop_fd_remove(g->watch);
        if (g->fd >= 0)
            close(g->fd);
        if (g->resample >= 0)
            close(g->resample);
    }
    free(kvm->routes);
}

void kvm_irq_save(struct kvm *kvm)
{
    if (kvm->irqchip != ACCEL_IRQCHIP_ALL || kvm->saved_valid)
        return;
    for (u32 i = 0; i < ARRAY_SIZE(kvm->saved_chips); i++) {
        kvm->saved_chips[i].chip_id = i;
        ioctl(kvm->vm, KVM_GET_IRQCHIP, &kvm->saved_chips[i]);
    }
    ioctl(kvm->vm, KVM_GET_PIT2, &kvm->saved_pit);
    kvm->saved_valid = true;
}

void kvm_irq_reset(struct kvm *kvm)
{
    if (!kvm->saved_valid)
        return;
    for (u32 i = 0; i < ARRAY_SIZE(kvm->saved_chips); i++)
        ioctl(kvm->vm, KVM_SET_IRQCHIP, &kvm->saved_chips[i]);
    ioctl(kvm->vm, KVM_SET_PIT2, &kvm->saved_pit);
}
