/* SPDX-License-Identifier: MIT */
/*
 * The kinds of character backends, for char.c. Each opens what `config` describes, or returns NULL
 * and `err`.
 */
#pragma once

#include "base/error.h"

struct chardev;
struct chardev_config;
struct loop;

struct chardev *char_null_open(const struct chardev_config *config, struct loop *loop,
                               struct error *err);
struct chardev *char_stdio_open(const struct chardev_config *config, struct loop *loop,
                                struct error *err);
struct chardev *char_file_open(const struct chardev_config *config, struct loop *loop,
                               struct error *err);
struct chardev *char_pipe_open(const struct chardev_config *config, struct loop *loop,
                               struct error *err);
struct chardev *char_pty_open(const struct chardev_config *config, struct loop *loop,
                              struct error *err);
struct chardev *char_socket_open(const struct chardev_config *config, struct loop *loop,
                                 struct error *err);
