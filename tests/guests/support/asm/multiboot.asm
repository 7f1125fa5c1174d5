; A multiboot kernel that says on COM1 what its loader gave it, then leaves through isa-debug-exit, or halts with -DSTAY. With -DFLAT it is a
; flat file with load addresses in its header, else an ELF file (nasm -f bin either way).
        bits 32
BASE    equ 0x00200000
COM1    equ 0x3f8
%ifdef FLAT
        org BASE
FLAGS   equ 0x00010003
image:
%else
        org BASE - 0x60
FLAGS   equ 0x00000003
        db 0x7f, 'ELF', 1, 1, 1
        times 9 db 0
        dw 2, 3
        dd 1, start, 52, 0, 0
        dw 52, 32, 1, 0, 0, 0
        dd 1, 0x60, BASE, BASE, image_end - image, bss_end - image, 7, 0x1000
        times 0x60 - ($ - $$) db 0
image:
%endif
        align 4, db 0
header: dd 0x1badb002, FLAGS, -(0x1badb002 + FLAGS)
        dd header, image, image_end, bss_end, start

start:  mov esp, stack_end
        mov edi, eax
        mov esi, t_magic
        call say
        mov eax, edi
        call hex
        mov esi, t_cr0
        call say
        mov eax, cr0
        and eax, 0x80000001     ; paging and protection
        call hex
        mov esi, t_eflags
        call say
        pushfd
        pop eax
        and eax, 0x00020200     ; virtual-8086 mode and interrupts
        call hex
        ; Segments: flat, or these would fault; what bss was must be zero.
        mov esi, t_bss
        call say
        mov ecx, stack - bss
        xor eax, eax
        mov edi, bss
        repe scasb
        setne al
        call hex
        ; A20: 1 MiB apart is not the same.
        mov esi, t_a20
        call say
        mov dword [0x00050000], 0x11111111
        mov dword [0x00150000], 0x22222222
        mov eax, [0x00050000]
        call hex
        mov esi, t_lower
        call say
        mov eax, [ebx + 4]
        call hex
        mov esi, t_upper
        call say
        mov eax, [ebx + 8]
        call hex
        mov esi, t_line
        call say
        mov esi, [ebx + 16]
        call say
        mov esi, t_loader
        call say
        mov esi, [ebx + 64]
        call say
        ; Every region of the memory map: base and type.
        mov edi, [ebx + 48]
        mov ebp, edi
        add ebp, [ebx + 44]
map:    cmp edi, ebp
        jae modules
        mov esi, t_map
        call say
        mov eax, [edi + 4]
        call hex
        mov esi, t_length
        call say
        mov eax, [edi + 12]
        call hex
        mov esi, t_type
        call say
        mov eax, [edi + 20]
        call hex
        add edi, [edi]
        add edi, 4
        jmp map
modules:
        test byte [ebx], 8
        jz ends
        mov edi, [ebx + 24]
        mov esi, t_module
        call say
        mov ecx, [edi + 4]
        sub ecx, [edi]
        mov eax, ecx
        call hex
        mov esi, t_sum
        call say
        mov edi, [edi]
        xor eax, eax
sum:    jecxz summed
        movzx edx, byte [edi]
        rol eax, 1
        add eax, edx
        inc edi
        dec ecx
        jmp sum
summed: call hex
ends:   mov esi, t_end
        call say
%ifndef STAY
        mov al, 0x15
        out 0xf4, al
%endif
        cli
        hlt

; Zero-ended text at ESI.
say:    lodsb
        test al, al
        jz .end
        call put
        jmp say
.end:   ret
put:    push edx
        push eax
        mov dx, COM1 + 5
.wait:  in al, dx
        test al, 0x20
        jz .wait
        mov dx, COM1
        pop eax
        out dx, al
        pop edx
        ret
; EAX as eight digits.
hex:    push ecx
        push edx
        mov ecx, 8
.next:  rol eax, 4
        mov edx, eax
        and eax, 15
        mov al, [digits + eax]
        call put
        mov eax, edx
        loop .next
        pop edx
        pop ecx
        ret

digits:   db '0123456789abcdef'
t_magic:  db 'magic ', 0
t_cr0:    db 10, 'cr0 ', 0
t_eflags: db 10, 'eflags ', 0
t_bss:    db 10, 'bss ', 0
t_a20:    db 10, 'a20 ', 0
t_lower:  db 10, 'lower ', 0
t_upper:  db 10, 'upper ', 0
t_line:   db 10, 'line ', 0
t_loader: db 10, 'loader ', 0
t_map:    db 10, 'map ', 0
t_length: db ' ', 0
t_type:   db ' ', 0
t_module: db 10, 'module ', 0
t_sum:    db ' ', 0
t_end:    db 10, 'END', 10, 0
image_end:
        absolute image_end
bss:    resb 40000
stack:  resb 1024
stack_end:
bss_end:
