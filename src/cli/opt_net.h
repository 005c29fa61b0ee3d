/* SPDX-License-Identifier: MIT */
/* -netdev, while one is parsed: between opt_net.c (all), opt_net_user.c and opt_net_socket.c (one kind each). */
#pragma once

#include "cli/cli.h"

/* host=, port=, path=, ... of one end. */
struct cli_net_address {
    char *type, *host, *port, *path, *text; /* text: str=, a descriptor */
    bool ipv4, ipv6;
};

struct cli_net {
    struct net_config net; /* first: the keys' offsets are into it */
    char *type;
    char *fd, *fds;                                                              /* tap */
    char *address, *host, *dns, *dhcp_start, *address6, *prefix6, *host6, *dns6; /* user */
    u32 reconnect_ms;                                                            /* stream */
    struct cli_net_address addr, local, remote;                                  /* stream, dgram */
    char *listen, *connect, *mcast, *udp, *localaddr;                            /* socket */
    char *model, *mac, *mtu;                                                     /* -nic */
};

#define CLI_NET(member) offsetof(struct cli_net, member)

extern const struct key cli_user_keys[];
extern const struct key cli_stream_keys[];
extern const struct key cli_dgram_keys[];
extern const struct key cli_netsocket_keys[];

/* What the keys said, as `n->net` wants it. */
bool cli_finish_user(struct cli *cli, struct cli_net *n, struct error *err);
bool cli_finish_stream(struct cli *cli, struct cli_net *n, struct error *err);
bool cli_finish_dgram(struct cli *cli, struct cli_net *n, struct error *err);
bool cli_finish_netsocket(struct cli *cli, struct cli_net *n, struct error *err);

/* Add a descriptor by its number. */
bool cli_add_fd(struct cli_net *n, const char *text, struct error *err);
