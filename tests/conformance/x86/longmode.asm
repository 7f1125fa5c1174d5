; Long mode: control registers, segments, gates, task-state segment, interrupts, far transfers, system calls, MSRs.
; SDM volume 3 chapters 2, 3, 5, 6 and 8; volume 2 by instruction.
%include "harness64.inc"
gate_call:                          ; call gate to 64-bit code, DPL 3
  GATE64 CODE64, gate_target, 0xec, 0
gate_code32:                        ; call gate to 32-bit code: invalid
  GATE64 CODE32, gate_target, 0xec, 0
gate_upper:                         ; call gate whose second half has a type
  GATE64 CODE64, gate_target, 0xec, 0
ldt_high:                           ; LDT above 4 GiB
  DESC L(ldt), 15, 0x82, 0
  dq 0x8000
ldt_here:
  DESC L(ldt), 15, 0x82, 0
  dq 0
code_bad:                           ; both L and D
  DESC 0, 0xfffff, 0x9b, 0xe
tss16:
  DESC L(tss), 43, 0x81, 0
code_conf:                          ; conforming, 64-bit
  DESC 0, 0xfffff, 0x9e, 0xa
gdt_end:

SEL_CALL equ FREE_SEL
SEL_CALL32 equ FREE_SEL + 16
SEL_UPPER equ FREE_SEL + 32
SEL_LDT_HIGH equ FREE_SEL + 48
SEL_LDT equ FREE_SEL + 64
SEL_BAD equ FREE_SEL + 80
SEL_TSS16 equ FREE_SEL + 88
SEL_CONF equ FREE_SEL + 96

main:
; -- control registers
  GET_MSR 0xc0000080
  CHECK "EFER shows LMA", rax, 0xd01
  SET_MSR 0xc0000080, 0x901
  GET_MSR 0xc0000080
  CHECK "LMA ignores writes", rax, 0xd01
; QEMU 7.2 makes none of these checks.
%ifndef QEMU
  TRY .c1
  SET_MSR 0xc0000080, 0x801
.c1:
  CHECK_FAULT "clearing LME while paging is on", 13, 0
  TRY .c2
  mov rax, cr4
  btr rax, 5
  mov cr4, rax
.c2:
  CHECK_FAULT "clearing PAE in long mode", 13, 0
  TRY .c3
  mov rax, cr0
  btr rax, 31
  mov cr0, rax
.c3:
  CHECK_FAULT "clearing PG in 64-bit mode", 13, 0
  TRY .c4
  mov rax, cr0
  bts rax, 32
  mov cr0, rax
.c4:
  CHECK_FAULT "CR0 bit 32", 13, 0
  TRY .c5
  mov rax, PML4
  bts rax, 52
  mov cr3, rax
.c5:
  CHECK_FAULT "CR3 above the address width", 13, 0
  TRY .c6
  SET_MSR 0xc0000082, 0x800000000000
.c6:
  CHECK_FAULT "LSTAR not canonical", 13, 0
  TRY .c7
  SET_MSR 0xc0000100, 0x7fffffffffffffff
.c7:
  CHECK_FAULT "FS_BASE not canonical", 13, 0
  mov rax, 0xffff888812345678
  mov cr2, rax
  mov rbx, cr2
  CHECK "CR2 has 64 bits", rbx, rax
  sgdt [t_table]
  CHECK "SGDT stores 8 bytes of base", [t_table + 2], gdt
  movzx eax, word [t_table]
  CHECK "SGDT stores the limit", rax, gdt_end - gdt - 1
  TRY .c8
  mov word [t_table], 0x7f
  mov rax, 0x800000000000
  mov [t_table + 2], rax
  lgdt [t_table]
.c8:
  CHECK_FAULT "LGDT with a base that is not canonical", 13, 0
  mov rax, 0xffff800000000000 + idt
  mov [t_table + 2], rax
  mov word [t_table], 48 * 16 - 1
; -- canonical addresses
  mov rbx, 0x800000000000
  TRY .a1
  mov eax, [rbx]
.a1:
  CHECK_FAULT "data at an address that is not canonical", 13, 0
  TRY .a2
  mov rbp, rbx
  mov eax, [rbp + 0]
.a2:
  CHECK_FAULT "the same through RBP", 12, 0
  mov byte [idt + 12 * 16 + 4], 1
  TRY .a3
  lea rsp, [rbx + 16]
  push rax
.a3:
  CHECK_FAULT "PUSH at an address that is not canonical", 12, 0
  TRY .a4
  mov rbx, 0x7ffffffffffc
  mov rax, [rbx]
.a4:
  CHECK "an access that runs out of the canonical space", [f_vec], 13
  TRY .a5
  mov rbx, 0x800000000000
  jmp rbx
.a5:
  CHECK_FAULT "JMP to an address that is not canonical", 13, 0
%endif
; -- interrupts
  mov rsp, STACK0 - 8
  TRY .i1
.int1:
  int 0x2f
.i1:
  mov rsp, STACK0
  CHECK "INT in ring 0 pushes RSP", [f_rsp], STACK0 - 8
  CHECK "INT in ring 0 pushes SS", [f_ss], 0
  CHECK "INT pushes CS", [f_cs], CODE64
  CHECK "INT pushes RIP", [f_rip], .int1 + 2
  CHECK "the frame is aligned to 16 bytes", [f_rsp_now], STACK0 - 16 - 64
  TRY .i2
  int 0x2e
.i2:
  CHECK "IST stack", [f_rsp_now], STACK_IST1 - 64
  CHECK "IST keeps the old RSP", [f_rsp], STACK0
  TRY .i3
  mov eax, user_int
  jmp to_user64
.i3:
  CHECK "INT in ring 3: stack from RSP0", [f_rsp_now], STACK_RSP0 - 64
  CHECK "INT in ring 3 pushes SS", [f_ss], UDATA
  CHECK "INT in ring 3 pushes RSP", [f_rsp], STACK3
  CHECK "INT in ring 3 pushes CS", [f_cs], UCODE64
  CHECK "SS is null after a change of privilege", [f_ss_now], 0
  TRY .i4
  mov eax, user_int_ist
  jmp to_user64
.i4:
  CHECK "INT in ring 3 on IST1", [f_rsp_now], STACK_IST1 - 64
  TRY .i5
  mov eax, compat_int
  jmp to_user32
.i5:
  CHECK "INT in compatibility mode", [f_vec], 0x2f
  CHECK "compatibility mode pushes CS", [f_cs], UCODE32
  CHECK "compatibility mode pushes ESP", [f_rsp], STACK3 - 4
  TRY .i6
  mov eax, user_cli
  jmp to_user64
.i6:
  CHECK_FAULT "CLI in ring 3", 13, 0
  TRY .i7
  mov eax, user_int_dpl
  jmp to_user64
.i7:
  CHECK_FAULT "INT through a gate of DPL 0", 13, 0x10 * 8 + 2
  mov byte [idt + 0x20 * 16 + 5], 0x0e
  TRY .i8
  int 0x20
.i8:
  CHECK_FAULT "INT through a gate that is not present", 11, 0x20 * 8 + 2
  mov byte [idt + 0x20 * 16 + 5], 0x85
  TRY .i9
  int 0x20
.i9:
  CHECK_FAULT "task gate", 13, 0x20 * 8 + 2
  mov byte [idt + 0x20 * 16 + 5], 0x8e
  mov word [idt + 0x20 * 16 + 2], CODE32
  TRY .i10
  int 0x20
.i10:
  CHECK_FAULT "gate to 32-bit code", 13, CODE32
  mov word [idt + 0x20 * 16 + 2], CODE64
  mov dword [idt + 0x20 * 16 + 8], 0x8000
  TRY .i11
  int 0x20
.i11:
  CHECK_FAULT "gate to an address that is not canonical", 13, 0
  mov dword [idt + 0x20 * 16 + 8], 0
  TRY .i12
  int 0x30
.i12:
  CHECK_FAULT "INT beyond the IDT", 13, 0x30 * 8 + 2
; -- IRET
  TRY .r1
  push UDATA
  push STACK3
  push 0x4002
  popfq
  push UCODE64
  push user_int
  iretq
.r1:
  push 2
  popfq
  CHECK_FAULT "IRET with NT", 13, 0
  TRY .r2
  push 0
  push STACK0 - 0x100
  push 2
  push CODE64
  push .iret_same
  iretq
.iret_same:
  mov [t_rsp], rsp
  int 0x2f
.r2:
  CHECK "IRET to the same level", [f_vec], 0x2f
  CHECK "IRET to the same level pops RSP", [t_rsp], STACK0 - 0x100
  TRY .r3
  push 0
  push STACK3
  push 2
  push UCODE64
  push user_int
  iretq
.r3:
  CHECK_FAULT "IRET to ring 3 with a null SS", 13, 0
  TRY .r4
  push UDATA
  push STACK3
  push 2
  push UCODE64
  mov rax, 0x800000000000
  push rax
  iretq
.r4:
  CHECK_FAULT "IRET to an address that is not canonical", 13, 0
  CHECK "IRET faults in ring 0", [f_cs], CODE64
; -- far transfers
  TRY .f1
  jmp far dword [.p_compat]
.f1:
  CHECK "far JMP to compatibility mode", [f_vec], 0x2f
  CHECK "its CS", [f_cs], CODE32
  TRY .f2
  jmp far dword [.p_bad]
.f2:
  CHECK_FAULT "far JMP to a segment with L and D", 13, SEL_BAD
  TRY .f3
  jmp far dword [.p_gate]
.f3:
  CHECK "far JMP through a call gate", [f_vec], 0x2f
  TRY .f4
  jmp far dword [.p_gate32]
.f4:
  CHECK_FAULT "call gate to 32-bit code", 13, CODE32
  or dword [gate_upper + 12], 0x100
  TRY .f5
  jmp far dword [.p_upper]
.f5:
  CHECK_FAULT "call gate with a type in its second half", 13, SEL_UPPER
  TRY .f6
  jmp far dword [.p_tss]
.f6:
  CHECK_FAULT "far JMP to a TSS", 13, TSS_SEL
  TRY .f7
  mov rbp, rsp
  call far dword [.p_ret]
.f7:
  CHECK "far CALL pushes 8 bytes", [t_rsp], STACK0 - 8
  mov rsp, STACK0
  TRY .f8
  o64 call far [.p_ret64]
.f8:
  CHECK "far CALL with REX.W pushes 16 bytes", [t_rsp], STACK0 - 16
  mov rsp, STACK0
  TRY .f9
  mov qword [t_rsp], 0
  push CODE64
  push .retf
  o64 retf
.retf:
  mov [t_rsp], rsp
.f9:
  CHECK "far RET", [t_rsp], STACK0
  TRY .f10
  push UDATA
  push STACK3
  push UCODE64
  push user_gate
  o64 retf
.f10:
  CHECK "far CALL through a gate from ring 3", [f_vec], 0x2f
  CHECK "the gate's stack is RSP0", [t_rsp], STACK_RSP0 - 32
  CHECK "the gate pushes RIP", [STACK_RSP0 - 32], user_gate.next
  CHECK "the gate pushes CS", [STACK_RSP0 - 24], UCODE64
  CHECK "the gate pushes RSP", [STACK_RSP0 - 16], STACK3
  CHECK "the gate pushes SS", [STACK_RSP0 - 8], UDATA
  TRY .f11
  mov eax, compat_gate
  jmp to_user32
.f11:
  CHECK "far CALL through a gate from compatibility mode", [f_vec], 0x2f
  CHECK "it pushes the CS of compatibility mode", [STACK_RSP0 - 24], UCODE32
; -- segments
  TRY .s1
  mov eax, 3
  mov ss, eax
.s1:
  CHECK_FAULT "null SS with RPL 3 in ring 0", 13, 0
  mov eax, DATA32
  mov ss, eax
  xor eax, eax
  mov ss, eax
  mov ax, ss
  movzx eax, ax
  CHECK "null SS", rax, 0
  TRY .s2
  mov ax, SEL_LDT_HIGH
  lldt ax
.s2:
  CHECK_FAULT "LLDT with a base that is not canonical", 13, SEL_LDT_HIGH
  mov ax, SEL_LDT
  lldt ax
  mov eax, 4
  mov fs, eax
  mov eax, [fs:0]
  CHECK "a segment of the LDT has its base", rax, 0x1badb002
  TRY .s3
  mov ax, SEL_TSS16
  ltr ax
.s3:
  CHECK_FAULT "LTR with a 16-bit TSS", 13, SEL_TSS16
  TRY .s4
  mov ax, TSS_SEL
  ltr ax
.s4:
  CHECK_FAULT "LTR with a busy TSS", 13, TSS_SEL
  mov ecx, TSS_SEL
  lar eax, ecx
  setz bl
  movzx ebx, bl
  CHECK "LAR of a 64-bit TSS", rbx, 1
  and eax, 0xff00
  CHECK "LAR: busy", rax, 0x8b00
  mov ecx, SEL_TSS16
  lar eax, ecx
  setz bl
  movzx ebx, bl
  CHECK "LAR of a 16-bit TSS", rbx, 0
  mov ecx, TSS_SEL
  lsl eax, ecx
  CHECK "LSL of the TSS", rax, 103
; -- FS and GS
  SET_MSR 0xc0000101, t_gs
  mov rax, [gs:8]
  CHECK "GS base", rax, 0x1122334455667788
  SET_MSR 0xc0000102, t_gs + 8
  swapgs
  mov rax, [gs:0]
  CHECK "SWAPGS", rax, 0x1122334455667788
  GET_MSR 0xc0000102
  CHECK "SWAPGS puts the old base away", rax, t_gs
  mov eax, DATA32
  mov gs, eax
  GET_MSR 0xc0000101
  CHECK "loading GS sets its base", rax, 0
  TRY .g1
  mov eax, user_swapgs
  jmp to_user64
.g1:
  CHECK_FAULT "SWAPGS in ring 3", 13, 0
  TRY .g2
  rdfsbase rax
.g2:
  CHECK_FAULT "RDFSBASE without CR4.FSGSBASE", 6, 0xeeee
  mov rax, cr4
  bts rax, 16
  mov cr4, rax
  mov rax, 0xffff800012345678
  wrfsbase rax
  GET_MSR 0xc0000100
  CHECK "WRFSBASE", rax, 0xffff800012345678
  rdfsbase ebx
  CHECK "RDFSBASE of 32 bits", rbx, 0x12345678
  wrgsbase ebx
  rdgsbase rcx
  CHECK "WRGSBASE of 32 bits", rcx, 0x12345678
  TRY .g3
  mov rax, 0x800000000000
  wrfsbase rax
.g3:
  CHECK_FAULT "WRFSBASE not canonical", 13, 0
  mov rax, cr4
  btr rax, 16
  mov cr4, rax
  xor eax, eax
  mov fs, eax
  mov gs, eax
; -- SYSCALL
  SET_MSR 0xc0000081, ((UDATA - 8) << 48) | (CODE64 << 32)
  SET_MSR 0xc0000082, syscall_target
  SET_MSR 0xc0000084, 0x400
  mov qword [user_flags], 0x403
  TRY .y1
  mov eax, user_syscall
  jmp to_user64
.y1:
  mov qword [user_flags], 2
  cld
  CHECK "SYSCALL", [f_vec], 0x2f
  CHECK "SYSCALL: CS", [f_cs], CODE64
  CHECK "SYSCALL: SS", [f_ss], CODE64 + 8
  CHECK "SYSCALL: RSP stays", [f_rsp], STACK3
  CHECK "SYSCALL: RCX", [t_rcx], user_syscall.next
  CHECK "SYSCALL: R11", [t_r11], 0x403
  mov rax, [f_flags]
  and eax, 0xfff
  CHECK "SYSCALL: FMASK", rax, 3
  TRY .y2
  mov rcx, user_int
  mov r11d, 0x3802
  o64 sysret
.y2:
  CHECK "SYSRET", [f_vec], 0x2f
  CHECK "SYSRET: CS", [f_cs], UCODE64
  CHECK "SYSRET: SS", [f_ss], UDATA
  mov rax, [f_flags]
  and eax, 0x3fff
  CHECK "SYSRET: flags", rax, 0x3802
  TRY .y3
  mov rcx, compat_int
  mov r11d, 2
  mov esp, STACK3
  sysret
.y3:
  CHECK "SYSRET to compatibility mode", [f_vec], 0x2f
  CHECK "SYSRET to compatibility mode: CS", [f_cs], (UDATA - 8) | 3
  mov rsp, STACK0
  TRY .y4
  mov rcx, 0x800000000000
  mov r11d, 2
  o64 sysret
.y4:
  CHECK_FAULT "SYSRET to an address that is not canonical", 13, 0
  TRY .y5
  mov eax, compat_syscall
  jmp to_user32
.y5:
  CHECK_FAULT "SYSCALL in compatibility mode", 6, 0xeeee
  SET_MSR 0xc0000080, 0x900
  TRY .y6
  mov eax, user_syscall
  jmp to_user64
.y6:
  CHECK_FAULT "SYSCALL without SCE", 6, 0xeeee
  SET_MSR 0xc0000080, 0x901
; -- SYSENTER
  SET_MSR 0x174, CODE64
  SET_MSR 0x175, STACK_IST1
  SET_MSR 0x176, sysenter_target
  TRY .e1
  mov eax, user_sysenter
  jmp to_user64
.e1:
  CHECK "SYSENTER", [f_vec], 0x2f
  CHECK "SYSENTER: CS", [f_cs], CODE64
  CHECK "SYSENTER: SS", [f_ss], CODE64 + 8
  CHECK "SYSENTER: RSP", [f_rsp], STACK_IST1
  TRY .e2
  mov eax, compat_sysenter
  jmp to_user32
.e2:
  CHECK "SYSENTER from compatibility mode", [f_vec], 0x2f
  CHECK "SYSENTER from compatibility mode: CS", [f_cs], CODE64
  SET_MSR 0x174, UCODE64 - 3 - 32
  mov rdx, user_int
  mov ecx, STACK3 - 0x40
  TRY .e3
  o64 sysexit
.e3:
  CHECK "SYSEXIT", [f_vec], 0x2f
  CHECK "SYSEXIT: CS", [f_cs], UCODE64
  CHECK "SYSEXIT: RSP", [f_rsp], STACK3 - 0x40
; -- TSC_AUX, CR8, debug registers
  SET_MSR 0xc0000103, 0x12345
  rdtscp
  CHECK "RDTSCP: ECX", rcx, 0x12345
  mov rax, cr8
  CHECK "CR8 at reset", rax, 0
  mov eax, 5
  mov cr8, rax
  mov rbx, cr8
  CHECK "CR8", rbx, 5
  xor eax, eax
  mov cr8, rax
  TRY .d1
  mov eax, 16
  mov cr8, rax
.d1:
  CHECK_FAULT "CR8 above 15", 13, 0
  mov rax, 0xffff800000000000 + t_gs
  mov dr0, rax
  mov rbx, dr0
  CHECK "DR0 has 64 bits", rbx, rax
  TRY .d2
  mov rax, 0x100000000
  mov dr7, rax
.d2:
  CHECK_FAULT "DR7 above 32 bits", 13, 0
  mov eax, .d3_break
  mov dr0, rax
  mov eax, 0x401
  mov dr7, rax
  TRY .d3
  nop
.d3_break:
  nop
.d3:
  mov ebx, 0x400
  mov dr7, rbx
  CHECK "instruction breakpoint", [f_rip], .d3_break
  CHECK "instruction breakpoint: vector", [f_vec], 1
  mov eax, t_gs + 8
  mov dr1, rax
  mov eax, 0x40c | (0xb << 20)      ; DR1: read or write, 8 bytes
  mov dr7, rax
  TRY .d4
  mov eax, [t_gs + 12]
.d4_after:
  nop
.d4:
  mov ebx, 0x400
  mov dr7, rbx
  CHECK "8-byte data breakpoint", [f_rip], .d4_after
  jmp finish

.p_compat: dd compat_kernel
  dw CODE32
.p_bad: dd compat_kernel
  dw SEL_BAD
.p_gate: dd 0
  dw SEL_CALL
.p_gate32: dd 0
  dw SEL_CALL32
.p_upper: dd 0
  dw SEL_UPPER
.p_tss: dd 0
  dw TSS_SEL
.p_ret: dd far_target
  dw CODE64
.p_ret64: dq far_target
  dw CODE64

far_target:
  mov [t_rsp], rsp
  int 0x2f
gate_target:
  mov [t_rsp], rsp
  int 0x2f
user_int:
  int 0x2f
user_int_ist:
  int 0x2e
user_int_dpl:
  int 0x10
user_cli:
  cli
user_swapgs:
  swapgs
user_syscall:
  syscall
.next:
  nop
user_sysenter:
  sysenter
user_gate:
  call far dword [.p]
.next:
  nop
.p: dd 0
  dw SEL_CALL
syscall_target:
  mov [t_rcx], rcx
  mov [t_r11], r11
  int 0x2f
sysenter_target:
  int 0x2f

bits 32
compat_kernel:
  int 0x2f
compat_int:
  push eax
  int 0x2f
compat_gate:
  call SEL_CALL:0
compat_syscall:
  syscall
compat_sysenter:
  sysenter

align 8
ldt:
  DESC L(t_base), 15, 0xf2, 4
  dq 0
t_base: dd 0x1badb002, 0
t_table: dq 0, 0
t_rsp: dq 0
t_rcx: dq 0
t_r11: dq 0
t_gs: dq 0, 0x1122334455667788
%include "footer.inc"
