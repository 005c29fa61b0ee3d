/* SPDX-License-Identifier: MIT */
/* The network backends, for net.c; and what they share. */
#pragma once

#include <sys/socket.h>

#include "host/net.h"

struct net_address_config;

struct net *net_tap_open(const struct net_config *config, struct loop *loop, struct error *err);
struct net *net_user_open(const struct net_config *config, struct loop *loop, struct error *err);
struct net *net_stream_open(const struct net_config *config, struct loop *loop, struct error *err);
struct net *net_dgram_open(const struct net_config *config, struct loop *loop, struct error *err);

/* For backends: tell the card. */
void net_readable(struct net *net, unsigned queue);
void net_writable(struct net *net, unsigned queue);
void net_link(struct net *net, bool up);

struct net_address {
    struct sockaddr_storage sockaddr;
    socklen_t size;
};

/* What `config` names; a wildcard where it has no host and is `passive`. */
bool net_resolve(const struct net_address_config *config, int socktype, bool passive,
                 struct net_address *address, struct error *err)
    __attribute__((warn_unused_result));

/* A descriptor of the user's, for our own: non-blocking, not inherited. */
bool net_adopt_fd(int fd, struct error *err) __attribute__((warn_unused_result));
