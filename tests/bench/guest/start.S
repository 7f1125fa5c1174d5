/* Multiboot 1 header and entry of the bench guest; the loader leaves flat 32-bit protected mode, EBX = boot information. */
        .section .multiboot, "a"
        .align 4
        .long 0x1badb002
        .long 3                         /* page-aligned modules, memory information */
        .long -(0x1badb002 + 3)

        .text
        .globl start
start:
        mov     $stack_top, %esp
        lgdt    gdt_pointer
        ljmp    $8, $1f
1:      mov     $16, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     %eax, %fs
        mov     %eax, %gs
        push    16(%ebx)                /* command line */
        call    guest_main
2:      cli
        hlt
        jmp     2b

        .globl tick_entry
tick_entry:
        push    %eax
        incl    ticks
        mov     $0x20, %al
        out     %al, $0x20
        pop     %eax
        iret

        .data
        .align 8
gdt:    .quad 0
        .quad 0x00cf9a000000ffff
        .quad 0x00cf92000000ffff
gdt_pointer:
        .word 23
        .long gdt

        .bss
        .align 16
        .skip 65536
stack_top:
