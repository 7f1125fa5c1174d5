; Hypervue check image: a small system of our own that shows a machine at work. It starts from a 1.44 MB floppy or from an IDE disk with the
; same bytes, and stays in real mode. Assemble: nasm -f bin check.asm -o check.img (scripts/build-sample.mjs).
;
; Lines on COM1 (115200 8N1) and on port 0x402, for tests: docs/sample.md.

        cpu default
        bits 16

MAIN            equ 0x8000      ; where the boot sector puts the rest
STACK           equ 0x7000
SCRATCH         equ 0x5000      ; 4 KiB of buffer for sectors and BIOS answers
SCRATCH_LBA     equ 2879        ; last sector of the image: written and read back
MAIN_SECTORS    equ 40          ; 20 KiB; more than 62 would leave the first 64 KiB
TABLES          equ 0x2000      ; segment of tables made at run time (graphics pages)

        section .boot start=0 vstart=0x7c00
        %include "boot.inc"

        section .main follows=.boot vstart=MAIN align=512
start:
        sti
        cld
        call    serial_init
        mov     si, text_start
        call    say_line
        call    fonts_init
        call    interrupts_init
        call    mouse_init
        call    clock_init
        call    power_init
        call    cpu_names
        call    memory_size
        call    run_checks
        call    show_menu
        mov     si, text_ready
        call    say_line

; Nothing here polls: the processor halts until an interrupt left something to do.
main_loop:
        cli
        call    anything_waiting
        jnz     .work
        sti                     ; takes effect after the next instruction, so no interrupt is missed
        hlt
        jmp     main_loop
.work:  sti
        call    handle_keys
        call    handle_mouse
        call    handle_serial
        call    handle_second
        call    handle_tick
        call    handle_frame
        jmp     main_loop

        %include "text.inc"
        %include "serial.inc"
        %include "interrupts.inc"
        %include "mouse.inc"
        %include "clock.inc"
        %include "system.inc"
        %include "ide.inc"
        %include "disk.inc"
        %include "checks.inc"
        %include "pages.inc"
        %include "menu.inc"
        %include "textpage.inc"
        %include "planar.inc"
        %include "palettepage.inc"
        %include "linearpage.inc"
        %include "keyboardpage.inc"
        %include "mousepage.inc"
        %include "clockpage.inc"
        %include "diskpage.inc"
        %include "serialpage.inc"
        %include "power.inc"

text_start      db 'HYPERVUE-CHECK START', 0
text_ready      db 'HYPERVUE-CHECK READY', 0

        times MAIN_SECTORS * 512 - ($ - $$) db 0

        ; The rest of the image is empty.
        section .rest follows=.main
        times 1474560 - 512 - MAIN_SECTORS * 512 db 0
