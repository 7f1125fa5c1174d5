; The guest's side of oracle.c: runs the instruction of each 512-byte record (layout there) and leaves the state after it in the record.
; Entered in flat 32-bit protected mode with CR0.NE, CR4.OSFXSR and CR4.OSXMMEXCPT set. EBP = first record, EDX = end of the records.
bits 32
org 0x10000

FXOUT equ 0x30000
STACK equ 0x2fff0

start:
    mov [end], edx
    lidt [idtr]
next:
    mov esp, STACK
%ifndef FIXED
    mov esi, ebp
    mov edi, slot
    mov ecx, 15
    rep movsb
%endif
    fxrstor [ebp + 192]
    mov eax, [ebp + 16]
    mov ecx, [ebp + 20]
    mov edx, [ebp + 24]
    lea esi, [ebp + 64]
    mov edi, esi
    push dword [ebp + 28]
    popfd
    jmp slot
resume:
    mov esp, STACK
    pushfd
    pop dword [ebp + 28]
    mov [ebp + 16], eax
    mov [ebp + 20], ecx
    mov [ebp + 24], edx
    fxsave [FXOUT]
    fninit
    ldmxcsr [initial]
    mov esi, FXOUT
    lea edi, [ebp + 192]
    mov ecx, 72
    rep movsd
    add ebp, 512
    cmp ebp, [end]
    jb next
    hlt

; One stub a vector: note it and go on as if the instruction had ended. MOV leaves the flags alone.
%assign v 0
%rep 20
trap %+ v:
    mov dword [ebp + 32], v
    jmp resume
%assign v v + 1
%endrep

align 8
initial: dd 0x1f80
end: dd 0
idtr: dw 20 * 8 - 1
      dd idt
align 8
idt:
%assign v 0
%rep 20
    dw (trap %+ v - $$) & 0xffff, 8, 0x8e00, 1
%assign v v + 1
%endrep

; Alone in its page: it is rewritten for every record, but with FIXED, where the host writes it once for all records.
align 4096
slot:
%ifdef FIXED
    ; The recompiler's samples fall here, and regions that begin here include the instruction.
    times 120 nop
%endif
    times 15 nop
    jmp resume
