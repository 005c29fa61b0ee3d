/* SPDX-License-Identifier: MIT */
/*
 * The option ROMs as data, for hosts whose assembler does not know their code: made by another one, below the folder of
 * the build (meson.build).
 */

    .section .rodata
    .globl option_rom_linuxboot_start, option_rom_linuxboot_end
    .globl option_rom_pvh_start, option_rom_pvh_end
    .balign 16
option_rom_linuxboot_start:
    .incbin "src/boot/linuxboot.bin"
option_rom_linuxboot_end:
    .balign 16
option_rom_pvh_start:
    .incbin "src/boot/pvh.bin"
option_rom_pvh_end:

    .section .note.GNU-stack, "", %progbits
