/* SPDX-License-Identifier: MIT */
/* Direct boot: the files, the decisions, and loading at each reset. */
#include "boot/boot.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "boot/acpi.h"
#include "boot/e820.h"
#include "boot/elf.h"
#include "boot/entry.h"
#include "boot/image.h"
#include "boot/linux.h"
#include "boot/mptable.h"
#include "boot/pvh.h"
#include "boot/unpack.h"

#define BOOT_PAGE_SIZE   4096u

/* The tables follow the RSDP, which kernels look for at the start of the area. */
#define BOOT_ACPI_TABLES (MAP_ACPI_TABLES + 64)

static_assert(64 + ACPI_TABLES_MAX <= MAP_ACPI_TABLES_MAX, "the tables end where map.h says");
static_assert(MAP_MPTABLE + MPTABLE_SIZE_MAX <= 0xA0000, "the MP table ends with base memory");

/* How the kernel in RAM is entered. */
struct boot_entry {
    enum image_kind protocol;
    enum boot_mode mode;
    gpa rip;
    gpa load;        /* bzImage: what code32_start is to say */
    gpa end;         /* of the memory that is the kernel's */
    u64 cmdline_max; /* without the terminating NUL */
    u64 initrd_max;  /* highest address of the initrd's last byte */
};

struct boot_plan {
    struct boot_options options;
    struct ram *ram;
    struct image kernel;
    struct image initrd;
    struct boot_entry entry;
    gpa initrd_addr;
    bool acpi;
    bool searched;       /* the kernel could be searched for virtio_mmio.device */
    bool virtio_cmdline; /* and it is there */
    bool kernel_fresh;   /* boot_plan_new put it into RAM, and no CPU has run since */

    /* From boot_plan_describe. */
    char *cmdline;
    struct e820_map e820;
    u8 mptable[MPTABLE_SIZE_MAX];
    size_t mptable_size;
    struct acpi_tables acpi_tables;
};

/* For the log only: what the guest sees of time comes from elsewhere. */
static double boot_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static unsigned long long boot_mib(u64 bytes)
{
    return align_up(bytes, MIB(1)) >> 20;
}

/* --- ACPI or not --- */

bool boot_has_virtio_cmdline(const u8 *data, u64 size)
{
    /* With the NUL: the name of the parameter, and not the beginning of some text. */
    static const char name[] = "virtio_mmio.device";

    return memmem(data, size, name, sizeof(name)) != NULL;
}

/*
 * Look for what acpi=auto depends on, the first time. The segments of the kernel are in `image`,
 * at their file offsets when `at_offset`, else at their physical addresses.
 */
static void boot_search_kernel(struct boot_plan *plan, const struct elf *elf, const u8 *image,
                               bool at_offset)
{
    double begin = boot_ms();

    if (plan->options.acpi != BOOT_ACPI_AUTO || plan->searched)
        return;
    for (unsigned i = 0; i < elf->segment_count && !plan->virtio_cmdline; i++) {
        const struct elf_segment *s = &elf->segments[i];

        plan->virtio_cmdline =
            boot_has_virtio_cmdline(image + (at_offset ? s->offset : s->base), s->file_size);
    }
    plan->searched = true;
    LOG(LOG_BOOT, "boot: searched the kernel in %.1f ms", boot_ms() - begin);
}

/*
 * A kernel that can be told about virtio devices on its command line was configured for machines
 * like this one and needs no ACPI; any other would not find them without.
 */
static bool boot_choose_acpi(const struct boot_plan *plan)
{
    if (plan->options.acpi != BOOT_ACPI_AUTO)
        return plan->options.acpi == BOOT_ACPI_ON;
    LOG(LOG_BOOT, "boot: acpi=auto: %s, so ACPI is %s",
        !plan->searched        ? "the kernel could not be looked into"
        : plan->virtio_cmdline ? "the kernel knows virtio_mmio.device="
                               : "the kernel does not know virtio_mmio.device=",
        plan->virtio_cmdline ? "off" : "on");
    return !plan->virtio_cmdline;
}

/* --- The kernel --- */

/* Is there RAM up to `end`? */
static bool boot_check_ram(const struct boot_plan *plan, gpa end, struct error *err)
{
    if (end <= plan->options.ram_below_4g)
        return true;
    if (end > MAP_RAM_BELOW_4G_MAX)
        return error_set(err, "it needs memory up to 0x%" PRIx64 ", and RAM ends at 0x%" PRIx64,
                         end, (u64)MAP_RAM_BELOW_4G_MAX);
    return error_set(err, "it needs at least %llu MiB of memory, and the machine has %llu: see -m",
                     boot_mib(end), boot_mib(plan->options.ram_below_4g));
}

static bool boot_place_segments(struct boot_plan *plan, const struct elf *elf)
{
    int ret = 0;

    for (unsigned i = 0; i < elf->segment_count; i++) {
        const struct elf_segment *s = &elf->segments[i];

        ret |= ram_write(plan->ram, s->base, plan->kernel.data + s->offset, s->file_size);
        ret |= ram_set(plan->ram, s->base + s->file_size, 0, s->memory_size - s->file_size);
    }
    return ret == 0;
}

static bool boot_place_elf(struct boot_plan *plan, struct error *err)
{
    const struct image *kernel = &plan->kernel;
    struct elf elf;
    gpa entry;

    if (!elf_parse(&elf, kernel->data, kernel->size, kernel->size, err) ||
        !pvh_find_entry(&elf, kernel->data, kernel->size, &entry, err))
        return false;
    if (elf.segments[0].base < MAP_KERNEL_LOW)
        return error_set(err, "its segment at 0x%" PRIx64 " is below 1 MiB", elf.segments[0].base);
    if (!boot_check_ram(plan, elf_end(&elf), err))
        return false;
    if (!boot_place_segments(plan, &elf))
        return error_set(err, "its segments are not all in memory");
    boot_search_kernel(plan, &elf, kernel->data, true);
    plan->entry = (struct boot_entry){
        .protocol = IMAGE_ELF,
        .mode = BOOT_MODE_FLAT32,
        .rip = entry,
        .end = elf_end(&elf),
        .cmdline_max = MAP_CMDLINE_MAX - 1,
        .initrd_max = UINT32_MAX,
    };
    LOG(LOG_BOOT,
        "boot: PVH kernel, %u segments from 0x%" PRIx64 " to 0x%" PRIx64
        ", 32-bit entry 0x%" PRIx64,
        elf.segment_count, elf.segments[0].base, elf_end(&elf), entry);
    return true;
}

/* Leave the unpacking to the kernel's own stub. */
static bool boot_place_stub(struct boot_plan *plan, const struct linux_header *header,
                            const char *reason, struct error *err)
{
    if (ram_write(plan->ram, header->load, plan->kernel.data + header->kernel_offset,
                  header->kernel_size) < 0)
        return error_set(err, "it does not fit in memory");
    plan->entry.mode = header->entry_64 ? BOOT_MODE_LONG64 : BOOT_MODE_FLAT32;
    plan->entry.rip = header->load + (header->entry_64 ? LINUX_ENTRY64_OFFSET : 0);
    LOG(LOG_BOOT, "boot: the kernel unpacks itself: %s; %u-bit entry 0x%" PRIx64, reason,
        header->entry_64 ? 64 : 32, plan->entry.rip);
    return true;
}

/* Unpack, and look into what came out. */
static bool boot_unpack(struct boot_plan *plan, const struct unpack *unpack, struct error *err)
{
    double begin = boot_ms();

    if (!unpack_run(unpack, plan->ram, err))
        return false;
    LOG(LOG_BOOT, "boot: unpacked %s, %" PRIu64 " to %" PRIu64 " KiB, in %.1f ms",
        payload_name(unpack->payload.format), unpack->payload.size >> 10,
        unpack->payload.unpacked_size >> 10, boot_ms() - begin);
    boot_search_kernel(plan, &unpack->elf, ram_ptr(plan->ram, 0, elf_end(&unpack->elf)), false);
    return true;
}

static bool boot_place_unpacked(struct boot_plan *plan, const struct unpack *unpack,
                                struct error *err)
{
    if (!boot_unpack(plan, unpack, err))
        return false;
    plan->entry.mode = BOOT_MODE_LONG64;
    plan->entry.rip = unpack->elf.entry;
    LOG(LOG_BOOT, "boot: 64-bit entry 0x%" PRIx64, plan->entry.rip);
    return true;
}

/*
 * kernel-decompress=off says who unpacks the kernel that runs, not whether acpi=auto may look into
 * it. What was unpacked for the look is given back.
 */
static bool boot_peek(struct boot_plan *plan, const struct unpack *unpack, struct error *err)
{
    gpa end = MAX(unpack->base + unpack->payload.unpacked_size, elf_end(&unpack->elf));

    if (plan->options.acpi != BOOT_ACPI_AUTO || plan->searched)
        return true;
    return boot_unpack(plan, unpack, err) &&
           (ram_set(plan->ram, MAP_KERNEL_LOW, 0, end - MAP_KERNEL_LOW) == 0 ||
            error_set(err, "it does not fit in memory"));
}

static bool boot_place_bzimage(struct boot_plan *plan, struct error *err)
{
    const struct image *kernel = &plan->kernel;
    struct linux_header header;
    struct unpack unpack;

    if (!linux_parse(&header, kernel->data, kernel->size, err) ||
        !boot_check_ram(plan, linux_end(&header), err))
        return false;
    plan->entry = (struct boot_entry){
        .protocol = IMAGE_BZIMAGE,
        .load = header.load,
        .end = linux_end(&header),
        .cmdline_max = MIN(header.cmdline_max, MAP_CMDLINE_MAX - 1),
        .initrd_max = header.initrd_high ? UINT32_MAX : header.initrd_addr_max,
    };
    LOG(LOG_BOOT, "boot: bzImage, protocol %u.%02u, memory from 0x%" PRIx64 " to 0x%" PRIx64,
        header.version >> 8, header.version & 0xFF, header.run, plan->entry.end);
    if (!unpack_plan(&unpack, &header, kernel->data, err))
        return false;
    if (!unpack.possible)
        return boot_place_stub(plan, &header, unpack.reason.text, err);
    if (plan->options.decompress)
        return boot_place_unpacked(plan, &unpack, err);
    return boot_peek(plan, &unpack, err) &&
           boot_place_stub(plan, &header, "kernel-decompress=off", err);
}

/* Put the kernel into RAM and find out how it is entered. */
static bool boot_place_kernel(struct boot_plan *plan, struct error *err)
{
    enum image_kind kind;
    bool ok = image_classify(plan->kernel.data, plan->kernel.size, &kind, err);

    if (ok)
        ok = kind == IMAGE_ELF ? boot_place_elf(plan, err) : boot_place_bzimage(plan, err);
    image_relax(&plan->kernel);
    return ok || error_prefix(err, "-kernel %s: ", plan->options.kernel);
}

/* --- The initrd --- */

/* As high as allowed, where it is out of the way of what the kernel takes for itself early on. */
static bool boot_place_initrd(struct boot_plan *plan, struct error *err)
{
    u64 size = plan->initrd.size;
    gpa max = MIN(plan->entry.initrd_max, plan->options.ram_below_4g - 1);
    gpa floor = align_up(plan->entry.end, BOOT_PAGE_SIZE);

    if (!size)
        return true;
    if (size <= max)
        plan->initrd_addr = align_down(max - size, BOOT_PAGE_SIZE);
    if (size <= max && plan->initrd_addr >= floor)
        return true;
    if (floor + size + BOOT_PAGE_SIZE > plan->entry.initrd_max)
        return error_set(err,
                         "-initrd %s: %" PRIu64 " bytes are too large for this kernel, which takes "
                         "at most %" PRIu64,
                         plan->options.initrd, size,
                         plan->entry.initrd_max > floor ? plan->entry.initrd_max - floor : 0);
    return boot_check_ram(plan, floor + size + BOOT_PAGE_SIZE, err) ||
           error_prefix(err, "-initrd %s: with the kernel ", plan->options.initrd);
}

/* --- Tables --- */

static int boot_compare_slots(const void *a, const void *b)
{
    const struct boot_slot *left = a, *right = b;

    return left->base > right->base ? -1 : left->base < right->base;
}

void boot_sort_slots(const struct boot_machine *machine, struct boot_slot sorted[BOOT_SLOTS_MAX])
{
    assert(machine->slot_count <= BOOT_SLOTS_MAX);
    memcpy(sorted, machine->slots, machine->slot_count * sizeof(sorted[0]));
    qsort(sorted, machine->slot_count, sizeof(sorted[0]), boot_compare_slots);
}

static void boot_copy_apic_ids(const struct boot_machine *machine, u8 apic_ids[MACHINE_VCPUS_MAX])
{
    assert(machine->cpu_count > 0 && machine->cpu_count <= MACHINE_VCPUS_MAX);
    for (unsigned i = 0; i < machine->cpu_count; i++) {
        assert(machine->apic_ids[i] < 0xFF);
        apic_ids[i] = (u8)machine->apic_ids[i];
    }
}

void boot_build_acpi(const struct boot_machine *machine, struct acpi_tables *tables)
{
    struct boot_slot slots[BOOT_SLOTS_MAX];
    u8 apic_ids[MACHINE_VCPUS_MAX];

    boot_sort_slots(machine, slots);
    boot_copy_apic_ids(machine, apic_ids);
    acpi_build(tables, &(struct acpi_config){
                           .apic_ids = apic_ids,
                           .cpu_count = machine->cpu_count,
                           .slots = slots,
                           .slot_count = machine->slot_count,
                           .fw_cfg = machine->fw_cfg,
                           .serial = machine->serial,
                           .rtc = machine->rtc,
                           .ioapic2 = machine->ioapic2,
                           .oem_id = machine->oem_id,
                           .oem_table_id = machine->oem_table_id,
                       });
}

static void boot_describe_tables(struct boot_plan *plan, const struct boot_machine *machine)
{
    u8 apic_ids[MACHINE_VCPUS_MAX];

    boot_copy_apic_ids(machine, apic_ids);
    e820_build(&plan->e820, plan->options.ram_below_4g, plan->options.ram_above_4g, plan->acpi);
    plan->mptable_size = mptable_build(plan->mptable, MAP_MPTABLE,
                                       &(struct mptable_config){
                                           .apic_ids = apic_ids,
                                           .cpu_count = machine->cpu_count,
                                           .cpu_signature = machine->cpu_signature,
                                           .cpu_features = machine->cpu_features,
                                       });
    if (!plan->acpi)
        return;
    boot_build_acpi(machine, &plan->acpi_tables);
    acpi_link(&plan->acpi_tables, BOOT_ACPI_TABLES);
}

bool boot_plan_describe(struct boot_plan *plan, const struct boot_machine *machine,
                        struct error *err)
{
    bool append_slots = plan->options.auto_cmdline && !plan->acpi;
    struct boot_slot slots[BOOT_SLOTS_MAX];
    u64 length;

    assert(!plan->cmdline);
    boot_sort_slots(machine, slots);
    boot_describe_tables(plan, machine);
    plan->cmdline =
        cmdline_new(plan->options.append, slots, append_slots ? machine->slot_count : 0);
    length = strlen(plan->cmdline);
    LOG(LOG_BOOT, "boot: command line \"%s\"", plan->cmdline);
    if (length > plan->entry.cmdline_max)
        return error_set(err,
                         "-append: the command line has %" PRIu64 " bytes, and the kernel takes at "
                         "most %" PRIu64,
                         length, plan->entry.cmdline_max);
    return true;
}

/* --- Loading --- */

/* All of it is in RAM that was checked; a failure is ours. */
static void boot_put(struct boot_plan *plan, gpa addr, const void *data, u64 size)
{
    int ret = ram_write(plan->ram, addr, data, size);

    assert(ret == 0);
    (void)ret;
}

static void boot_load_tables(struct boot_plan *plan)
{
    const struct acpi_tables *acpi = &plan->acpi_tables;

    boot_put(plan, MAP_CMDLINE, plan->cmdline, strlen(plan->cmdline) + 1);
    boot_put(plan, MAP_MPTABLE, plan->mptable, plan->mptable_size);
    if (!plan->acpi)
        return;
    boot_put(plan, MAP_ACPI_TABLES, acpi->rsdp, sizeof(acpi->rsdp));
    boot_put(plan, BOOT_ACPI_TABLES, acpi->data, acpi->size);
}

static void boot_load_initrd(struct boot_plan *plan)
{
    if (!plan->initrd.size)
        return;
    boot_put(plan, plan->initrd_addr, plan->initrd.data, plan->initrd.size);
    image_relax(&plan->initrd);
    LOG(LOG_BOOT, "boot: initrd, %" PRIu64 " KiB at 0x%" PRIx64, plan->initrd.size >> 10,
        plan->initrd_addr);
}

/* The zero page or the start info; both are one page. */
static void boot_load_params(struct boot_plan *plan)
{
    gpa rsdp = plan->acpi ? MAP_ACPI_TABLES : 0;
    u8 page[BOOT_PAGE_SIZE];

    static_assert(sizeof(page) == LINUX_PARAMS_SIZE && sizeof(page) == PVH_INFO_SIZE, "a page");
    if (plan->entry.protocol == IMAGE_BZIMAGE)
        linux_build_params(page, plan->kernel.data,
                           &(struct linux_params){
                               .load = plan->entry.load,
                               .cmdline = MAP_CMDLINE,
                               .initrd = plan->initrd_addr,
                               .initrd_size = plan->initrd.size,
                               .rsdp = rsdp,
                               .e820 = &plan->e820,
                           });
    else
        pvh_build_info(page, MAP_BOOT_PARAMS,
                       &(struct pvh_info){
                           .cmdline = MAP_CMDLINE,
                           .initrd = plan->initrd_addr,
                           .initrd_size = plan->initrd.size,
                           .rsdp = rsdp,
                           .e820 = &plan->e820,
                       });
    boot_put(plan, MAP_BOOT_PARAMS, page, sizeof(page));
}

bool boot_load(struct machine *machine, void *arg, struct cpu_boot_state *state, struct error *err)
{
    struct boot_plan *plan = arg;
    double begin = boot_ms();

    (void)machine;
    assert(plan->cmdline);
    /* The file may have changed since the last time, and then so may what fits where. */
    if (!plan->kernel_fresh && (!boot_place_kernel(plan, err) || !boot_place_initrd(plan, err)))
        return false;
    plan->kernel_fresh = false;
    boot_load_tables(plan);
    boot_load_initrd(plan);
    boot_load_params(plan);
    entry_write(plan->ram, plan->entry.mode, state);
    state->rip = plan->entry.rip;
    /* Each protocol has its own register for the one address: PVH EBX, Linux RSI or ESI. */
    if (plan->entry.protocol == IMAGE_BZIMAGE)
        state->rsi = MAP_BOOT_PARAMS;
    else
        state->rbx = MAP_BOOT_PARAMS;
    LOG(LOG_BOOT, "boot: loaded in %.1f ms", boot_ms() - begin);
    return true;
}

/* --- Construction --- */

static bool boot_plan_init(struct boot_plan *plan, struct error *err)
{
    double begin = boot_ms();

    if (!plan->options.kernel)
        return error_set(err, "there is no kernel to start: see -kernel");
    if (!image_open(&plan->kernel, "-kernel", plan->options.kernel, err))
        return false;
    if (plan->options.initrd && !image_open(&plan->initrd, "-initrd", plan->options.initrd, err))
        return false;
    if (!boot_place_kernel(plan, err) || !boot_place_initrd(plan, err))
        return false;
    plan->kernel_fresh = true;
    plan->acpi = boot_choose_acpi(plan);
    LOG(LOG_BOOT, "boot: planned in %.1f ms", boot_ms() - begin);
    return true;
}

struct boot_plan *boot_plan_new(const struct boot_options *options, struct ram *ram,
                                struct error *err)
{
    struct boot_plan *plan = xcalloc(1, sizeof(*plan));

    plan->options = *options;
    plan->ram = ram;
    if (boot_plan_init(plan, err))
        return plan;
    boot_plan_free(plan);
    return NULL;
}

bool boot_plan_acpi(const struct boot_plan *plan)
{
    return plan->acpi;
}

void boot_plan_free(struct boot_plan *plan)
{
    if (!plan)
        return;
    image_close(&plan->kernel);
    image_close(&plan->initrd);
    free(plan->cmdline);
    free(plan);
}
