/* SPDX-License-Identifier: MIT */
/* A character backend that a test scripts. */
#include "unit/fakes/chardev.h"

#include <string.h>

#include "base/bits.h"

void fake_chardev_init(struct fake_chardev *fake, size_t room)
{
    memset(fake, 0, sizeof(*fake));
    fake->room = room;
}

bool chardev_attach(struct chardev *chr, const struct chardev_frontend *frontend)
{
    if (chr->attached)
        return false;
    chr->frontend = *frontend;
    chr->attached = true;
    return true;
}

void chardev_detach(struct chardev *chr)
{
    memset(&chr->frontend, 0, sizeof(chr->frontend));
    chr->attached = false;
}

size_t chardev_write(struct chardev *chr, const u8 *data, size_t size)
{
    struct fake_chardev *fake = container_of(chr, struct fake_chardev, chr);
    size_t taken = MIN(size, fake->room);

    for (size_t i = 0; i < taken; i++)
        fake->out[fake->out_size++ % FAKE_CHARDEV_OUT] = data[i];
    fake->room -= taken;
    fake->refused += taken < size;
    return taken;
}

void chardev_resume(struct chardev *chr)
{
    container_of(chr, struct fake_chardev, chr)->resumes++;
}

bool chardev_window(struct chardev *chr, u16 *cols, u16 *rows)
{
    const struct fake_chardev *fake = container_of(chr, struct fake_chardev, chr);

    *cols = fake->cols;
    *rows = fake->rows;
    return fake->cols;
}

size_t fake_chardev_can_receive(struct fake_chardev *fake)
{
    struct chardev_frontend *f = &fake->chr.frontend;
    size_t room;

    pthread_mutex_lock(f->lock);
    room = f->can_receive(f->arg);
    pthread_mutex_unlock(f->lock);
    return room;
}

size_t fake_chardev_input(struct fake_chardev *fake, const void *data, size_t size)
{
    struct chardev_frontend *f = &fake->chr.frontend;
    size_t taken;

    pthread_mutex_lock(f->lock);
    taken = MIN(size, f->can_receive(f->arg));
    if (taken)
        f->receive(f->arg, data, taken);
    pthread_mutex_unlock(f->lock);
    return taken;
}

void fake_chardev_event(struct fake_chardev *fake, enum chardev_event event)
{
    struct chardev_frontend *f = &fake->chr.frontend;

    if (!f->event)
        return;
    pthread_mutex_lock(f->lock);
    f->event(f->arg, event);
    pthread_mutex_unlock(f->lock);
}

void fake_chardev_writable(struct fake_chardev *fake, size_t room)
{
    struct chardev_frontend *f = &fake->chr.frontend;

    fake->room = room;
    if (!f->writable)
        return;
    pthread_mutex_lock(f->lock);
    f->writable(f->arg);
    pthread_mutex_unlock(f->lock);
}
