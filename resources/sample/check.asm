; Hypervue check image: a small system of our own that shows a machine at work. Bootable 1.44 MB floppy, real mode.
; Assemble: nasm -f bin check.asm -o check.img (scripts/build-sample.mjs). Parts are included in the order in which they lie in memory.
;
; Lines on COM1 (115200 8N1) and on port 0x402, for tests:
;   HYPERVUE-CHECK START, CHECK <name> OK|FAIL|NONE, HYPERVUE-CHECK READY, then KEY <set-1 code>, PAGE <digit>, MOUSE <x> <y> <buttons>, TYPED <hex>.

        cpu 686
        bits 16

MAIN            equ 0x8000      ; where the boot sector puts the rest
STACK           equ 0x7000
SCRATCH         equ 0x6000      ; one sector of buffer
SCRATCH_LBA     equ 2879        ; last sector of the floppy: written and read back
MAIN_SECTORS    equ 40

        section .boot start=0 vstart=0x7c00
        %include "boot.inc"

        section .main follows=.boot vstart=MAIN align=512
start:
        sti
        cld
        call    serial_init
        mov     si, text_start
        call    say_line
        call    interrupts_init
        call    mouse_init
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
        call    handle_tick
        jmp     main_loop

        %include "text.inc"
        %include "serial.inc"
        %include "interrupts.inc"
        %include "system.inc"
        %include "disk.inc"
        %include "checks.inc"
        %include "pages.inc"
        %include "textpages.inc"
        %include "devicepages.inc"
        %include "graphics.inc"
        %include "power.inc"

text_start      db 'HYPERVUE-CHECK START', 0
text_ready      db 'HYPERVUE-CHECK READY', 0

        times MAIN_SECTORS * 512 - ($ - $$) db 0

        ; The rest of the floppy is empty.
        section .rest follows=.main
        times 1474560 - 512 - MAIN_SECTORS * 512 db 0
