; What the GDB stub is tried on in long mode: a boot sector whose 64-bit code runs in the upper half of the address space, where
; ffffffff80000000h is physical 0, counts in memory and calls a function over and over.
bits 16
org 0x7c00
HIGH    equ 0xffffffff80000000
start:  cli
        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7c00
        lgdt [gdtr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp 8:protected
gdtr:   dw 31
        dd gdt
align 8
gdt:    dq 0
        dq 0x00cf9b000000ffff
        dq 0x00cf93000000ffff
        dq 0x00af9b000000ffff

bits 32
protected:
        mov ax, 16
        mov ds, ax
        mov es, ax
        mov ss, ax
        ; PML4 at 10000h, PDPT at 11000h, page directory at 12000h with one page of 2 MiB.
        mov edi, 0x10000
        mov ecx, 3072
        xor eax, eax
        rep stosd
        mov dword [0x10000], 0x11003
        mov dword [0x10000 + 511 * 8], 0x11003
        mov dword [0x11000], 0x12003
        mov dword [0x11000 + 510 * 8], 0x12003
        mov dword [0x12000], 0x83
        mov eax, cr4
        or eax, 0x20
        mov cr4, eax
        mov eax, 0x10000
        mov cr3, eax
        mov ecx, 0xc0000080
        rdmsr
        or eax, 0x100
        wrmsr
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax
        jmp 24:wide

bits 64
wide:   mov rax, HIGH + upper
        jmp rax
upper:  mov rsp, HIGH + 0x9000
        mov rbx, HIGH + 0x20000
        mov r12, 0x1122334455667788
again:  inc qword [rbx]
        mov r13, [rbx]
        call double
        jmp again
double: lea r14, [r13 + r13]
        ret
        times 510 - ($ - $$) db 0
        dw 0xaa55
