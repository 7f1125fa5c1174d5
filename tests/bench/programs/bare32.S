/*
 * Multiboot 1 entry for 32 bits: paging with pages of 4 KiB as a system has them (linear is physical, 32 MiB), x87 and SSE on, no interrupts.
 */
#define PRESENT_WRITABLE 3
#define CR0_PG_WP 0x80010000
#define CR0_MP_NE 0x22
#define CR0_EM 4
#define CR4_OSFXSR_OSXMMEXCPT 0x600
#define PAGE_TABLES 8

        .section .multiboot, "a"
        .align 4
        .long 0x1badb002
        .long 3
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
        mov     16(%ebx), %ebx          /* command line */
        mov     $tables, %edi
        mov     $PRESENT_WRITABLE, %eax
2:      stosl
        add     $4096, %eax
        cmp     $tables + PAGE_TABLES * 4096, %edi
        jb      2b
        mov     $directory, %edi
        mov     $tables + PRESENT_WRITABLE, %eax
3:      stosl
        add     $4096, %eax
        cmp     $directory + PAGE_TABLES * 4, %edi
        jb      3b
        mov     $directory, %eax
        mov     %eax, %cr3
        mov     %cr4, %eax
        or      $CR4_OSFXSR_OSXMMEXCPT, %eax
        mov     %eax, %cr4
        mov     %cr0, %eax
        and     $~CR0_EM, %eax
        or      $CR0_PG_WP | CR0_MP_NE, %eax
        mov     %eax, %cr0
        fninit
        push    %ebx
        call    bare_main
4:      cli
        hlt
        jmp     4b

        .data
        .align 8
gdt:    .quad 0
        .quad 0x00cf9a000000ffff
        .quad 0x00cf92000000ffff
gdt_pointer:
        .word 23
        .long gdt

        .bss
        .align 4096
directory:
        .skip 4096
tables: .skip PAGE_TABLES * 4096
        .skip 65536
stack_top:
        .section .note.GNU-stack, "", @progbits
