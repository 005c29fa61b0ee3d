/* SPDX-License-Identifier: MIT */
/* What command lines make of struct config. What is wrong with others is in tests/golden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "cli/config.h"
#include "cli/options.h"

#define WORDS_MAX 64

static struct config config;
static struct error err;
static bool cpu_is_known;

static bool check_cpu(const struct cpu_config *cpu, struct error *error)
{
    return cpu_is_known || error_set(error, "unable to find CPU model '%s'", cpu->model);
}

/* Parse a line whose words are separated by single blanks. */
static enum cli_result run(const char *line)
{
    static const struct cli_hooks hooks = { .cpu_check = check_cpu };
    char *text = strdup(line), *argv[WORDS_MAX] = { (char[]){ "mote" } };
    enum cli_result result;
    char *save, *word;
    int argc = 1;

    for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    config_free(&config);
    config_init(&config);
    result = cli_parse(argc, argv, &hooks, &config, &err);
    free(text);
    return result;
}

static void run_ok(const char *line)
{
    if (run(line) != CLI_RUN)
        fail_msg("%s: %s", line, err.text);
}

static int setup(void **state)
{
    (void)state;
    cpu_is_known = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    config_free(&config);
    return 0;
}

static void empty_line_is_a_machine_with_a_console(void **state)
{
    (void)state;
    run_ok("");
    assert_int_equal(config.ram_size, MIB(128));
    assert_int_equal(config.smp.cpus, 1);
    assert_int_equal(config.machine.pic, OOA_AUTO);
    assert_int_equal(config.machine.acpi, OOA_AUTO);
    assert_true(config.machine.isa_serial && config.machine.x_option_roms);
    assert_true(config.machine.auto_kernel_cmdline && config.machine.kernel_decompress);
    assert_true(config.machine.graphics);
    assert_int_equal(config.accel_count, 0);
    assert_int_equal(config.serial_count, 1);
    assert_string_equal(config.serial_chardev[0], "serial0");
    assert_int_equal(config.chardevs[0].kind, CHARDEV_STDIO);
    assert_true(config.chardevs[0].mux);
    assert_false(config.chardevs[0].signal);
    assert_false(config.virtio_modern);
}

static void nodefaults_leaves_out_the_console(void **state)
{
    (void)state;
    run_ok("-nodefaults -nographic");
    assert_int_equal(config.serial_count, 0);
    assert_int_equal(config.chardev_count, 0);
    assert_false(config.machine.graphics);
    assert_true(config.nographic);
}

static void default_console_leaves_stdio_to_who_asked_for_it(void **state)
{
    (void)state;
    run_ok("-nographic -chardev stdio,id=c");
    assert_int_equal(config.serial_count, 1);
    assert_int_equal(config_chardev(&config, "serial0")->kind, CHARDEV_NULL);
    run_ok("-daemonize");
    assert_int_equal(config_chardev(&config, "serial0")->kind, CHARDEV_NULL);
    run_ok("-serial none");
    assert_int_equal(config.serial_count, 1);
    assert_null(config.serial_chardev[0]);
    assert_int_equal(config.chardev_count, 0);
}

static void machine_properties_merge_and_the_last_word_counts(void **state)
{
    (void)state;
    run_ok("-M microvm,pic=off,pit=on -machine pit=off,rtc=on,acpi=off -M x-option-roms=off,"
           "isa-serial=no,"
           "auto-kernel-cmdline=n,kernel-decompress=false,graphics=off,ioapic2=off");
    assert_int_equal(config.machine.pic, OOA_OFF);
    assert_int_equal(config.machine.pit, OOA_OFF);
    assert_int_equal(config.machine.rtc, OOA_ON);
    assert_int_equal(config.machine.acpi, OOA_OFF);
    assert_int_equal(config.machine.ioapic2, OOA_OFF);
    assert_false(config.machine.x_option_roms || config.machine.isa_serial);
    assert_false(config.machine.auto_kernel_cmdline || config.machine.kernel_decompress);
    assert_false(config.machine.graphics);
    run_ok("-no-acpi");
    assert_int_equal(config.machine.acpi, OOA_OFF);
}

static void machine_spells_ordinary_options(void **state)
{
    (void)state;
    run_ok("-M microvm,kernel=k,initrd=i,append=a=b,,c,firmware=f,smp.cpus=2,memory.size=1G,"
           "kernel-irqchip=off,"
           "x-oem-id=ME,x-oem-table-id=MYTABLE");
    assert_string_equal(config.kernel, "k");
    assert_string_equal(config.initrd, "i");
    assert_string_equal(config.append, "a=b,c");
    assert_string_equal(config.bios, "f");
    assert_int_equal(config.smp.cpus, 2);
    assert_int_equal(config.ram_size, GIB(1));
    assert_string_equal(config.machine.kernel_irqchip, "off");
    assert_string_equal(config.machine.oem_id, "ME    ");
    assert_string_equal(config.machine.oem_table_id, "MYTABLE ");
}

static void accelerators_are_kept_in_order(void **state)
{
    (void)state;
    run_ok("-accel kvm,kernel-irqchip=split -accel tcg");
    assert_int_equal(config.accel_count, 2);
    assert_int_equal(config.accels[0], ACCEL_KVM);
    assert_int_equal(config.accels[1], ACCEL_SOFT);
    assert_string_equal(config.machine.kernel_irqchip, "split");
    assert_false(config.accel_fallback);
    run_ok("-M accel=soft -M accel=kvm:tcg");
    assert_int_equal(config.accel_count, 2);
    assert_int_equal(config.accels[0], ACCEL_KVM);
    run_ok("-M accel=tcg -enable-kvm");
    assert_int_equal(config.accel_count, 1);
    assert_int_equal(config.accels[0], ACCEL_KVM);
    assert_true(config.accel_fallback);
}

static void cpu_features_are_kept_in_order(void **state)
{
    (void)state;
    run_ok("-cpu host,+aes,-avx,sse3=off,lm,family=0x6 -cpu max,+aes,-avx,sse3=off,lm,family=0x6");
    assert_string_equal(config.cpu.model, "max");
    assert_int_equal(config.cpu.flag_count, 4);
    assert_string_equal(config.cpu.flags[0].name, "aes");
    assert_true(config.cpu.flags[0].on);
    assert_string_equal(config.cpu.flags[1].name, "avx");
    assert_false(config.cpu.flags[1].on);
    assert_string_equal(config.cpu.flags[2].name, "sse3");
    assert_false(config.cpu.flags[2].on);
    assert_true(config.cpu.flags[3].on);
    assert_int_equal(config.cpu.property_count, 1);
    assert_string_equal(config.cpu.properties[0].key, "family");
    assert_string_equal(config.cpu.properties[0].value, "0x6");
}

static void cpu_model_is_checked_by_who_knows(void **state)
{
    (void)state;
    cpu_is_known = false;
    assert_int_equal(run("-cpu weird"), CLI_ERROR);
    assert_string_equal(err.text, "-cpu weird: unable to find CPU model 'weird'");
}

static void memory_is_rounded_up(void **state)
{
    (void)state;
    run_ok("-m 1b");
    assert_int_equal(config.ram_size, KIB(8));
    run_ok("-m 100000k");
    assert_int_equal(config.ram_size, align_up(KIB(100000), KIB(8)));
    run_ok("-m 0");
    assert_int_equal(config.ram_size, MIB(128));
    run_ok("-m size=64G");
    assert_int_equal(config.ram_size, GIB(64));
    run_ok("-m 512m,slots=4,maxmem=4G");
    assert_int_equal(config.ram_size, MIB(512));
}

static void topology_is_completed(void **state)
{
    static const struct {
        const char *line;
        struct smp_config smp;
    } cases[] = {
        { "-smp 4", { 4, 1, 4, 1, 4 } },
        { "-smp 4,sockets=2", { 4, 2, 2, 1, 4 } },
        { "-smp 4,cores=2", { 4, 2, 2, 1, 4 } },
        { "-smp 4,threads=2", { 4, 1, 2, 2, 4 } },
        { "-smp 8,sockets=2,cores=2", { 8, 2, 2, 2, 8 } },
        { "-smp 2,maxcpus=4", { 2, 1, 4, 1, 4 } },
        { "-smp sockets=2,cores=2,threads=2", { 8, 2, 2, 2, 8 } },
        { "-smp cores=3", { 3, 1, 3, 1, 3 } },
        { "-smp threads=2", { 2, 1, 1, 2, 2 } },
        { "-smp 2 -smp threads=2", { 2, 1, 1, 2, 2 } },
        { "-smp cpus=16", { 16, 1, 16, 1, 16 } },
        { "-smp 2,dies=1,clusters=1", { 2, 1, 2, 1, 2 } },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        run_ok(cases[i].line);
        assert_memory_equal(&config.smp, &cases[i].smp, sizeof(config.smp));
    }
}

static void serial_devices_become_chardevs(void **state)
{
    const struct chardev_config *c;

    (void)state;
    run_ok("-serial file:a,b=c -serial pipe:p -serial mon:pty -serial unix:/tmp/x=y,server,nowait");
    assert_int_equal(config.serial_count, 4);
    c = config_chardev(&config, "serial0");
    assert_int_equal(c->kind, CHARDEV_FILE);
    assert_string_equal(c->path, "a,b=c");
    assert_string_equal(c->text, "-serial file:a,b=c");
    c = config_chardev(&config, "serial1");
    assert_int_equal(c->kind, CHARDEV_PIPE);
    assert_string_equal(c->path, "p");
    c = config_chardev(&config, "serial2");
    assert_int_equal(c->kind, CHARDEV_PTY);
    assert_true(c->mux);
    c = config_chardev(&config, config.serial_chardev[3]);
    assert_int_equal(c->kind, CHARDEV_SOCKET_UNIX);
    assert_string_equal(c->path, "/tmp/x=y");
    assert_true(c->server);
    assert_false(c->wait);
}

static void serial_stdio_keeps_signals_and_mon_does_not(void **state)
{
    (void)state;
    run_ok("-serial stdio");
    assert_true(config.chardevs[0].signal);
    assert_false(config.chardevs[0].mux);
    run_ok("-serial mon:stdio");
    assert_false(config.chardevs[0].signal);
    assert_true(config.chardevs[0].mux);
}

static void network_consoles_have_host_and_port(void **state)
{
    const struct chardev_config *c = &config.chardevs[0];

    (void)state;
    run_ok("-serial tcp:[::1]:44,server,logfile=log");
    assert_int_equal(c->kind, CHARDEV_SOCKET_TCP);
    assert_string_equal(c->host, "::1");
    assert_string_equal(c->port, "44");
    assert_true(c->server && c->wait);
    assert_false(c->telnet);
    assert_string_equal(c->logfile, "log");
    run_ok("-serial telnet::44,server=on,wait=off");
    assert_string_equal(c->host, "");
    assert_true(c->telnet);
    assert_false(c->wait);
    run_ok("-serial tcp:h:44,reconnect=3");
    assert_int_equal(c->reconnect, 3);
    assert_false(c->server || c->wait);
}

static void chardevs_have_their_keys(void **state)
{
    const struct chardev_config *c;

    (void)state;
    run_ok("-chardev file,id=a,path=x,,y,append=on,logfile=l,logappend=on "
           "-chardev stdio,id=b,signal=off,mux=on "
           "-chardev socket,id=c,host=h,port=p,nodelay -chardev pipe,id=d,path=q "
           "-chardev null,id=e -nodefaults");
    c = config_chardev(&config, "a");
    assert_string_equal(c->path, "x,y");
    assert_true(c->append && c->logappend);
    assert_string_equal(c->logfile, "l");
    c = config_chardev(&config, "b");
    assert_false(c->signal);
    assert_true(c->mux);
    c = config_chardev(&config, "c");
    assert_int_equal(c->kind, CHARDEV_SOCKET_TCP);
    assert_string_equal(c->host, "h");
    assert_int_equal(config_chardev(&config, "d")->kind, CHARDEV_PIPE);
    assert_int_equal(config_chardev(&config, "e")->kind, CHARDEV_NULL);
    assert_null(config_chardev(&config, "f"));
}

static void devices_keep_their_properties(void **state)
{
    const struct device_config *d = &config.devices[0];

    (void)state;
    run_ok("-device isa-debug-exit,id=x,iobase=0xf4,iosize=4,iosize=1 -device isa-debug-exit");
    assert_int_equal(config.device_count, 2);
    assert_string_equal(d->model, "isa-debug-exit");
    assert_string_equal(d->id, "x");
    assert_string_equal(d->text, "isa-debug-exit,id=x,iobase=0xf4,iosize=4,iosize=1");
    assert_int_equal(device_config_uint(d, "iobase", 1), 0xF4);
    assert_int_equal(device_config_uint(d, "iosize", 2), 1);
    assert_string_equal(device_config_get(d, "iosize"), "1");
    assert_null(config.devices[1].id);
    assert_int_equal(device_config_uint(&config.devices[1], "iosize", 2), 2);
}

static void globals_are_defaults(void **state)
{
    (void)state;
    run_ok("-device isa-debug-exit,iosize=1 -device isa-debug-exit -global isa-debug-exit.iosize=3 "
           "-global isa-debug-exit.iosize=4 -global virtio-mmio.force-legacy=off");
    assert_int_equal(device_config_uint(&config.devices[0], "iosize", 2), 1);
    assert_int_equal(device_config_uint(&config.devices[1], "iosize", 2), 4);
    assert_true(config.virtio_modern);
}

static void process_options_are_stored(void **state)
{
    static const u8 uuid[16] = { 0x12, 0x34, 0x56, 0x78, 0x9A, 0xBC, 0xDE, 0xF0,
                                 0x12, 0x34, 0x56, 0x78, 0x9A, 0xBC, 0xDE, 0xF0 };

    (void)state;
    run_ok("-name vm -pidfile p -D log -d int,mmu -S -no-reboot -no-shutdown -L a -L b -uuid "
           "12345678-9abc-def0-1234-56789abcdef0");
    assert_string_equal(config.name, "vm");
    assert_string_equal(config.pidfile, "p");
    assert_string_equal(config.log_path, "log");
    assert_int_equal(config.log_items, LOG_INT | LOG_MMU);
    assert_true(config.start_paused && config.no_reboot && config.no_shutdown);
    assert_int_equal(config.firmware_dir_count, 2);
    assert_string_equal(config.firmware_dirs[1], "b");
    assert_true(config.has_uuid);
    assert_memory_equal(config.uuid, uuid, sizeof(uuid));
}

static void actions_are_the_long_names_of_flags(void **state)
{
    (void)state;
    run_ok("-action reboot=shutdown,shutdown=pause");
    assert_true(config.no_reboot && config.no_shutdown);
    run_ok("-no-reboot -action reboot=reset,shutdown=poweroff");
    assert_false(config.no_reboot || config.no_shutdown);
}

static void rtc_starts_at_a_date(void **state)
{
    (void)state;
    run_ok("");
    assert_int_equal(config.rtc.base, RTC_BASE_UTC);
    run_ok("-rtc base=localtime");
    assert_int_equal(config.rtc.base, RTC_BASE_LOCALTIME);
    run_ok("-rtc base=2006-06-17T16:01:21");
    assert_int_equal(config.rtc.base, RTC_BASE_DATE);
    assert_int_equal(config.rtc.date, 1150560081);
    run_ok("-rtc base=1970-01-02");
    assert_int_equal(config.rtc.date, 86400);
}

static void long_values_leave_room_for_the_message(void **state)
{
    char line[2000] = "-m ";

    (void)state;
    memset(line + 3, 'x', sizeof(line) - 4);
    line[sizeof(line) - 1] = 0;
    assert_int_equal(run(line), CLI_ERROR);
    assert_non_null(strstr(err.text, "...: Parameter 'size' expects"));
}

static void one_or_two_dashes_are_the_same(void **state)
{
    (void)state;
    run_ok("--m 64 --nodefaults --kernel k -append a");
    assert_int_equal(config.ram_size, MIB(64));
    assert_string_equal(config.append, "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(empty_line_is_a_machine_with_a_console, setup, teardown),
        cmocka_unit_test_setup_teardown(nodefaults_leaves_out_the_console, setup, teardown),
        cmocka_unit_test_setup_teardown(default_console_leaves_stdio_to_who_asked_for_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(machine_properties_merge_and_the_last_word_counts, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(machine_spells_ordinary_options, setup, teardown),
        cmocka_unit_test_setup_teardown(accelerators_are_kept_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(cpu_features_are_kept_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(cpu_model_is_checked_by_who_knows, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_rounded_up, setup, teardown),
        cmocka_unit_test_setup_teardown(topology_is_completed, setup, teardown),
        cmocka_unit_test_setup_teardown(serial_devices_become_chardevs, setup, teardown),
        cmocka_unit_test_setup_teardown(serial_stdio_keeps_signals_and_mon_does_not, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(network_consoles_have_host_and_port, setup, teardown),
        cmocka_unit_test_setup_teardown(chardevs_have_their_keys, setup, teardown),
        cmocka_unit_test_setup_teardown(devices_keep_their_properties, setup, teardown),
        cmocka_unit_test_setup_teardown(globals_are_defaults, setup, teardown),
        cmocka_unit_test_setup_teardown(process_options_are_stored, setup, teardown),
        cmocka_unit_test_setup_teardown(actions_are_the_long_names_of_flags, setup, teardown),
        cmocka_unit_test_setup_teardown(rtc_starts_at_a_date, setup, teardown),
        cmocka_unit_test_setup_teardown(long_values_leave_room_for_the_message, setup, teardown),
        cmocka_unit_test_setup_teardown(one_or_two_dashes_are_the_same, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
