; What the GDB stub is tried on: a boot sector that counts in 16-bit mode, then runs 32-bit code with paging on, where the linear page
; 40000h is the physical page 2000h, and calls a function over and over.
bits 16
org 0x7c00
start:  cli
        xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7c00
        xor bx, bx
        mov cx, 5
count:  inc word [0x600]
        add bx, 3
        loop count
        ; The same code under another name: base 7000h.
        jmp 0x700:named - 0x7000
named:  nop
        jmp 0:unnamed
unnamed:
        lgdt [gdtr]
        mov eax, cr0
        or al, 1
        mov cr0, eax
        jmp 8:protected
gdtr:   dw 23
        dd gdt
align 8
gdt:    dq 0
        dq 0x00cf9b000000ffff
        dq 0x00cf93000000ffff

bits 32
protected:
        mov ax, 16
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov esp, 0x9000
        ; Page directory at 10000h, one table at 11000h: identity but for one page.
        mov edi, 0x10000
        mov ecx, 2048
        xor eax, eax
        rep stosd
        mov dword [0x10000], 0x11003
        mov edi, 0x11000
        mov eax, 3
table:  stosd
        add eax, 0x1000
        cmp edi, 0x12000
        jb table
        mov dword [0x11000 + 0x40 * 4], 0x2003
        mov eax, 0x10000
        mov cr3, eax
        mov eax, cr0
        or eax, 0x80000000
        mov cr0, eax
        jmp paged
paged:  mov dword [0x40000], 0x12345678
again:  inc dword [0x40004]
        mov esi, [0x40004]
        call double
        jmp again
double: lea edi, [esi + esi]
        ret
        times 510 - ($ - $$) db 0
        dw 0xaa55
