/* Entry and system calls of a 64-bit Linux program (System V ABI, AMD64 supplement, A.2). */
        .text
        .globl _start
_start: mov     (%rsp), %edi
        lea     8(%rsp), %rsi
        lea     8(%rsi, %rdi, 8), %rdx
        and     $-16, %rsp
        call    linux_main
        mov     %eax, %edi
        mov     $60, %eax
        syscall

        .globl system_call
system_call:
        mov     %rdi, %rax
        mov     %rsi, %rdi
        mov     %rdx, %rsi
        mov     %rcx, %rdx
        mov     %r8, %r10
        mov     %r9, %r8
        mov     8(%rsp), %r9
        syscall
        ret
        .section .note.GNU-stack, "", @progbits
