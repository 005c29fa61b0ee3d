/* SPDX-License-Identifier: MIT */
/* -netdev stream, dgram and socket: where the frames go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/opt_net.h"

#define CLI_RECONNECT_MAX 86400u

static const char *const cli_address_types[] = { "inet", "unix", "fd", NULL };

/* clang-format off */
#define ADDRESS_KEYS(prefix, member, what) \
    { prefix ".type", KEY_WORD, CLI_NET(member.type), .words = cli_address_types, \
      .help = what ": inet, unix or fd" }, \
    { prefix ".host", KEY_STRING, CLI_NET(member.host), .help = "inet: a name or an address" }, \
    { prefix ".port", KEY_STRING, CLI_NET(member.port), .help = "inet: the port" }, \
    { prefix ".path", KEY_STRING, CLI_NET(member.path), .help = "unix: the socket's file" }, \
    { prefix ".str", KEY_STRING, CLI_NET(member.text), .help = "fd: a descriptor's number" }, \
    { prefix ".ipv4", KEY_BOOL, CLI_NET(member.ipv4), .help = "inet: IPv4 only" }, \
    { prefix ".ipv6", KEY_BOOL, CLI_NET(member.ipv6), .help = "inet: IPv6 only" }
/* clang-format on */

#define CLI_NET_ID \
    { \
        "id", KEY_STRING, CLI_NET(net.id), .help = "the name that -device refers to it by" \
    }

const struct key cli_stream_keys[] = {
    CLI_NET_ID,
    { "server", KEY_BOOL, CLI_NET(net.server), .help = "listen, do not connect (off)" },
    { "reconnect", KEY_UINT, CLI_NET(net.reconnect), .max = CLI_RECONNECT_MAX,
      .help = "a client tries again after so many seconds; 0: never" },
    { "reconnect-ms", KEY_UINT, CLI_NET(reconnect_ms), .max = CLI_RECONNECT_MAX * 1000,
      .help = "the same in milliseconds, rounded up to seconds" },
    ADDRESS_KEYS("addr", addr, "the peer, or where a server listens"),
    { .name = "addr.to", .type = KEY_UINT, .offset = KEY_NOWHERE },
    { .name = "addr.numeric", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { .name = "addr.keep-alive", .type = KEY_BOOL, .offset = KEY_NOWHERE },
    { .name = NULL },
};

const struct key cli_dgram_keys[] = {
    CLI_NET_ID,
    ADDRESS_KEYS("local", local, "where frames come in"),
    ADDRESS_KEYS("remote", remote, "where they go"),
    { .name = NULL },
};

const struct key cli_netsocket_keys[] = {
    CLI_NET_ID,
    { "fd", KEY_STRING, CLI_NET(fd), .help = "a connected socket, by its number" },
    { "listen", KEY_STRING, CLI_NET(listen), .help = "[HOST]:PORT to wait for a peer at, by TCP" },
    { "connect", KEY_STRING, CLI_NET(connect), .help = "HOST:PORT of the peer, by TCP" },
    { "mcast", KEY_STRING, CLI_NET(mcast), .help = "ADDRESS:PORT of a multicast group" },
    { "udp", KEY_STRING, CLI_NET(udp), .help = "HOST:PORT of the peer, by UDP" },
    { "localaddr", KEY_STRING, CLI_NET(localaddr),
      .help = "udp: HOST:PORT where frames come in; mcast: the interface's address" },
    { .name = NULL },
};

/* [HOST]:PORT */
static bool cli_split_host_port(const char *key, const char *value, struct net_address_config *to,
                                struct error *err)
{
    char *text = xstrdup(value), *host = text, *colon = strrchr(text, ':');

    if (!colon || !colon[1]) {
        free(text);
        return error_set(err, "%s=%.64s: HOST:PORT is expected", key, value);
    }
    key_replace_string(&to->port, colon + 1);
    if (host[0] == '[' && colon > host && colon[-1] == ']') {
        host++;
        colon--;
    }
    *colon = 0;
    key_replace_string(&to->host, host);
    free(text);
    return true;
}

static bool cli_fill_inet(const char *prefix, const struct cli_net_address *from,
                          struct net_address_config *to, struct error *err)
{
    if (!from->host || !from->port)
        return error_set(err, "Parameters '%s.host' and '%s.port' are needed with type inet",
                         prefix, prefix);
    key_replace_string(&to->host, from->host);
    key_replace_string(&to->port, from->port);
    to->ipv4 = from->ipv4;
    to->ipv6 = from->ipv6;
    return true;
}

static bool cli_fill_address(struct cli_net *n, const char *prefix,
                             const struct cli_net_address *from, struct net_address_config *to,
                             struct error *err)
{
    if (!from->type)
        return error_set(err, "Parameter '%s.type' is missing: inet, unix or fd", prefix);
    if (!strcmp(from->type, "inet"))
        return cli_fill_inet(prefix, from, to, err);
    if (!strcmp(from->type, "fd"))
        return from->text
                   ? cli_add_fd(n, from->text, err)
                   : error_set(err, "Parameter '%s.str' is missing: a descriptor's number", prefix);
    if (!from->path || !from->path[0])
        return error_set(err, "Parameter '%s.path' is needed with type unix", prefix);
    key_replace_string(&to->path, from->path);
    return true;
}

bool cli_finish_stream(struct cli *cli, struct cli_net *n, struct error *err)
{
    struct net_config *net = &n->net;

    (void)cli;
    net->kind = NET_STREAM;
    if (n->reconnect_ms)
        net->reconnect = (n->reconnect_ms + 999) / 1000;
    if (net->server && net->reconnect)
        return error_set(err, "'reconnect' is for clients, not with server=on");
    return cli_fill_address(n, "addr", &n->addr, net->server ? &net->local : &net->remote, err);
}

bool cli_finish_dgram(struct cli *cli, struct cli_net *n, struct error *err)
{
    (void)cli;
    n->net.kind = NET_DGRAM;
    if (n->local.type && !strcmp(n->local.type, "fd") && !n->remote.type)
        return cli_fill_address(n, "local", &n->local, &n->net.local, err);
    if (!n->remote.type && n->local.type)
        return error_set(err, "Parameter 'remote.type' is missing: where do frames go?");
    if (n->local.type && !cli_fill_address(n, "local", &n->local, &n->net.local, err))
        return false;
    if (n->local.type && strcmp(n->local.type, n->remote.type))
        return error_set(err, "'local.type' and 'remote.type' must be the same");
    return cli_fill_address(n, "remote", &n->remote, &n->net.remote, err);
}

bool cli_finish_netsocket(struct cli *cli, struct cli_net *n, struct error *err)
{
    const char *ways[] = { n->fd, n->listen, n->connect, n->mcast, n->udp };
    unsigned count = 0;

    (void)cli;
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
        count += ways[i] != NULL;
    if (count != 1)
        return error_set(err, "exactly one of fd=, listen=, connect=, mcast= or udp= is required");
    n->net.kind = n->mcast || n->udp ? NET_DGRAM : NET_STREAM;
    if (n->localaddr && !n->mcast && !n->udp)
        return error_set(err, "localaddr= is only valid with mcast= or udp=");
    if (n->udp && !n->localaddr)
        return error_set(err, "localaddr= is mandatory with udp=");
    n->net.server = n->listen != NULL;
    if (n->fd)
        return cli_add_fd(n, n->fd, err);
    if (n->listen)
        return cli_split_host_port("listen", n->listen, &n->net.local, err);
    if (n->connect)
        return cli_split_host_port("connect", n->connect, &n->net.remote, err);
    if (n->mcast && n->localaddr)
        key_replace_string(&n->net.local.host, n->localaddr);
    else if (n->udp && !cli_split_host_port("localaddr", n->localaddr, &n->net.local, err))
        return false;
    return n->mcast ? cli_split_host_port("mcast", n->mcast, &n->net.remote, err)
                    : cli_split_host_port("udp", n->udp, &n->net.remote, err);
}
