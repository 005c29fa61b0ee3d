/* SPDX-License-Identifier: MIT */
/*
 * The configuration: plain, validated data. All that leaves cli/ on the way to the machine.
 * Strings are owned by the config and live as long as it.
 */
#pragma once

#include <netinet/in.h>

#include "base/bits.h"
#include "base/error.h"
#include "base/types.h"
#include "host/block.h"
#include "host/fs.h"

enum on_off_auto { OOA_AUTO, OOA_ON, OOA_OFF };

#define CONFIG_SERIALS_MAX       4
#define CONFIG_CHARDEVS_MAX      16
#define CONFIG_BLOCKS_MAX        32
#define CONFIG_FSDEVS_MAX        8
#define CONFIG_DEVICES_MAX       40
#define CONFIG_DEVICE_PROPS_MAX  32
#define CONFIG_OBJECTS_MAX       16
#define CONFIG_NETS_MAX          16
#define CONFIG_NET_FDS_MAX       8
#define CONFIG_NET_FORWARDS_MAX  32
#define CONFIG_NET_SEARCHES_MAX  8
#define CONFIG_ACCELS_MAX        4
#define CONFIG_CPU_FLAGS_MAX     128
#define CONFIG_CPU_PROPS_MAX     16
#define CONFIG_CPUS_MAX          16
#define CONFIG_RAM_MAX           GIB(64)
#define CONFIG_FIRMWARE_DIRS_MAX 8
#define CONFIG_FW_CFG_MAX        16

enum chardev_kind {
    CHARDEV_NULL,
    CHARDEV_STDIO,
    CHARDEV_FILE,
    CHARDEV_PIPE,
    CHARDEV_PTY,
    CHARDEV_SOCKET_UNIX,
    CHARDEV_SOCKET_TCP,
};

struct chardev_config {
    char *id;
    char *text; /* "-serial file:log": the option that made it, for messages */
    enum chardev_kind kind;
    char *path; /* file, pipe, unix */
    char *host; /* tcp */
    char *port; /* tcp */
    bool server;
    bool wait; /* server: wait for a client before the guest starts */
    bool telnet;
    u32 reconnect; /* client: seconds between attempts, 0 = do not */
    bool append;   /* file */
    bool signal;   /* stdio: Ctrl-C ends the process instead of reaching the guest */
    bool mux;      /* Ctrl-A escapes (mon:) */
    char *logfile;
    bool logappend;
};

enum net_kind { NET_TAP, NET_USER, NET_STREAM, NET_DGRAM };

/* A socket's address: path, or host and port. */
struct net_address_config {
    char *path, *host, *port;
    bool ipv4, ipv6; /* only this one; both or none: whichever there is */
};

/* -netdev user,hostfwd= and guestfwd=. */
struct net_forward {
    bool udp, v6;
    struct in6_addr host, guest; /* IPv4: in the first 4 bytes */
    u16 host_port, guest_port;
    char *target; /* guestfwd: unix:PATH or cmd:COMMAND */
};

/* -netdev user: addresses in network order. */
struct net_user_config {
    bool restricted;
    enum on_off_auto ipv4, ipv6;
    struct in_addr net, mask, host, dns, dhcp_start; /* dhcp_start and the like: 0: by net */
    struct in6_addr prefix6, host6, dns6;
    u32 prefix6_size;
    char *hostname, *domainname, *bootfile, *tftp_server;
    unsigned search_count;
    char *searches[CONFIG_NET_SEARCHES_MAX]; /* dnssearch */
    unsigned hostfwd_count, guestfwd_count;
    struct net_forward hostfwds[CONFIG_NET_FORWARDS_MAX], guestfwds[CONFIG_NET_FORWARDS_MAX];
};

/* -netdev: a network backend. */
struct net_config {
    char *id;
    char *text; /* "-netdev tap,id=a": the option that made it, for messages */
    enum net_kind kind;
    unsigned fd_count;
    int fds[CONFIG_NET_FDS_MAX];
    char *ifname, *script, *downscript; /* tap */
    enum on_off_auto vnet_hdr;
    bool vhost;
    u32 queues, sndbuf;
    struct net_user_config user;
    bool server; /* stream */
    u32 reconnect;
    struct net_address_config local, remote; /* stream, dgram */
};

struct property {
    char *key;
    char *value;
};

/* -device, in command-line order; the machine checks the properties of the models it knows. */
struct device_config {
    char *text; /* the whole argument, for messages */
    char *model;
    char *id;
    char *bus; /* NULL: the first that fits */
    unsigned property_count;
    struct property properties[CONFIG_DEVICE_PROPS_MAX];
};

struct cpu_flag {
    char *name;
    bool on;
};

struct cpu_config {
    char *model; /* "max", "host", "qemu64", ...; NULL: the default */
    unsigned flag_count;
    struct cpu_flag flags[CONFIG_CPU_FLAGS_MAX]; /* in order; the last word on a name wins */
    unsigned property_count;
    struct property properties[CONFIG_CPU_PROPS_MAX]; /* key=value where value is not on or off */
};

/* -fw_cfg: a file for the guest, from a file of the host's or from the command line. */
struct fw_cfg_config {
    char *name;
    char *file; /* one of the two */
    char *string;
};

struct smp_config {
    unsigned cpus;
    unsigned sockets;
    unsigned cores;   /* per socket */
    unsigned threads; /* per core */
    unsigned maxcpus;
};

struct machine_config {
    enum on_off_auto pic;
    enum on_off_auto pit;
    enum on_off_auto rtc;
    enum on_off_auto acpi;
    enum on_off_auto ioapic2;
    bool isa_serial;
    bool x_option_roms;
    bool auto_kernel_cmdline;
    bool kernel_decompress;
    bool graphics;
    bool mem_merge; /* advice to the host: guest memory may be merged, may have huge pages */
    bool hugepages;
    char *kernel_irqchip; /* "on", "off", "split", NULL */
    char *oem_id;         /* ACPI headers: 6 characters, padded with blanks; NULL: the default */
    char *oem_table_id;   /* 8 characters */
};

/* Where the guest's real time clock starts (-rtc base=). */
enum rtc_base {
    RTC_BASE_UTC,
    RTC_BASE_LOCALTIME,
    RTC_BASE_DATE, /* at `date` */
};

struct rtc_config {
    enum rtc_base base;
    i64 date; /* seconds since the Unix epoch, as if it were UTC */
};

enum accel_kind { ACCEL_SOFT, ACCEL_KVM };

struct kvm_config {
    char *device;   /* NULL: /dev/kvm */
    bool emulated;  /* also where it runs guests by emulation only */
    u32 shadow_mem; /* bytes of shadow page tables; 0: the kernel's choice */
};

struct overcommit_config {
    bool mem_lock; /* all memory stays in RAM */
    bool cpu_pm;   /* the guest may stop the host's CPU */
};

struct config {
    struct machine_config machine;
    struct cpu_config cpu;
    struct smp_config smp;
    u32 translate; /* accel soft: runs of a block before it is translated to host code; 0: never */
    u64 ram_size;  /* bytes, rounded up to 8 KiB as QEMU does */

    struct kvm_config kvm;
    struct overcommit_config overcommit;
    unsigned accel_count;
    enum accel_kind accels[CONFIG_ACCELS_MAX]; /* in order of preference; none: the default */
    bool accel_fallback; /* -enable-kvm: go on with soft when KVM cannot run */

    char *kernel;
    char *initrd;
    char *append;
    char *bios;
    bool boot_menu; /* firmware offers to choose what to boot */

    unsigned serial_count;
    char *serial_chardev[CONFIG_SERIALS_MAX]; /* chardev ids; NULL: "none" */
    unsigned chardev_count;
    struct chardev_config chardevs[CONFIG_CHARDEVS_MAX];

    unsigned block_count;
    struct block_config blocks[CONFIG_BLOCKS_MAX]; /* -drive and -blockdev */

    unsigned net_count;
    struct net_config nets[CONFIG_NETS_MAX]; /* -netdev and -nic */
    unsigned fsdev_count;
    struct fs_config fsdevs[CONFIG_FSDEVS_MAX]; /* -fsdev and -virtfs */

    unsigned device_count;
    struct device_config devices[CONFIG_DEVICES_MAX];
    unsigned object_count;
    struct device_config objects[CONFIG_OBJECTS_MAX]; /* -object; model: its type */

    bool nodefaults;
    bool nographic;
    bool no_reboot;
    bool no_shutdown;
    bool start_paused;
    bool daemonize;
    bool virtio_modern; /* -global virtio-mmio.force-legacy=off */
    char *name;
    char *pidfile;
    bool has_uuid;
    u8 uuid[16]; /* in the order of its text */
    struct rtc_config rtc;
    unsigned firmware_dir_count;
    char *firmware_dirs[CONFIG_FIRMWARE_DIRS_MAX]; /* -L, searched in order */
    unsigned fw_cfg_count;
    struct fw_cfg_config fw_cfg[CONFIG_FW_CFG_MAX];
    char *log_path;
    u32 log_items;
    bool perfmap;
};

/* QEMU's microvm defaults: 128 MiB, one CPU, everything auto. */
void config_init(struct config *config);
void config_free(struct config *config);
void config_free_net(struct net_config *net); /* what it points to */

void config_free_fsdev(struct fs_config *fsdev);

/* The drive or block node, the network backend, the folder, the object, or the chardev with this id, or NULL. */
const struct block_config *config_block(const struct config *config, const char *id);
const struct net_config *config_net(const struct config *config, const char *id);
const struct fs_config *config_fsdev(const struct config *config, const char *id);
const struct device_config *config_object(const struct config *config, const char *id);
const struct chardev_config *config_chardev(const struct config *config, const char *id);

/*
 * A property of a device as the user wrote it (the last one wins), or NULL; as a number, or
 * `otherwise`.
 */
const char *device_config_get(const struct device_config *device, const char *key);
bool device_config_bool(const struct device_config *device, const char *key, bool otherwise);
u64 device_config_uint(const struct device_config *device, const char *key, u64 otherwise);
u64 device_config_size(const struct device_config *device, const char *key, u64 otherwise);

/* XX:XX:XX:XX:XX:XX; false when it is not that. */
bool cli_parse_mac(const char *value, u8 mac[6]);
