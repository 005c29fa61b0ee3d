/* SPDX-License-Identifier: MIT */
/*
 * The wiring of the microvm machine: which device, where, on which line, in order. docs/machine.md has the same as
 * tables, map.h the numbers.
 */
#include "machine/microvm.h"

#include <string.h>
#include <time.h>

#include "accel/accel.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/mem.h"
#include "boot/boot.h"
#include "cli/config.h"
#include "host/char.h"
#include "host/net.h"
#include "hw/apic_bus.h"
#include "hw/debug_exit.h"
#include "hw/debugcon.h"
#include "hw/fw_cfg.h"
#include "hw/ged.h"
#include "hw/i8254.h"
#include "hw/i8259.h"
#include "hw/ioapic.h"
#include "hw/lapic.h"
#include "hw/mc146818.h"
#include "hw/uart16550.h"
#include "machine/gsi.h"
#include "machine/microvm_console.h"
#include "machine/microvm_firmware.h"
#include "machine/microvm_irqchip.h"
#include "machine/virtio_slots.h"
#include "virtio/balloon.h"
#include "virtio/blk.h"
#include "virtio/net.h"
#include "virtio/p9.h"
#include "virtio/rng.h"
#include "virtio/virtio.h"

struct microvm {
    struct machine machine;
    const struct config *config;
    struct boot_plan *plan; /* direct boot; else the firmware is used */
    struct microvm_firmware firmware;
    struct fw_cfg *fw_cfg;
    bool acpi, ioapic2;
    enum accel_irqchip irqchip; /* what of the interrupt controllers the accelerator has */
    struct gsi_table gsi;
    struct apic_bus apic_bus;
    struct i8259 *pic;
    struct virtio_slots slots;
    struct microvm_serial_buses serial_buses;
    u8 nic_count; /* addresses given to network cards */
    unsigned chardev_count;
    struct chardev *chardevs[CONFIG_CHARDEVS_MAX]; /* as config->chardevs */
};

struct machine *microvm_machine(struct microvm *vm)
{
    return &vm->machine;
}

/* --- Helpers of the wiring --- */

static bool microvm_map(struct bus *bus, const char *name, u64 base, u64 size,
                        const struct region_ops *ops, void *opaque, struct device *dev,
                        struct error *err)
{
    return bus_add(bus, &(struct region){ name, base, size, ops, opaque, dev }, err);
}

static bool microvm_has(enum on_off_auto value)
{
    return value != OOA_OFF;
}

static bool microvm_has_rtc(const struct microvm *vm)
{
    enum on_off_auto rtc = vm->config->machine.rtc;

    return rtc == OOA_ON || (rtc == OOA_AUTO && !vm->machine.accel->rtc_off);
}

static struct chardev *microvm_chardev(struct microvm *vm, const char *id)
{
    const struct chardev_config *c = id ? config_chardev(vm->config, id) : NULL;

    return c ? vm->chardevs[c - vm->config->chardevs] : NULL;
}

static void microvm_quit(void *arg)
{
    machine_request(arg, MACHINE_QUIT, 0);
}

static void microvm_reset(void *arg)
{
    machine_request(arg, MACHINE_RESET, 0);
}

static void microvm_shutdown(void *arg)
{
    machine_request(arg, MACHINE_SHUTDOWN, 0);
}

static void microvm_debug_exit(void *arg, int status)
{
    machine_request(arg, MACHINE_QUIT, status);
}

static bool microvm_open_chardevs(struct microvm *vm, struct error *err)
{
    for (unsigned i = 0; i < vm->config->chardev_count; i++) {
        struct chardev *chr = chardev_open(&vm->config->chardevs[i], vm->machine.loop, err);

        if (!chr)
            return error_prefix(err, "%s: ", vm->config->chardevs[i].text);
        vm->chardevs[vm->chardev_count++] = chr;
        chardev_set_quit(chr, microvm_quit, &vm->machine);
    }
    return true;
}

/* --- The kernel --- */

static bool microvm_plan_boot(struct microvm *vm, struct error *err)
{
    static const enum boot_acpi acpi[] = {
        [OOA_AUTO] = BOOT_ACPI_AUTO, [OOA_ON] = BOOT_ACPI_ON, [OOA_OFF] = BOOT_ACPI_OFF
    };
    const struct config *c = vm->config;
    u64 below = MIN(c->ram_size, MAP_RAM_BELOW_4G_MAX);
    struct boot_options options = {
        .kernel = c->kernel,
        .initrd = c->initrd,
        .append = c->append,
        .acpi = acpi[c->machine.acpi],
        .decompress = c->machine.kernel_decompress,
        .auto_cmdline = c->machine.auto_kernel_cmdline,
        .ram_below_4g = below,
        .ram_above_4g = c->ram_size - below,
    };

    vm->plan = vm->firmware.used ? NULL : boot_plan_new(&options, &vm->machine.ram, err);
    if (!vm->firmware.used && !vm->plan)
        return false;
    vm->acpi = vm->plan ? boot_plan_acpi(vm->plan) : vm->firmware.acpi;
    vm->ioapic2 = vm->acpi && microvm_has(c->machine.ioapic2) && vm->irqchip != ACCEL_IRQCHIP_ALL;
    vm->machine.boot = vm->plan ? boot_load : microvm_firmware_load;
    vm->machine.boot_arg = vm->plan ? (void *)vm->plan : &vm->firmware;
    return true;
}

static bool microvm_describe(struct microvm *vm, bool serial, struct error *err)
{
    struct boot_machine tables = {
        .cpu_count = vm->machine.vcpu_count,
        .fw_cfg = true,
        .serial = serial,
        .rtc = microvm_has_rtc(vm),
        .ioapic2 = vm->ioapic2,
        .oem_id = vm->config->machine.oem_id,
        .oem_table_id = vm->config->machine.oem_table_id,
    };

    tables.slot_count = vm->slots.used_count;
    memcpy(tables.slots, vm->slots.used, sizeof(vm->slots.used));
    for (unsigned i = 0; i < vm->machine.vcpu_count; i++)
        tables.apic_ids[i] = vm->machine.vcpus[i].apic_id;
    vm->machine.accel->cpu_signature(&vm->machine, &tables.cpu_signature, &tables.cpu_features);
    return (!vm->plan || boot_plan_describe(vm->plan, &tables, err)) &&
           microvm_firmware_publish(&vm->firmware, vm->config, &tables, vm->fw_cfg, err);
}

/* --- Interrupt controllers --- */

static bool microvm_add_pic(struct microvm *vm, struct error *err)
{
    struct machine *m = &vm->machine;
    struct device *dev;

    if (!microvm_has(vm->config->machine.pic) || vm->irqchip == ACCEL_IRQCHIP_ALL)
        return true;
    vm->pic = i8259_new(vm->irqchip == ACCEL_IRQCHIP_LAPICS
                            ? irqchip_intr(&m->vcpus[0])
                            : (struct irq){ apic_bus_set_lint, &vm->apic_bus, 0 });
    if (vm->irqchip == ACCEL_IRQCHIP_LAPICS)
        irqchip_set_pic(&m->vcpus[0], vm->pic);
    dev = i8259_device(vm->pic);
    machine_add_device(m, dev);
    for (unsigned i = 0; i < 16; i++)
        if (i != MAP_GSI_CASCADE)
            gsi_connect(&vm->gsi, i, (struct irq){ i8259_set_irq, vm->pic, i });
    return microvm_map(&m->pio, "i8259 master", MAP_PORT_PIC_MASTER, 2, &i8259_master_ops, vm->pic,
                       dev, err) &&
           microvm_map(&m->pio, "i8259 slave", MAP_PORT_PIC_SLAVE, 2, &i8259_slave_ops, vm->pic,
                       dev, err) &&
           microvm_map(&m->pio, "elcr", MAP_PORT_ELCR, 2, &i8259_elcr_ops, vm->pic, dev, err);
}

static bool microvm_add_lapics(struct microvm *vm, struct error *err)
{
    struct machine *m = &vm->machine;

    if (vm->irqchip != ACCEL_IRQCHIP_NONE)
        irqchip_connect_bus(m, &vm->apic_bus);
    for (unsigned i = 0; i < m->vcpu_count && vm->irqchip == ACCEL_IRQCHIP_NONE; i++) {
        struct lapic_config config = {
            .vcpu = &m->vcpus[i],
            .bus = &vm->apic_bus,
            .clock = &m->clock,
            .loop = m->loop,
            .tsc_offset = m->vcpus[i].tsc_offset,
            .x2apic = !m->accel->irqchip,
            .tsc_deadline = !m->accel->irqchip,
        };

        if (vm->pic)
            config.extint = (struct lapic_extint){ i8259_pending, i8259_ack, vm->pic };
        machine_add_device(m, lapic_device(lapic_new(&config)));
    }
    return microvm_map(&m->mmio, "msi", MAP_LAPIC, MAP_LAPIC_SIZE, &apic_bus_msi_ops, &vm->apic_bus,
                       NULL, err);
}

static bool microvm_add_ioapic(struct microvm *vm, unsigned index, struct error *err)
{
    struct machine *m = &vm->machine;
    struct ioapic_config config = {
        .bus = &vm->apic_bus,
        .clock = &m->clock,
        .loop = m->loop,
        .id = (u8)index,
        .irq0_to_pin2 = index == 0,
        .gsi_base = index * IOAPIC_PINS,
    };
    struct ioapic *ioapic;

    if (vm->irqchip == ACCEL_IRQCHIP_ALL) {
        irqchip_connect_lines(m, &vm->gsi);
        return true;
    }
    if (vm->irqchip == ACCEL_IRQCHIP_LAPICS)
        config.routes = irqchip_routes(m);
    ioapic = ioapic_new(&config);
    machine_add_device(m, ioapic_device(ioapic));
    for (unsigned pin = 0; pin < IOAPIC_PINS; pin++)
        gsi_connect(&vm->gsi, index * IOAPIC_PINS + pin,
                    (struct irq){ ioapic_set_irq, ioapic, pin });
    return microvm_map(&m->mmio, index ? "ioapic2" : "ioapic", index ? MAP_IOAPIC2 : MAP_IOAPIC,
                       MAP_IOAPIC_SIZE, &ioapic_ops, ioapic, ioapic_device(ioapic), err);
}

/* --- ISA devices --- */

static bool microvm_add_pit(struct microvm *vm, struct error *err)
{
    struct machine *m = &vm->machine;
    struct i8254 *pit;

    if (!microvm_has(vm->config->machine.pit) || vm->irqchip == ACCEL_IRQCHIP_ALL)
        return true;
    pit = i8254_new(gsi_irq(&vm->gsi, MAP_GSI_PIT), &m->clock, m->loop);
    machine_add_device(m, i8254_device(pit));
    return microvm_map(&m->pio, "i8254", MAP_PORT_PIT, 4, &i8254_ops, pit, i8254_device(pit), err);
}

/* What the RTC shows at the start, less UTC. */
static i64 microvm_rtc_offset(const struct microvm *vm)
{
    const struct rtc_config *rtc = &vm->config->rtc;
    time_t now = time(NULL);
    struct tm local;

    switch (rtc->base) {
    case RTC_BASE_UTC: return 0;
    case RTC_BASE_LOCALTIME:
        return localtime_r(&now, &local) ? local.tm_gmtoff * INT64_C(1000000000) : 0;
    case RTC_BASE_DATE: return (rtc->date - now) * INT64_C(1000000000);
    }
    return 0;
}

static bool microvm_add_rtc(struct microvm *vm, struct error *err)
{
    struct machine *m = &vm->machine;
    u64 below = MIN(vm->config->ram_size, MAP_RAM_BELOW_4G_MAX);
    struct mc146818_config config = { gsi_irq(&vm->gsi, MAP_GSI_RTC), &m->clock, m->loop,
                                      microvm_rtc_offset(vm) };
    struct mc146818 *rtc;

    if (!microvm_has_rtc(vm))
        return true;
    rtc = mc146818_new(&config);
    mc146818_set_memory(rtc, below, vm->config->ram_size - below);
    machine_add_device(m, mc146818_device(rtc));
    return microvm_map(&m->pio, "mc146818", MAP_PORT_RTC, 2, &mc146818_ops, rtc,
                       mc146818_device(rtc), err);
}

/* The first -serial; further ones are accepted and not connected, as on QEMU. */
static bool microvm_add_serial(struct microvm *vm, bool *present, struct error *err)
{
    struct machine *m = &vm->machine;
    struct uart16550_config config = { "COM1", gsi_irq(&vm->gsi, MAP_GSI_COM1), NULL, &m->clock,
                                       m->loop };
    struct uart16550 *uart;

    *present =
        vm->config->machine.isa_serial && vm->config->serial_count && vm->config->serial_chardev[0];
    if (!*present)
        return true;
    config.chr = microvm_chardev(vm, vm->config->serial_chardev[0]);
    uart = uart16550_new(&config, err);
    if (!uart)
        return false;
    machine_add_device(m, uart16550_device(uart));
    return microvm_map(&m->pio, "COM1", MAP_PORT_COM1, 8, &uart16550_ops, uart,
                       uart16550_device(uart), err);
}

static bool microvm_add_ged(struct microvm *vm, struct error *err)
{
    struct machine *m = &vm->machine;
    struct ged_config config = { gsi_irq(&vm->gsi, MAP_GSI_GED), microvm_shutdown, microvm_reset,
                                 m };
    struct ged *ged;

    if (!vm->acpi)
        return true;
    ged = ged_new(&config);
    machine_add_device(m, ged_device(ged));
    return microvm_map(&m->mmio, "ged events", MAP_GED_EVENT, GED_EVENT_SIZE, &ged_event_ops, ged,
                       ged_device(ged), err) &&
           microvm_map(&m->mmio, "ged registers", MAP_GED_REGS, GED_REGS_SIZE, &ged_regs_ops, ged,
                       ged_device(ged), err);
}

/* --- fw_cfg --- */

#define E820_ENTRY_SIZE 20u
#define E820_RAM        1u

static void microvm_e820_ram(u8 *entry, gpa base, u64 size)
{
    store_le64(entry, base);
    store_le64(entry + 8, size);
    store_le32(entry + 16, E820_RAM);
}

/* Firmware takes away what it keeps for itself. */
static unsigned microvm_e820(const struct microvm *vm, u8 table[2 * E820_ENTRY_SIZE])
{
    u64 below = MIN(vm->config->ram_size, MAP_RAM_BELOW_4G_MAX);
    u64 above = vm->config->ram_size - below;

    microvm_e820_ram(table, 0, below);
    if (above)
        microvm_e820_ram(table + E820_ENTRY_SIZE, MAP_RAM_ABOVE_4G, above);
    return (above ? 2 : 1) * E820_ENTRY_SIZE;
}

static bool microvm_add_fw_cfg(struct microvm *vm, struct error *err)
{
    static const u8 boot_fail_wait[4] = { 0xFF, 0xFF, 0xFF, 0xFF };
    struct machine *m = &vm->machine;
    struct fw_cfg *fw = fw_cfg_new(&m->ram);
    struct device *dev = fw_cfg_device(fw);
    u8 e820[2 * E820_ENTRY_SIZE];

    machine_add_device(m, dev);
    vm->fw_cfg = fw;
    fw_cfg_add_bytes(fw, FW_CFG_UUID, vm->config->uuid, sizeof(vm->config->uuid), FW_CFG_COPY);
    fw_cfg_add_u64(fw, FW_CFG_RAM_SIZE, vm->config->ram_size);
    fw_cfg_add_u16(fw, FW_CFG_NOGRAPHIC, !vm->config->machine.graphics);
    fw_cfg_add_u16(fw, FW_CFG_NB_CPUS, (u16)m->vcpu_count);
    fw_cfg_add_u16(fw, FW_CFG_MAX_CPUS, (u16)vm->config->smp.maxcpus);
    fw_cfg_add_u16(fw, FW_CFG_BOOT_MENU, vm->config->boot_menu);
    fw_cfg_add_u32(fw, FW_CFG_IRQ0_OVERRIDE, 1);
    return fw_cfg_add_file(fw, "bios-geometry", "", 0, FW_CFG_BORROW, err) &&
           fw_cfg_add_file(fw, "etc/boot-fail-wait", boot_fail_wait, sizeof(boot_fail_wait),
                           FW_CFG_BORROW, err) &&
           fw_cfg_add_file(fw, "etc/e820", e820, microvm_e820(vm, e820), FW_CFG_COPY, err) &&
           microvm_map(&m->pio, "fw_cfg", MAP_PORT_FW_CFG, 2, &fw_cfg_port_ops, fw, dev, err) &&
           microvm_map(&m->pio, "fw_cfg dma", MAP_PORT_FW_CFG_DMA, 8, &fw_cfg_dma_ops, fw, dev,
                       err);
}

/* --- -device --- */

static bool microvm_add_debug_exit(struct microvm *vm, const struct device_config *d,
                                   struct error *err)
{
    struct debug_exit_config config = { microvm_debug_exit, &vm->machine };
    struct debug_exit *dbg = debug_exit_new(&config);

    machine_add_device(&vm->machine, debug_exit_device(dbg));
    return microvm_map(&vm->machine.pio, d->model,
                       device_config_uint(d, "iobase", DEBUG_EXIT_IOBASE),
                       device_config_uint(d, "iosize", DEBUG_EXIT_IOSIZE), &debug_exit_ops, dbg,
                       debug_exit_device(dbg), err);
}

static bool microvm_add_debugcon(struct microvm *vm, const struct device_config *d,
                                 struct error *err)
{
    struct debugcon_config config = { microvm_chardev(vm, device_config_get(d, "chardev")),
                                      (u8)device_config_uint(d, "readback", DEBUGCON_READBACK) };
    struct debugcon *con = debugcon_new(&config, err);

    if (!con)
        return false;
    machine_add_device(&vm->machine, debugcon_device(con));
    return microvm_map(&vm->machine.pio, d->model, device_config_uint(d, "iobase", DEBUGCON_IOBASE),
                       1, &debugcon_ops, con, debugcon_device(con), err);
}

static bool microvm_add_slots(struct microvm *vm, struct error *err)
{
    u32 gsi = vm->ioapic2 ? MAP_GSI_VIRTIO_IOAPIC2
              : vm->acpi  ? MAP_GSI_VIRTIO_ACPI
                          : MAP_GSI_VIRTIO_ISA;

    return virtio_slots_init(&vm->slots, &vm->machine, &vm->gsi,
                             vm->ioapic2 ? MAP_VIRTIO_SLOTS_IOAPIC2 : MAP_VIRTIO_SLOTS, gsi,
                             !vm->config->virtio_modern, err);
}

static bool microvm_add_rng(struct microvm *vm, const struct device_config *d, struct error *err)
{
    const char *id = device_config_get(d, "rng");
    const struct device_config *source = id ? config_object(vm->config, id) : NULL;
    struct rng_config config = {
        .ram = &vm->machine.ram,
        .loop = vm->machine.loop,
        .max_bytes = device_config_uint(d, "max-bytes", 0),
        .period_ms = (u32)device_config_uint(d, "period", RNG_PERIOD_MS),
    };
    int slot = virtio_slots_find(&vm->slots, d, err);
    struct virtio *v;

    if (slot < 0)
        return false;
    if (id && (!source || strncmp(source->model, "rng-", 4)))
        return error_set(
            err, "Property 'virtio-rng-device.rng': no -object rng-* has the id '%.64s'", id);
    if (source && !strcmp(source->model, "rng-random")) {
        config.path = device_config_get(source, "filename");
        config.path = config.path ? config.path : "/dev/urandom";
    }
    v = rng_new(&config, err);
    if (!v)
        return false;
    machine_add_device(&vm->machine, &v->dev);
    virtio_slots_plug(&vm->slots, slot, v, d);
    return true;
}

static bool microvm_add_blk(struct microvm *vm, const struct device_config *d, struct error *err)
{
    const char *drive = device_config_get(d, "drive"), *serial = device_config_get(d, "serial");
    const struct block_config *image = drive ? config_block(vm->config, drive) : NULL;
    struct blk_config config = {
        .serial = serial || !image ? serial : image->serial,
        .queues = (unsigned)device_config_uint(d, "num-queues", 1),
        .queue_size = (unsigned)device_config_uint(d, "queue-size", 0),
        .logical_block_size = (u32)device_config_uint(d, "logical_block_size", 0),
        .physical_block_size = (u32)device_config_uint(d, "physical_block_size", 0),
        .no_discard = !device_config_bool(d, "discard", true),
        .no_write_zeroes = !device_config_bool(d, "write-zeroes", true),
        .no_config_wce = !device_config_bool(d, "config-wce", true),
    };
    int slot = virtio_slots_find(&vm->slots, d, err);
    struct block *block;
    struct virtio *v;

    if (slot < 0)
        return false;
    if (!image)
        return error_set(err, "drive property not set");
    block = block_open(image, vm->machine.loop, err);
    if (!block)
        return false;
    v = blk_new(&config, block, &vm->machine.ram, vm->machine.loop, err);
    if (!v)
        return false;
    machine_add_device(&vm->machine, &v->dev);
    virtio_slots_plug(&vm->slots, slot, v, d);
    return true;
}

static bool microvm_add_balloon(struct microvm *vm, const struct device_config *d,
                                struct error *err)
{
    struct balloon_config config = {
        .ram = &vm->machine.ram,
        .loop = vm->machine.loop,
        .deflate_on_oom = device_config_bool(d, "deflate-on-oom", false),
        .free_page_reporting = device_config_bool(d, "free-page-reporting", false),
        .stats_seconds = (u32)device_config_uint(d, "guest-stats-polling-interval", 0),
        .target = device_config_size(d, "target", 0),
    };
    int slot = virtio_slots_find(&vm->slots, d, err);
    struct virtio *v;

    if (slot < 0)
        return false;
    v = balloon_new(&config);
    machine_add_device(&vm->machine, &v->dev);
    virtio_slots_plug(&vm->slots, slot, v, d);
    return true;
}

/* A card's own address, or the first from 52:54:00:12:34:56 on that no other card has. */
static void microvm_nic_mac(struct microvm *vm, const struct device_config *d, u8 mac[6])
{
    static const u8 first[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };
    const char *text = device_config_get(d, "mac");
    bool taken = true;

    if (text && cli_parse_mac(text, mac))
        return;
    memcpy(mac, first, sizeof(first));
    mac[5] = (u8)(mac[5] + vm->nic_count);
    while (taken) {
        taken = false;
        for (unsigned i = 0; i < vm->config->device_count; i++) {
            const char *other = device_config_get(&vm->config->devices[i], "mac");
            u8 used[6];

            taken |= other && cli_parse_mac(other, used) && !memcmp(used, mac, sizeof(used));
        }
        if (taken)
            mac[5]++;
    }
    vm->nic_count = (u8)(mac[5] - first[5] + 1);
}

static u8 microvm_nic_duplex(const struct device_config *d)
{
    const char *duplex = device_config_get(d, "duplex");

    if (!duplex || !strcmp(duplex, "unknown"))
        return 0xFF;
    return !strcmp(duplex, "full");
}

static bool microvm_open_net(struct microvm *vm, const struct device_config *d, struct net **net,
                             struct error *err)
{
    const char *id = device_config_get(d, "netdev");

    *net = NULL;
    if (!id) {
        log_warn("-device %s: no netdev: the cable is out", d->text);
        return true;
    }
    *net = net_open(config_net(vm->config, id), vm->machine.loop, err);
    return *net || error_prefix(err, "%s: ", config_net(vm->config, id)->text);
}

static bool microvm_add_net(struct microvm *vm, const struct device_config *d, struct error *err)
{
    struct nic_config config = {
        .ram = &vm->machine.ram,
        .loop = vm->machine.loop,
        .mq = device_config_bool(d, "mq", false),
        .mtu = (u32)device_config_uint(d, "host_mtu", 0),
        .speed = (u32)device_config_uint(d, "speed", 0),
        .duplex = microvm_nic_duplex(d),
        .rx_size = (u32)device_config_uint(d, "rx_queue_size", 0),
        .tx_size = (u32)device_config_uint(d, "tx_queue_size", 0),
    };
    int slot = virtio_slots_find(&vm->slots, d, err);
    struct virtio *v;
    struct net *net;

    if (slot < 0)
        return false;
    for (unsigned i = 0; i < NIC_FEATURES; i++)
        if (!device_config_bool(d, nic_feature_name((enum nic_feature)i), true))
            config.features_off |= BIT(i);
    microvm_nic_mac(vm, d, config.mac);
    if (!microvm_open_net(vm, d, &net, err))
        return false;
    v = nic_new(&config, net, err);
    if (!v)
        return false;
    machine_add_device(&vm->machine, &v->dev);
    virtio_slots_plug(&vm->slots, slot, v, d);
    return true;
}

static bool microvm_add_9p(struct microvm *vm, const struct device_config *d, struct error *err)
{
    const struct fs_config *folder = config_fsdev(vm->config, device_config_get(d, "fsdev"));
    struct p9_config config = { &vm->machine.ram, vm->machine.loop,
                                device_config_get(d, "mount_tag") };
    int slot = virtio_slots_find(&vm->slots, d, err);
    struct virtio *v;
    struct fs *fs;

    if (slot < 0)
        return false;
    fs = fs_open(folder, err);
    if (!fs)
        return error_prefix(err, "%s: ", folder->text);
    v = p9_new(&config, fs, err);
    if (!v)
        return false;
    machine_add_device(&vm->machine, &v->dev);
    virtio_slots_plug(&vm->slots, slot, v, d);
    return true;
}

static bool microvm_add_serial_bus(struct microvm *vm, const struct device_config *d,
                                   struct error *err)
{
    return microvm_serial_add_bus(&vm->serial_buses, &vm->machine, &vm->slots, d, err);
}

static bool microvm_add_serial_port(struct microvm *vm, const struct device_config *d,
                                    struct error *err)
{
    struct chardev *chr = microvm_chardev(vm, device_config_get(d, "chardev"));

    return microvm_serial_add_port(&vm->serial_buses, d, chr, err);
}

static bool microvm_add_vsock(struct microvm *vm, const struct device_config *d, struct error *err)
{
    return microvm_add_vsock_device(&vm->machine, &vm->slots, d, err);
}

static const struct {
    const char *model;
    bool (*add)(struct microvm *vm, const struct device_config *d, struct error *err);
} microvm_models[] = {
    { "isa-debug-exit", microvm_add_debug_exit },
    { "isa-debugcon", microvm_add_debugcon },
    { "virtconsole", microvm_add_serial_port },
    { "virtio-9p-device", microvm_add_9p },
    { "virtio-balloon-device", microvm_add_balloon },
    { "virtio-blk-device", microvm_add_blk },
    { "virtio-net-device", microvm_add_net },
    { "virtio-rng-device", microvm_add_rng },
    { "virtio-serial-device", microvm_add_serial_bus },
    { "virtio-vsock-device", microvm_add_vsock },
    { "vhost-vsock-device", microvm_add_vsock },
    { "virtserialport", microvm_add_serial_port },
};

static bool microvm_add_device(struct microvm *vm, const struct device_config *d, struct error *err)
{
    for (unsigned i = 0; i < ARRAY_SIZE(microvm_models); i++) {
        if (strcmp(d->model, microvm_models[i].model))
            continue;
        return microvm_models[i].add(vm, d, err) || error_prefix(err, "-device %s: ", d->text);
    }
    return error_set(err, "-device %s: '%s' is not a device of this machine", d->text, d->model);
}

static bool microvm_add_devices(struct microvm *vm, struct error *err)
{
    for (unsigned i = 0; i < vm->config->device_count; i++)
        if (!microvm_add_device(vm, &vm->config->devices[i], err))
            return false;
    return true;
}

/* --- The machine --- */

static bool microvm_select_accel(struct microvm *vm, struct error *err)
{
    const struct config *c = vm->config;

    vm->machine.accel = accel_choose(c, err);
    if (!vm->machine.accel)
        return false;
    vm->irqchip = accel_irqchip_kind(vm->machine.accel, c);
    if (vm->irqchip == ACCEL_IRQCHIP_ALL && c->machine.ioapic2 == OOA_ON)
        return error_set(
            err, "-M ioapic2=on: KVM has one IOAPIC; use kernel-irqchip=split, or no ioapic2");
    return true;
}

static bool microvm_build(struct microvm *vm, struct error *err)
{
    struct machine *m = &vm->machine;
    bool serial = false;

    if (!microvm_select_accel(vm, err) || !microvm_firmware_open(&vm->firmware, vm->config, err))
        return false;
    m->rom_size = firmware_size(&vm->firmware.image);
    if (!machine_init(m, vm->config, err) || !microvm_open_chardevs(vm, err) ||
        !microvm_plan_boot(vm, err) || !machine_init_vcpus(m, err))
        return false;
    apic_bus_init(&vm->apic_bus);
    gsi_init(&vm->gsi);
    return microvm_add_pic(vm, err) && microvm_add_lapics(vm, err) &&
           microvm_add_ioapic(vm, 0, err) && (!vm->ioapic2 || microvm_add_ioapic(vm, 1, err)) &&
           microvm_add_pit(vm, err) && microvm_add_rtc(vm, err) &&
           microvm_add_serial(vm, &serial, err) && microvm_add_ged(vm, err) &&
           microvm_add_fw_cfg(vm, err) && microvm_add_slots(vm, err) &&
           microvm_add_devices(vm, err) && virtio_slots_start(&vm->slots, err) &&
           microvm_describe(vm, serial, err);
}

struct microvm *microvm_new(const struct config *config, struct error *err)
{
    struct microvm *vm = xcalloc(1, sizeof(*vm));

    vm->config = config;
    if (microvm_build(vm, err))
        return vm;
    microvm_free(vm);
    return NULL;
}

void microvm_free(struct microvm *vm)
{
    if (!vm)
        return;
    virtio_slots_fini(&vm->slots);
    machine_fini_guest(&vm->machine);
    for (unsigned i = vm->chardev_count; i-- > 0;)
        chardev_free(vm->chardevs[i]);
    boot_plan_free(vm->plan);
    microvm_firmware_close(&vm->firmware);
    machine_fini_host(&vm->machine);
    free(vm);
}
