/*
 * Multiboot 1 entry for 64 bits: the loader leaves 32-bit protected mode; this goes on to long mode with pages of 4 KiB (linear is physical,
 * 32 MiB), x87, SSE and, where there is, AVX on, no interrupts. The linked file is relabelled as a 32-bit ELF, because multiboot loaders take no other.
 */
#define PRESENT_WRITABLE 3
#define CR0_PG_WP 0x80010000
#define CR0_MP_NE 0x22
#define CR0_EM 4
#define CR4_PAE_OSFXSR_OSXMMEXCPT 0x620
#define CR4_OSXSAVE 0x40000
#define CPUID_1_ECX_XSAVE 26
#define CPUID_XSTATE 13
#define XCR0_X87_SSE_AVX 7
#define MSR_EFER 0xc0000080
#define EFER_LME 0x100
#define PAGE_TABLES 16

        .section .multiboot, "a"
        .align 4
        .long 0x1badb002
        .long 3
        .long -(0x1badb002 + 3)

        .code32
        .text
        .globl start
start:
        mov     $stack_top, %esp
        lgdt    gdt_pointer
        mov     16(%ebx), %ebx          /* command line */
        mov     $tables, %edi
        mov     $PRESENT_WRITABLE, %eax
1:      mov     %eax, (%edi)
        movl    $0, 4(%edi)
        add     $8, %edi
        add     $4096, %eax
        cmp     $tables + PAGE_TABLES * 4096, %edi
        jb      1b
        mov     $directory, %edi
        mov     $tables + PRESENT_WRITABLE, %eax
2:      mov     %eax, (%edi)
        add     $8, %edi
        add     $4096, %eax
        cmp     $directory + PAGE_TABLES * 8, %edi
        jb      2b
        movl    $directory + PRESENT_WRITABLE, pointers
        movl    $pointers + PRESENT_WRITABLE, level4
        mov     $level4, %eax
        mov     %eax, %cr3
        mov     %cr4, %eax
        or      $CR4_PAE_OSFXSR_OSXMMEXCPT, %eax
        mov     %eax, %cr4
        mov     $MSR_EFER, %ecx
        rdmsr
        or      $EFER_LME, %eax
        wrmsr
        mov     %cr0, %eax
        and     $~CR0_EM, %eax
        or      $CR0_PG_WP | CR0_MP_NE, %eax
        mov     %eax, %cr0
        ljmp    $8, $3f

        .code64
3:      mov     $16, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $stack_top, %rsp
        fninit
        mov     %ebx, %r8d
        mov     $1, %eax
        cpuid
        bt      $CPUID_1_ECX_XSAVE, %ecx
        jnc     4f
        mov     %cr4, %rax
        or      $CR4_OSXSAVE, %eax
        mov     %rax, %cr4
        mov     $CPUID_XSTATE, %eax
        xor     %ecx, %ecx
        cpuid
        and     $XCR0_X87_SSE_AVX, %eax
        xor     %ecx, %ecx
        xor     %edx, %edx
        xsetbv
4:      mov     %r8d, %edi
        call    bare_main
5:      cli
        hlt
        jmp     5b

        .data
        .align 8
gdt:    .quad 0
        .quad 0x00af9a000000ffff
        .quad 0x00cf92000000ffff
gdt_pointer:
        .word 23
        .long gdt

        .bss
        .align 4096
level4: .skip 4096
pointers:
        .skip 4096
directory:
        .skip 4096
tables: .skip PAGE_TABLES * 4096
        .skip 65536
stack_top:
        .section .note.GNU-stack, "", @progbits
