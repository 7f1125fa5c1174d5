/*
 * Entry and system calls of a 32-bit Linux program. Calls go through the address the kernel gives in the auxiliary vector (AT_SYSINFO: SYSENTER
 * where the processor has it), as C libraries do; int 0x80 without.
 */
#define AT_SYSINFO 32
        .text
        .globl _start
_start: mov     %esp, %ebx
        mov     (%ebx), %eax
        lea     8(%ebx, %eax, 4), %edx  /* environment */
        mov     %edx, %ecx
1:      add     $4, %edx
        cmpl    $0, -4(%edx)
        jne     1b
2:      mov     (%edx), %eax            /* auxiliary vector */
        test    %eax, %eax
        jz      4f
        cmp     $AT_SYSINFO, %eax
        jne     3f
        mov     4(%edx), %eax
        mov     %eax, gate
3:      add     $8, %edx
        jmp     2b
4:      and     $-16, %esp
        sub     $4, %esp
        lea     4(%ebx), %edx
        push    %ecx
        push    %edx
        push    (%ebx)
        call    linux_main
        mov     %eax, %ebx
        mov     $1, %eax
        int     $0x80

        .globl system_call
system_call:
        push    %ebx
        push    %esi
        push    %edi
        push    %ebp
        mov     20(%esp), %eax
        mov     24(%esp), %ebx
        mov     28(%esp), %ecx
        mov     32(%esp), %edx
        mov     36(%esp), %esi
        mov     40(%esp), %edi
        mov     44(%esp), %ebp
        call    *gate
        pop     %ebp
        pop     %edi
        pop     %esi
        pop     %ebx
        ret
plain:  int     $0x80
        ret

        .data
gate:   .long plain
        .section .note.GNU-stack, "", @progbits
