; Segment loads, limits, privilege checks, call gates, interrupt gates, double fault. SDM volume 3 chapters 5 and 6.
%define IO_MAP_BYTES 33
%include "harness.inc"

S_NOTPRESENT equ 0x40
S_READONLY   equ 0x48
S_EXECONLY   equ 0x50
S_SMALL      equ 0x58
S_DOWN       equ 0x60
S_CONFORM    equ 0x68
S_GATE32     equ 0x70
S_GATE16     equ 0x78
S_GATE_NP    equ 0x80
S_GATE_DPL0  equ 0x88
S_FRESH      equ 0x90
S_CODE_NP    equ 0x98
S_LDT        equ 0xa0
S_DATA3_NP   equ 0xa8
S_DOWN16     equ 0xb0
S_OUTSIDE    equ 0x200
  DESC 0, 0xfffff, 0x13, 0xc          ; 40
  DESC 0, 0xfffff, 0x91, 0xc          ; 48
  DESC 0, 0xfffff, 0x99, 0xc          ; 50
  DESC 0x100000, 0xfff, 0x93, 0x4     ; 58
  DESC 0, 0xff, 0x97, 0xc             ; 60: valid offsets 0x100000..
  DESC 0, 0xfffff, 0x9f, 0xc          ; 68
  GATE CODE32, gate_target, 0xec, 2   ; 70
  dw R16(gate_target16), CODE16       ; 78
  db 1, 0xe4
  dw 0xffff                           ; ignored by a 16-bit gate
  GATE CODE32, gate_target, 0x6c, 0   ; 80
  GATE CODE32, gate_target, 0x8c, 0   ; 88
  DESC 0, 0xfffff, 0x92, 0xc          ; 90
  DESC 0, 0xfffff, 0x1b, 0xc          ; 98
  DESC L(ldt), 15, 0x82, 0               ; a0
  DESC 0, 0xfffff, 0x73, 0xc          ; a8
  DESC 0, 0xff, 0x97, 0               ; b0: expand-down, 16-bit: 0x100..0xffff
S_GATE_RING1 equ 0xb8
  GATE S_CODE1, gate_target, 0xec, 0  ; b8
S_CODE1 equ 0xc0
  DESC 0, 0xfffff, 0xbb, 0xc          ; c0
gdt_end:
align 8
ldt: DESC 0, 0xfffff, 0x93, 0xc
  DESC 0x100000, 0xfffff, 0x93, 0xc

main:
  mov word [tss + 102], 104
; -- loads
  TRY .r1
  xor eax, eax
  mov es, ax
.r1:
  CHECK "null ES loads", [f_vec], -1
  TRY .r2
  mov eax, [es:0x1000]
.r2:
  CHECK_FAULT "access through null ES", 13, 0
  TRY .r3
  mov ax, S_OUTSIDE
  mov es, ax
.r3:
  CHECK_FAULT "selector outside the GDT", 13, S_OUTSIDE
  TRY .r4
  mov ax, S_EXECONLY
  mov ds, ax
.r4:
  CHECK_FAULT "execute-only segment into DS", 13, S_EXECONLY
  TRY .r5
  mov ax, S_NOTPRESENT | 1
  mov ds, ax
.r5:
  CHECK_FAULT "DS with RPL 1 > DPL 0", 13, S_NOTPRESENT
  TRY .r6
  mov ax, S_NOTPRESENT
  mov ds, ax
.r6:
  CHECK_FAULT "not-present DS", 11, S_NOTPRESENT
  TRY .r7
  mov ax, S_NOTPRESENT
  mov ss, ax
.r7:
  CHECK_FAULT "not-present SS", 12, S_NOTPRESENT
  TRY .r8
  xor eax, eax
  mov ss, ax
.r8:
  CHECK_FAULT "null SS", 13, 0
  TRY .r9
  mov ax, S_READONLY
  mov ss, ax
.r9:
  CHECK_FAULT "read-only SS", 13, S_READONLY
  TRY .r10
  mov ax, UDATA32
  mov ss, ax
.r10:
  CHECK_FAULT "SS of another level", 13, UDATA32 & ~3
  TRY .r11
  mov ax, S_READONLY
  mov es, ax
  mov eax, [es:0x100000]
  mov [es:0x100000], eax
.r11:
  CHECK_FAULT "write to a read-only segment", 13, 0
  mov ax, S_FRESH
  mov es, ax
  movzx eax, byte [gdt + S_FRESH + 5]
  mov ebx, eax
  CHECK "accessed bit is set by a load", ebx, 0x93
; -- limits
  TRY .r12
  mov ax, S_SMALL
  mov es, ax
  mov eax, [es:0xffc]
.r12:
  CHECK "last dword within the limit", [f_vec], -1
  TRY .r13
  mov ax, S_SMALL
  mov es, ax
  mov eax, [es:0xffd]
.r13:
  CHECK_FAULT "dword across the limit", 13, 0
  TRY .r14
  mov ax, S_SMALL
  mov ss, ax
  mov esp, 0x1000
  pop eax
.r14:
  CHECK_FAULT "pop above the stack limit", 12, 0
  TRY .r15
  mov ax, S_DOWN
  mov es, ax
  mov eax, [es:0x100000]
.r15:
  CHECK "expand-down above its limit", [f_vec], -1
  TRY .r16
  mov ax, S_DOWN
  mov es, ax
  mov eax, [es:0xfffff]
.r16:
  CHECK_FAULT "expand-down at its limit", 13, 0
  TRY .r17
  mov ax, S_DOWN16
  mov es, ax
  mov eax, [es:0xfffc]
  mov eax, [es:0xfffd]
.r17:
  CHECK_FAULT "16-bit expand-down above 64 KiB", 13, 0
; -- LDT
  mov ax, S_LDT
  lldt ax
  sldt ebx
  CHECK "SLDT", ebx, S_LDT
  mov ax, 12
  mov es, ax
  mov dword [0x100010], 0x12345678
  mov ebx, [es:0x10]
  CHECK "segment of the LDT", ebx, 0x12345678
  TRY .r18
  mov ax, 20
  mov es, ax
.r18:
  CHECK_FAULT "selector outside the LDT", 13, 20
  TRY .r19
  mov ax, DATA32
  lldt ax
.r19:
  CHECK_FAULT "LLDT of a data segment", 13, DATA32
  TRY .r20
  mov ax, TSS_SEL
  ltr ax
.r20:
  CHECK_FAULT "LTR of a busy TSS", 13, TSS_SEL
; -- LAR LSL VERR VERW ARPL
  mov ebx, 0
  mov ax, S_SMALL
  lar ebx, ax
  setz cl
  and ebx, 0x00f0ff00
  CHECK "LAR", ebx, 0x00409300
  mov ax, S_SMALL
  lsl ebx, ax
  CHECK "LSL, byte granular", ebx, 0xfff
  mov ax, DATA32
  lsl ebx, ax
  CHECK "LSL, page granular", ebx, 0xffffffff
  mov ebx, 0x55
  mov ax, S_GATE32
  lsl ebx, ax
  setz al
  movzx eax, al
  mov ecx, eax
  CHECK "LSL of a gate fails", ecx, 0
  CHECK "LSL that fails leaves the register", ebx, 0x55
  mov ax, S_READONLY
  verw ax
  setz al
  movzx ebx, al
  CHECK "VERW of a read-only segment", ebx, 0
  mov ax, S_READONLY
  verr ax
  setz al
  movzx ebx, al
  CHECK "VERR of a read-only segment", ebx, 1
  mov ax, S_EXECONLY
  verr ax
  setz al
  movzx ebx, al
  CHECK "VERR of an execute-only segment", ebx, 0
  mov ax, 0x40
  mov cx, 3
  arpl ax, cx
  setz cl
  movzx ebx, ax
  movzx ecx, cl
  CHECK "ARPL raises the RPL", ebx, 0x43
  CHECK "ARPL sets ZF", ecx, 1
; -- far transfers in ring 0
  TRY .r21
  jmp DATA32:.r21
.r21:
  CHECK_FAULT "far jump to data", 13, DATA32
  TRY .r22
  jmp S_CODE_NP:.r22
.r22:
  CHECK_FAULT "far jump to a not-present segment", 11, S_CODE_NP
  TRY .r23
  jmp 0:.r23
.r23:
  CHECK_FAULT "far jump to the null selector", 13, 0
  TRY .r24
  jmp CODE16:0x12345
.r24:
  CHECK_FAULT "far jump beyond the limit", 13, 0
  jmp S_CONFORM:.conform
.conform:
  mov ebx, cs
  CHECK "jump to a conforming segment", ebx, S_CONFORM
  jmp CODE32:.back
.back:
  call CODE32:.called
  CHECK "far call and return", ebx, 0x77
  jmp .gates
.called:
  mov ebx, 0x77
  retf
.gates:
  mov ecx, esp
  push dword 2
  push dword 1
  call S_GATE32:0
  CHECK "call gate, same level: no stack switch, no parameter copy", [gate_cs], CODE32
  mov esp, ecx
; -- ring 3
  TRY .r25
  mov eax, user_hlt
  jmp to_user
.r25:
  CHECK_FAULT "HLT in ring 3", 13, 0
  CHECK "fault from ring 3 saves CS", [f_cs], UCODE32
  CHECK "fault from ring 3 saves SS", [f_ss], UDATA32
  CHECK "fault from ring 3 saves ESP", [f_esp], STACK3
  CHECK "fault saves the faulting EIP", [f_eip], user_hlt
  mov ebx, [f_flags]
  and ebx, 0x10000
  CHECK "fault saves RF set", ebx, 0x10000
  TRY .r26
  mov eax, user_cli
  jmp to_user
.r26:
  CHECK_FAULT "CLI with IOPL 0 in ring 3", 13, 0
  TRY .r27
  mov eax, user_popf
  jmp to_user
.r27:
  CHECK "end of ring 3 by INT 2F", [f_vec], 13
  mov ebx, [user_result]
  and ebx, 0x3200
  CHECK "POPF in ring 3 keeps IF and IOPL", ebx, 0
  SET_GATE 0x2f, stub_47, 0xee00
  TRY .r28
  mov eax, user_int
  jmp to_user
.r28:
  CHECK_FAULT "INT through a DPL 3 gate", 0x2f, 0xeeee
  CHECK "INT saves the next EIP", [f_eip], user_int + 2
  mov ebx, [f_flags]
  and ebx, 0x10000
  CHECK "INT saves RF clear", ebx, 0
  TRY .r29
  mov eax, user_int_dpl0
  jmp to_user
.r29:
  CHECK_FAULT "INT through a DPL 0 gate from ring 3", 13, 0x2e * 8 + 2
  TRY .r30
  mov eax, user_int_outside
  jmp to_user
.r30:
  CHECK_FAULT "INT outside the IDT", 13, 0x80 * 8 + 2
  mov word [idt + 0x2d * 8 + 4], 0x6e00
  TRY .r31
  int 0x2d
.r31:
  CHECK_FAULT "not-present gate", 11, 0x2d * 8 + 2
  mov word [idt + 0x2d * 8 + 4], 0x8c00
  TRY .r32
  int 0x2d
.r32:
  CHECK_FAULT "call gate in the IDT", 13, 0x2d * 8 + 2
  mov word [idt + 0x2d * 8 + 4], 0x8e00
  mov word [idt + 0x2d * 8 + 2], DATA32
  TRY .r33
  int 0x2d
.r33:
  CHECK_FAULT "gate to a data segment", 13, DATA32
  mov word [idt + 0x2d * 8 + 2], 0
  TRY .r34
  int 0x2d
.r34:
  CHECK_FAULT "gate with a null selector", 13, 0
  mov word [idt + 0x2d * 8 + 2], S_CODE_NP
  TRY .r35
  int 0x2d
.r35:
  CHECK_FAULT "gate to a not-present segment", 11, S_CODE_NP
; -- call gates from ring 3
  TRY .r36
  mov eax, user_gate
  jmp to_user
.r36:
  CHECK "ring 3 goes on after the gate's RETF", [f_vec], 0x2f
  CHECK "call gate switches CS", [gate_cs], CODE32
  CHECK "call gate switches SS", [gate_ss], DATA32
  CHECK "call gate uses ESP0 and pushes 6 words", [gate_esp], STACK0 - 0x400 - 24
  CHECK "call gate copies parameter 1", [gate_p1], 0x1111
  CHECK "call gate copies parameter 2", [gate_p2], 0x2222
  CHECK "call gate saves SS", [gate_oldss], UDATA32
  CHECK "call gate saves ESP", [gate_oldesp], STACK3 - 8
  CHECK "RETF 8 releases the parameters of ring 3", [user_result], STACK3
  CHECK "RETF to ring 3 clears a ring 0 DS", [user_ds], 0
  ; A 16-bit gate saves 16 bits of EIP, so its caller runs below 64 KiB.
  mov esi, user_gate16
  mov edi, 0xa000
  mov ecx, user_gate_np - user_gate16
  rep movsb
  TRY .r37
  mov eax, 0xa000
  jmp to_user
.r37:
  CHECK "16-bit call gate returns", [f_vec], 0x2f
  CHECK "16-bit call gate pushes 16-bit words", [gate_esp], STACK0 - 0x400 - 10
  CHECK "16-bit call gate copies its parameter", [gate_p1], 0x3333
  TRY .r38
  mov eax, user_gate_np
  jmp to_user
.r38:
  CHECK_FAULT "not-present call gate", 11, S_GATE_NP
  TRY .r39
  mov eax, user_gate_dpl0
  jmp to_user
.r39:
  CHECK_FAULT "call gate with DPL 0 from ring 3", 13, S_GATE_DPL0
  ; A bad SS0 would also stop the delivery of #TS itself, so ring 1 has the bad stack.
  mov dword [tss + 12], STACK0 - 0x800
  mov dword [tss + 16], DATA32
  TRY .r40
  mov eax, user_gate_ring1
  jmp to_user
.r40:
  CHECK_FAULT "inner stack of the wrong level", 10, DATA32
  mov dword [tss + 16], 0
  TRY .r41
  mov eax, user_gate_ring1
  jmp to_user
.r41:
  CHECK_FAULT "inner stack with a null selector", 10, 0
; -- returns
  TRY .r42
  push dword CODE32
  push dword .r42
  mov ax, DATA32
  push dword 0
  add esp, 4
  mov dword [esp + 4], DATA32
  retf
.r42:
  CHECK_FAULT "RETF to a data segment", 13, DATA32
  TRY .r43
  push dword DATA32
  push dword STACK3
  push dword UCODE32
  push dword user_int
  retf
.r43:
  CHECK_FAULT "RETF to ring 3 with a ring 0 stack", 13, DATA32
; -- I/O permission
  mov dword [user_flags], 2
  TRY .r44
  mov eax, user_in
  jmp to_user
.r44:
  CHECK_FAULT "IN with its bit set", 13, 0
  mov byte [io_map + 0xe9 / 8], 0xfd
  TRY .r45
  mov eax, user_in
  jmp to_user
.r45:
  CHECK "IN with its bit clear", [f_vec], 0x2f
  TRY .r46
  mov eax, user_in16
  jmp to_user
.r46:
  CHECK_FAULT "IN AX with one bit set", 13, 0
  TRY .r47
  mov eax, user_in_far
  jmp to_user
.r47:
  CHECK_FAULT "IN beyond the map", 13, 0
  mov dword [user_flags], 0x3002
  TRY .r48
  mov eax, user_in_far
  jmp to_user
.r48:
  CHECK "IN with IOPL 3", [f_vec], 0x2f
  mov dword [user_flags], 2
; -- double fault: #GP whose gate is not present
  mov word [idt + 13 * 8 + 4], 0x0e00
  TRY .r49
  mov ax, S_OUTSIDE
  mov es, ax
.r49:
  CHECK_FAULT "#GP whose gate is not present", 8, 0
  mov word [idt + 13 * 8 + 4], 0x8e00
  ; A benign first exception is no double fault: #UD whose gate is not present gives #NP with EXT.
  mov word [idt + 6 * 8 + 4], 0x0e00
  TRY .r50
  ud2
.r50:
  CHECK_FAULT "#UD whose gate is not present", 11, 6 * 8 + 3
  mov word [idt + 6 * 8 + 4], 0x8e00
; -- SYSENTER
  mov ecx, 0x174
  xor edx, edx
  mov eax, S_ENTER
  wrmsr
  mov ecx, 0x175
  mov eax, STACK0 - 0x200
  wrmsr
  mov ecx, 0x176
  mov eax, .entered
  wrmsr
  jmp .over_msr
S_ENTER equ CODE32
.over_msr:
  TRY .r51
  mov eax, user_sysenter
  jmp to_user
.entered:
  mov [gate_esp], esp
  mov ebx, cs
  mov [gate_cs], ebx
  mov ax, DATA32
  mov ds, ax
  mov edx, user_int
  mov ecx, STACK3 - 64
  sysexit
.r51:
  CHECK "SYSENTER loads ESP", [gate_esp], STACK0 - 0x200
  CHECK "SYSENTER loads CS", [gate_cs], CODE32
  CHECK "SYSEXIT reaches ring 3", [f_vec], 0x2f
  CHECK "SYSEXIT loads ESP", [f_esp], STACK3 - 64
  CHECK "SYSEXIT loads CS", [f_cs], UCODE32
  jmp finish

gate_target:
  mov [ss:gate_scratch], eax
  mov ax, DATA32
  mov ds, ax
  mov eax, [gate_scratch]
  mov [gate_esp], esp
  mov dword [gate_cs], 0
  mov word [gate_cs], cs
  mov dword [gate_ss], 0
  mov word [gate_ss], ss
  mov eax, [esp + 8]
  mov [gate_p2], eax
  mov eax, [esp + 12]
  mov [gate_p1], eax
  mov eax, [esp + 16]
  mov [gate_oldesp], eax
  mov eax, [esp + 20]
  mov [gate_oldss], eax
  retf 8
bits 16
gate_target16:
  mov ax, DATA32
  mov ds, ax
  mov [dword gate_esp], esp
  movzx eax, word [esp + 4]
  mov [dword gate_p1], eax
  retf 2
bits 32

user_hlt:
  hlt
user_cli:
  cli
user_popf:
  push dword 0x3202
  popfd
  pushfd
  pop dword [user_result]
  int 0x2f
user_int:
  int 0x2f
user_int_dpl0:
  int 0x2e
user_int_outside:
  int 0x80
user_gate:
  push dword 0x1111
  push dword 0x2222
  call S_GATE32 | 3:0
  mov [es:user_result], esp
  mov eax, ds
  mov [es:user_ds], eax
  int 0x2f
user_gate16:
  mov esp, STACK3
  push word 0x3333
  call S_GATE16 | 3:0
  int 0x2f
user_gate_np:
  call S_GATE_NP | 3:0
user_gate_dpl0:
  call S_GATE_DPL0 | 3:0
user_gate_ring1:
  call S_GATE_RING1 | 3:0
user_in:
  in al, 0xe9
  int 0x2f
user_in16:
  in ax, 0xe9
  int 0x2f
user_in_far:
  mov dx, 0x110
  in al, dx
  int 0x2f
user_sysenter:
  sysenter

align 4
gate_scratch: dd 0
gate_esp: dd 0
gate_cs: dd 0
gate_ss: dd 0
gate_p1: dd 0
gate_p2: dd 0
gate_oldss: dd 0
gate_oldesp: dd 0
user_result: dd 0
user_ds: dd 0xffff

%include "footer.inc"
