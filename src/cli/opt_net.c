/* SPDX-License-Identifier: MIT */
/* -netdev and -nic: what becomes network backends; and the properties of the card. */
#include "cli/opt_net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/number.h"
#include "cli/suggest.h"

#define CLI_NIC_MODEL "virtio-net-device"

/* ---- tap ---- */

static const struct key cli_tap_keys[] = {
    { "id", KEY_STRING, CLI_NET(net.id), .help = "the name that -device refers to it by" },
    { "ifname", KEY_STRING, CLI_NET(net.ifname), .help = "the tap device (a new one)" },
    { "script", KEY_STRING, CLI_NET(net.script),
      .help = "run at the start with the device's name (/etc/qemu-ifup); no: none" },
    { "downscript", KEY_STRING, CLI_NET(net.downscript),
      .help = "run at the end (/etc/qemu-ifdown); no: none" },
    { "fd", KEY_STRING, CLI_NET(fd), .help = "an open tap device, by its descriptor's number" },
    { "fds", KEY_STRING, CLI_NET(fds), .help = "the same for several queues: N:N:..." },
    { "vnet_hdr", KEY_ON_OFF_AUTO, CLI_NET(net.vnet_hdr),
      .help = "leave checksums and segmentation to the host (auto: if it can)" },
    { "vhost", KEY_BOOL, CLI_NET(net.vhost), .help = "use the host's vhost-net (off)" },
    { "queues", KEY_UINT, CLI_NET(net.queues), .max = CONFIG_NET_FDS_MAX,
      .help = "queue pairs, of the device's mq=on (1)" },
    { "sndbuf", KEY_UINT, CLI_NET(net.sndbuf), .max = INT32_MAX,
      .help = "bytes that may wait in the host (no limit)" },
    { .name = "vhostforce", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { .name = "poll-us", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { .name = NULL },
};

bool cli_add_fd(struct cli_net *n, const char *text, struct error *err)
{
    u64 fd;

    if (number_parse(text, INT32_MAX, &fd) != NUMBER_OK)
        return error_set(err, "a descriptor's number is expected, not '%.64s'", text);
    if (n->net.fd_count == CONFIG_NET_FDS_MAX)
        return error_set(err, "more than %d descriptors", CONFIG_NET_FDS_MAX);
    n->net.fds[n->net.fd_count++] = (int)fd;
    return true;
}

static bool cli_add_fds(struct cli_net *n, struct error *err)
{
    char *text = xstrdup(n->fds), *next = text;
    bool ok = true;

    while (ok && next) {
        char *this = strsep(&next, ":");

        ok = cli_add_fd(n, this, err);
    }
    free(text);
    return ok;
}

static bool cli_finish_tap(struct cli *cli, struct cli_net *n, struct error *err)
{
    (void)cli;
    n->net.kind = NET_TAP;
    if ((n->fd || n->fds) &&
        (n->net.ifname || n->net.script || n->net.downscript || n->net.queues || (n->fd && n->fds)))
        return error_set(err, "ifname=, script=, downscript= and queues= are invalid with fd= and "
                              "fds=, of which only one can be");
    if (n->fd)
        return cli_add_fd(n, n->fd, err);
    return !n->fds || cli_add_fds(n, err);
}

/* ---- Types ---- */

static const struct cli_net_type {
    const char *name;
    const struct key *keys;
    bool (*finish)(struct cli *cli, struct cli_net *n, struct error *err);
    const char *help;
} cli_net_types[] = {
    { "tap", cli_tap_keys, cli_finish_tap, "a tap device of the host's kernel" },
    { "user", cli_user_keys, cli_finish_user, "the host's network, without any rights" },
    { "stream", cli_stream_keys, cli_finish_stream,
      "a stream socket: another machine, a switch, passt" },
    { "dgram", cli_dgram_keys, cli_finish_dgram, "datagrams: UDP, multicast, unix sockets" },
    { "socket", cli_netsocket_keys, cli_finish_netsocket, "both, the older way to say it" },
};

static const struct cli_net_type *cli_find_net_type(const char *name, struct error *err)
{
    struct suggest suggest;

    suggest_init(&suggest, name);
    for (size_t i = 0; i < ARRAY_SIZE(cli_net_types); i++) {
        if (!strcmp(cli_net_types[i].name, name))
            return &cli_net_types[i];
        suggest_try(&suggest, cli_net_types[i].name);
    }
    error_set(err,
              "Parameter 'type' does not accept value '%.64s', but tap, user, stream, dgram "
              "or socket",
              name);
    suggest_append(&suggest, "", err);
    return NULL;
}

static bool cli_netdev_help(struct cli *cli, const struct keyval *kv, struct error *err)
{
    const char *name = keyval_get(kv, "type");
    const struct cli_net_type *type;

    cli->done = true;
    if (!name || keyval_is_help(name)) {
        printf("Available netdev backend types:\n");
        for (size_t i = 0; i < ARRAY_SIZE(cli_net_types); i++)
            printf("  %-8s %s\n", cli_net_types[i].name, cli_net_types[i].help);
        return true;
    }
    type = cli_find_net_type(name, err);
    if (!type)
        return false;
    printf("%s options:\n", type->name);
    key_print_help(stdout, type->keys);
    return true;
}

/* ---- Adding ---- */

static void cli_free_net_address(struct cli_net_address *a)
{
    free(a->type);
    free(a->host);
    free(a->port);
    free(a->path);
    free(a->text);
}

static void cli_free_net(struct cli_net *n)
{
    char *const strings[] = { n->type,      n->fd,         n->fds,      n->address, n->host,
                              n->dns,       n->dhcp_start, n->address6, n->prefix6, n->host6,
                              n->dns6,      n->listen,     n->connect,  n->mcast,   n->udp,
                              n->localaddr, n->model,      n->mac,      n->mtu };

    for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
        free(strings[i]);
    cli_free_net_address(&n->addr);
    cli_free_net_address(&n->local);
    cli_free_net_address(&n->remote);
}

/* Keys of -nic that are the card's. */
static const struct key cli_nic_keys[] = {
    { "model", KEY_STRING, CLI_NET(model), .help = "the card: virtio-net-device" },
    { "mac", KEY_STRING, CLI_NET(mac), .help = "its address" },
    { .name = "addr", .type = KEY_STRING, .offset = KEY_NOWHERE },
    { .name = "vectors", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { .name = NULL },
};

static bool cli_set_net_key(struct cli *cli, const struct cli_net_type *type, struct cli_net *n,
                            const struct keyval_item *item, bool nic, struct error *err)
{
    const struct key_table table = { type->keys, "Invalid parameter '", "'", .bare_ok = true };
    const struct key_table card = { cli_nic_keys, "", "", .bare_ok = true };

    if (!strcmp(item->key, "type"))
        return true;
    if (nic && key_find(cli_nic_keys, item->key))
        return key_set(cli, &card, n, item, err);
    return key_set(cli, &table, n, item, err);
}

static bool cli_check_net(struct cli *cli, const struct net_config *net, struct error *err)
{
    if (!net->id)
        return error_set(err, "Parameter 'id' is missing");
    if (!cli_check_id(net->id, err))
        return false;
    if (config_net(cli->config, net->id))
        return error_set(err, "Duplicate ID '%.64s' for netdev", net->id);
    if (cli->config->net_count == CONFIG_NETS_MAX)
        return error_set(err, "more than %d netdevs", CONFIG_NETS_MAX);
    return true;
}

/* -nic: a name for the backend, and a card for it. */
static bool cli_add_nic(struct cli *cli, struct cli_net *n, struct error *err)
{
    char text[160];

    if (n->model && strcmp(n->model, CLI_NIC_MODEL) && strcmp(n->model, "virtio") &&
        strcmp(n->model, "virtio-net"))
        return error_set(err, "model=%.64s: this machine has " CLI_NIC_MODEL " only", n->model);
    snprintf(text, sizeof(text), CLI_NIC_MODEL ",netdev=%.64s%s%.32s", n->net.id,
             n->mac ? ",mac=" : "", n->mac ? n->mac : "");
    return cli_add_implied_device(cli, text, text, err);
}

static bool cli_fill_net(struct cli *cli, const struct cli_net_type *type, struct cli_net *n,
                         const struct keyval *kv, bool nic, struct error *err)
{
    char id[32];

    for (unsigned i = 0; i < kv->count; i++)
        if (!cli_set_net_key(cli, type, n, &kv->items[i], nic, err))
            return false;
    if (nic && !n->net.id) {
        snprintf(id, sizeof(id), "nic%u", cli->config->net_count);
        key_replace_string(&n->net.id, id);
    }
    return cli_check_net(cli, &n->net, err) && type->finish(cli, n, err) &&
           (!nic || cli_add_nic(cli, n, err));
}

static bool cli_add_net(struct cli *cli, const struct keyval *kv, const char *value, bool nic,
                        struct error *err)
{
    const char *name = keyval_get(kv, "type");
    const struct cli_net_type *type;
    char text[CLI_SOURCE_MAX];
    struct cli_net *n;
    bool ok;

    if (!name)
        return error_set(err, "Parameter 'type' is missing");
    type = cli_find_net_type(name, err);
    if (!type)
        return false;
    n = xcalloc(1, sizeof(*n));
    snprintf(text, sizeof(text), "-%s %s", nic ? "nic" : "netdev", value);
    n->net.text = xstrdup(text);
    ok = cli_fill_net(cli, type, n, kv, nic, err);
    if (ok)
        cli->config->nets[cli->config->net_count++] = n->net;
    else
        config_free_net(&n->net);
    cli_free_net(n);
    free(n);
    return ok;
}

bool cli_parse_netdev(struct cli *cli, const char *value, struct error *err)
{
    struct keyval kv;
    bool ok;

    if (value[0] == '{')
        return error_set(err, "JSON is not read here; write TYPE,id=ID,KEY=VALUE,...");
    ok = keyval_parse(&kv, value, "type", err);
    if (ok)
        ok = keyval_wants_help(&kv) ? cli_netdev_help(cli, &kv, err)
                                    : cli_add_net(cli, &kv, value, false, err);
    keyval_fini(&kv);
    return ok;
}

bool cli_parse_nic(struct cli *cli, const char *value, struct error *err)
{
    struct keyval kv;
    bool ok;

    if (!strcmp(value, "none"))
        return true;
    ok = keyval_parse(&kv, value, "type", err);
    if (ok)
        ok = keyval_wants_help(&kv) ? cli_netdev_help(cli, &kv, err)
                                    : cli_add_net(cli, &kv, value, true, err);
    keyval_fini(&kv);
    return ok;
}

/* ---- The card ---- */

bool cli_parse_mac(const char *value, u8 mac[6])
{
    static const char digits[] = "0123456789abcdef";

    for (unsigned i = 0; i < 6; i++) {
        const char *high = value[0] ? strchr(digits, value[0] | 0x20) : NULL;
        const char *low = high && value[1] ? strchr(digits, value[1] | 0x20) : NULL;
        char end = i < 5 ? value[low ? 2 : 0] : 0;

        if (!low || (i < 5 && end != ':' && end != '-') || (i == 5 && value[2]))
            return false;
        mac[i] = (u8)((high - digits) << 4 | (low - digits));
        value += 3;
    }
    return true;
}

static bool cli_check_mac(struct cli *cli, void *object, const char *value, struct error *err)
{
    u8 mac[6];

    (void)cli;
    (void)object;
    if (!cli_parse_mac(value, mac))
        return error_set(err,
                         "Property '" CLI_NIC_MODEL ".mac' doesn't take value '%.64s'; "
                         "52:54:00:12:34:56 has the form",
                         value);
    return !(mac[0] & 1) ||
           error_set(err, "Property '" CLI_NIC_MODEL ".mac': %.64s is a multicast address", value);
}

static const char *const cli_duplexes[] = { "half", "full", "unknown", NULL };
static const char *const cli_tx_words[] = { "timer", "bh", NULL };

/* clang-format off */
#define NIC_FEATURE(feature, text) { feature, KEY_BOOL, KEY_NOWHERE, .help = text " (on)" }
/* clang-format on */

const struct key cli_net_keys[] = {
    { "netdev", KEY_STRING, KEY_NOWHERE, .help = "the -netdev; without one the cable is out" },
    { "mac", KEY_CALL, KEY_NOWHERE, .call = cli_check_mac,
      .help = "the card's address (52:54:00:12:34:56, and counting)" },
    { "mq", KEY_BOOL, KEY_NOWHERE, .help = "offer as many queue pairs as the netdev has (off)" },
    { "host_mtu", KEY_UINT, KEY_NOWHERE, .max = 65535, .help = "tell the guest this MTU" },
    { "rx_queue_size", KEY_UINT, KEY_NOWHERE, .max = 1024, .help = "entries (256)" },
    { "tx_queue_size", KEY_UINT, KEY_NOWHERE, .max = 1024, .help = "entries (256)" },
    { "speed", KEY_UINT, KEY_NOWHERE, .max = INT32_MAX, .help = "tell this speed, in Mbit/s" },
    { "duplex", KEY_WORD, KEY_NOWHERE, .words = cli_duplexes, .help = "and this: half or full" },
    NIC_FEATURE("csum", "the host fills in checksums"),
    NIC_FEATURE("guest_csum", "the guest takes frames with checked or open checksums"),
    NIC_FEATURE("gso", "the host cuts segments, legacy"),
    NIC_FEATURE("guest_tso4", "the guest takes joined TCP segments"),
    NIC_FEATURE("guest_tso6", "the same with IPv6"),
    NIC_FEATURE("guest_ecn", "the same with ECN"),
    NIC_FEATURE("guest_ufo", "the guest takes whole UDP datagrams"),
    NIC_FEATURE("host_tso4", "the host cuts TCP segments"),
    NIC_FEATURE("host_tso6", "the same with IPv6"),
    NIC_FEATURE("host_ecn", "the same with ECN"),
    NIC_FEATURE("host_ufo", "the host cuts UDP datagrams"),
    NIC_FEATURE("mrg_rxbuf", "a frame may take several receive buffers"),
    NIC_FEATURE("status", "tell the link's state"),
    NIC_FEATURE("ctrl_vq", "a control queue"),
    NIC_FEATURE("ctrl_rx", "the guest chooses what it receives"),
    NIC_FEATURE("ctrl_vlan", "and which VLANs"),
    NIC_FEATURE("ctrl_rx_extra", "and more of it"),
    NIC_FEATURE("ctrl_mac_addr", "the guest may set its address"),
    NIC_FEATURE("ctrl_guest_offloads", "the guest may change what it takes"),
    NIC_FEATURE("guest_announce", "ask the guest to announce itself on a new link"),
    { .name = "tx", .type = KEY_WORD, .offset = KEY_NOWHERE, .words = cli_tx_words },
    { .name = "x-txtimer", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { .name = "x-txburst", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { .name = "vectors", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { .name = "bootindex", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { .name = "romfile", .type = KEY_STRING, .offset = KEY_NOWHERE },
    CLI_VIRTIO_KEYS,
};

bool cli_claim_net(struct cli *cli, const char *id, struct error *err)
{
    const struct config *config = cli->config;
    struct suggest suggest;
    unsigned users = 0;

    if (!config_net(config, id)) {
        error_set(err, "can't find value '%.64s'", id);
        suggest_init(&suggest, id);
        for (unsigned i = 0; i < config->net_count; i++)
            suggest_try(&suggest, config->nets[i].id);
        return suggest_append(&suggest, "", err);
    }
    for (unsigned i = 0; i < config->device_count; i++) {
        const char *used = device_config_get(&config->devices[i], "netdev");

        users += used && !strcmp(used, id);
    }
    return users < 2 || error_set(err, "can't take value '%.64s': another device uses it", id);
}
