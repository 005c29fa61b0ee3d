/* SPDX-License-Identifier: MIT */
/* CPUs without an engine: LAPICs on a bus. */
#include "unit/fakes/fake_apic_cpus.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "machine/device.h"

static bool fake_pic_pending(void *arg)
{
    const struct fake_pic *pic = arg;

    return pic->int_level;
}

static int fake_pic_ack(void *arg)
{
    struct fake_pic *pic = arg;

    pic->acks++;
    pic->int_level = false;
    return pic->vector;
}

static struct fake_cpus *fake_cpus_make(unsigned count, const u32 *ids, bool plain)
{
    struct fake_cpus *cpus = xcalloc(1, sizeof(*cpus));
    struct lapic_config config = {
        .bus = &cpus->bus,
        .clock = &cpus->clock,
        .extint = { fake_pic_pending, fake_pic_ack, &cpus->pic },
        .x2apic = !plain,
        .tsc_deadline = !plain,
    };

    assert(count <= FAKE_CPUS_MAX);
    cpus->count = count;
    fake_clock_init(&cpus->clock, UINT64_C(1000000000));
    cpus->loop = fake_loop_new(&cpus->clock);
    apic_bus_init(&cpus->bus);
    config.loop = cpus->loop;
    if (plain)
        config.extint = (struct lapic_extint){ 0 };
    for (unsigned n = 0; n < count; n++) {
        cpus->vcpu[n].id = n;
        cpus->vcpu[n].apic_id = ids ? ids[n] : n;
        cpus->vcpu[n].bsp = n == 0;
        config.vcpu = &cpus->vcpu[n];
        config.tsc_offset = n == 0 ? &cpus->tsc_offset : NULL;
        cpus->lapic[n] = lapic_new(&config);
    }
    return cpus;
}

struct fake_cpus *fake_cpus_new(unsigned count)
{
    return fake_cpus_make(count, NULL, false);
}

struct fake_cpus *fake_cpus_new_plain(unsigned count, const u32 *ids)
{
    return fake_cpus_make(count, ids, true);
}

void fake_cpus_free(struct fake_cpus *cpus)
{
    for (unsigned n = 0; n < cpus->count; n++) {
        struct device *dev = lapic_device(cpus->lapic[n]);

        dev->ops->free(dev);
    }
    fake_loop_free(cpus->loop);
    free(cpus);
}

u32 apic_read(struct fake_cpus *cpus, unsigned n, u32 offset)
{
    return (u32)cpus->vcpu[n].apic_ops->mmio_read(cpus->lapic[n], offset, 4);
}

void apic_write(struct fake_cpus *cpus, unsigned n, u32 offset, u32 value)
{
    cpus->vcpu[n].apic_ops->mmio_write(cpus->lapic[n], offset, 4, value);
}

u64 apic_rdmsr(struct fake_cpus *cpus, unsigned n, u32 msr)
{
    u64 value = 0;
    bool ok = cpus->vcpu[n].apic_ops->msr_read(cpus->lapic[n], msr, &value);

    assert(ok);
    (void)ok;
    return value;
}

void apic_wrmsr(struct fake_cpus *cpus, unsigned n, u32 msr, u64 value)
{
    bool ok = cpus->vcpu[n].apic_ops->msr_write(cpus->lapic[n], msr, value);

    assert(ok);
    (void)ok;
}

void apic_enable_all(struct fake_cpus *cpus)
{
    for (unsigned n = 0; n < cpus->count; n++)
        apic_write(cpus, n, APIC_SVR, 0x1FF);
}

void apic_x2apic_all(struct fake_cpus *cpus)
{
    for (unsigned n = 0; n < cpus->count; n++) {
        bool ok = cpus->vcpu[n].apic_ops->set_base(cpus->lapic[n], APIC_BASE_X2APIC);

        assert(ok);
        (void)ok;
        apic_wrmsr(cpus, n, 0x80F, 0x1FF);
    }
}

int apic_pending(struct fake_cpus *cpus, unsigned n)
{
    return cpus->vcpu[n].apic_ops->pending(cpus->lapic[n]);
}

int apic_ack(struct fake_cpus *cpus, unsigned n)
{
    return cpus->vcpu[n].apic_ops->ack(cpus->lapic[n]);
}

void apic_eoi(struct fake_cpus *cpus, unsigned n)
{
    apic_write(cpus, n, APIC_EOI, 0);
}

u32 apic_requests(struct fake_cpus *cpus, unsigned n)
{
    return vcpu_take(&cpus->vcpu[n], UINT32_MAX);
}
