; Virtual-8086 mode extensions (SDM volume 3, 20.3): VIF in place of IF, and interrupts that a task handles itself.
; The redirection map is the first 32 bytes behind the TSS, the I/O map follows. Protected-mode virtual interrupts (20.4).
%define IO_MAP_BYTES 65
%include "harness.inc"
S_UCODE equ 0x40 | 3
S_UDATA equ 0x48 | 3
  DESC 0, 0xfffff, 0xfb, 0xc
  DESC 0, 0xfffff, 0xf3, 0xc
gdt_end:

V_STACK equ 0x800
; VM_RUN label, flags: code at `label` of segment 0x1000 in virtual-8086 mode
%macro VM_RUN 2
  TRY %%back
  push dword 0
  push dword 0
  push dword 0x2000
  push dword 0
  push dword 0x3000
  push dword V_STACK
  push dword (%2) | 0x20002
  push dword 0x1000
  push dword R16(%1)
  iretd
%%back:
%endmacro
; USER_RUN label, flags: code at `label` in ring 3
%macro USER_RUN 2
  TRY %%back
  push dword S_UDATA
  push dword 0x9000
  push dword (%2) | 2
  push dword S_UCODE
  push dword L(%1)
  iretd
%%back:
%endmacro
; FLAGS_ARE "name", flags of VIF, VIP, IOPL, IF and TF
%macro FLAGS_ARE 2
  mov ebx, [f_flags]
  and ebx, 0x183300
  CHECK %1, ebx, %2
%endmacro
%macro CR4_IS 1
  mov eax, %1
  mov cr4, eax
%endmacro

IOPL0 equ 0
IOPL3 equ 0x3000
VIF equ 0x80000
VIP equ 0x100000

main:
  mov eax, 1
  cpuid
  and edx, 2
  CHECK "CPUID tells of VME", edx, 2
  mov word [tss + 102], 104 + 32
  SET_GATE 0x2f, stub_47, 0xee00
  SET_GATE 3, stub_3, 0xee00
; -- without VME
  VM_RUN v_cli, IOPL0 | VIF
  CHECK_FAULT "without VME: CLI", 13, 0
; -- CLI and STI
  CR4_IS 1
  VM_RUN v_cli, IOPL0 | VIF
  CHECK "CLI", [f_vec], 3
  FLAGS_ARE "CLI clears VIF", 0
  VM_RUN v_sti, IOPL0
  CHECK "STI", [f_vec], 3
  FLAGS_ARE "STI sets VIF", VIF
  VM_RUN v_sti, IOPL0 | VIP
  CHECK_FAULT "STI with VIP", 13, 0
  VM_RUN v_cli, IOPL0 | VIP | VIF
  CHECK "CLI with VIP", [f_vec], 3
  VM_RUN v_cli, IOPL3 | VIF | 0x200
  FLAGS_ARE "CLI with IOPL 3 clears IF", IOPL3 | VIF
; -- PUSHF and POPF
  VM_RUN v_pushf, IOPL0 | VIF
  mov ebx, [0x30000 + V_STACK - 2]
  and ebx, 0x3200
  CHECK "PUSHF: VIF as IF, IOPL 3", ebx, 0x3200
  VM_RUN v_pushf, IOPL0 | 0x200
  mov ebx, [0x30000 + V_STACK - 2]
  and ebx, 0x3200
  CHECK "PUSHF: IF does not show", ebx, 0x3000
  VM_RUN v_pushfd, IOPL0
  CHECK_FAULT "PUSHFD", 13, 0
  VM_RUN v_popf_on, IOPL0
  FLAGS_ARE "POPF: IF as VIF", VIF
  VM_RUN v_popf_off, IOPL0 | VIF | 0x200
  FLAGS_ARE "POPF: VIF cleared, IF and IOPL kept", 0x200
  VM_RUN v_popf_on, IOPL0 | VIP
  CHECK_FAULT "POPF of IF with VIP", 13, 0
  CHECK "POPF that faults leaves SP", [f_esp], V_STACK - 2
  VM_RUN v_popf_off, IOPL0 | VIP | VIF
  CHECK "POPF without IF with VIP", [f_vec], 3
  VM_RUN v_popf_tf, IOPL0
  CHECK_FAULT "POPF of TF", 13, 0
  VM_RUN v_popfd, IOPL0
  CHECK_FAULT "POPFD", 13, 0
; -- IRET
  VM_RUN v_iret_on, IOPL0
  CHECK "IRET", [f_vec], 3
  FLAGS_ARE "IRET: IF as VIF", VIF
  CHECK "IRET: CS", [f_cs], 0x1000
  VM_RUN v_iret_on, IOPL0 | VIP
  CHECK_FAULT "IRET of IF with VIP", 13, 0
  VM_RUN v_iretd, IOPL0
  CHECK_FAULT "IRETD", 13, 0
; -- INT n
  mov word [0x2e * 4], R16(v_handler)
  mov word [0x2e * 4 + 2], 0x1000
  VM_RUN v_int, IOPL0
  CHECK_FAULT "INT whose bit is set, with IOPL 0", 13, 0
  VM_RUN v_int, IOPL3
  CHECK_FAULT "INT whose bit is set, with IOPL 3: its gate", 13, 0x2e * 8 + 2
  mov byte [io_map + 0x2e / 8], 0xff & ~(1 << (0x2e & 7))
  VM_RUN v_int, IOPL0 | VIF
  CHECK "INT whose bit is clear goes to the task's own handler", [f_vec], 3
  CHECK "its handler", [f_eip], R16(v_handler) + 1
  FLAGS_ARE "it clears VIF", 0
  CHECK "its stack", [f_esp], V_STACK - 6
  mov ebx, [0x30000 + V_STACK - 6]
  and ebx, 0xffff
  CHECK "it pushes IP", ebx, R16(v_int) + 2
  mov ebx, [0x30000 + V_STACK - 4]
  and ebx, 0xffff
  CHECK "it pushes CS", ebx, 0x1000
  mov ebx, [0x30000 + V_STACK - 2]
  and ebx, 0x3200
  CHECK "it pushes VIF as IF, and IOPL 3", ebx, 0x3200
  VM_RUN v_int, IOPL3 | 0x200
  FLAGS_ARE "with IOPL 3 it clears IF", IOPL3
  VM_RUN v_int3, IOPL0
  CHECK "INT3 is not redirected", [f_eip], R16(v_int3) + 1
  mov word [tss + 102], 0x7000
  VM_RUN v_int, IOPL0
  CHECK_FAULT "a redirection map beyond the TSS", 13, 0
  mov word [tss + 102], 104 + 32
; -- protected-mode virtual interrupts
  CR4_IS 1
  USER_RUN u_sti, 0
  CHECK_FAULT "ring 3 without PVI: STI", 13, 0
  CR4_IS 2
  USER_RUN u_sti, 0
  CHECK "ring 3 with PVI: STI", [f_vec], 3
  FLAGS_ARE "it sets VIF", VIF
  USER_RUN u_cli, VIF
  FLAGS_ARE "CLI clears VIF", 0
  USER_RUN u_sti, VIP
  CHECK_FAULT "STI with VIP in ring 3", 13, 0
  USER_RUN u_cli, 0x3200
  FLAGS_ARE "CLI with IOPL 3 in ring 3", 0x3000
  VM_RUN v_sti, IOPL0
  CHECK_FAULT "PVI does nothing for virtual-8086 mode", 13, 0
  jmp finish

u_sti:
  sti
  int3
u_cli:
  cli
  int3
bits 16
v_cli:
  cli
  int3
v_sti:
  sti
  int3
v_pushf:
  pushf
v_int3:
  int3
v_pushfd:
  pushfd
v_popf_on:
  push word 0x0202
  popf
  int3
v_popf_off:
  push word 0x3002
  popf
  int3
v_popf_tf:
  push word 0x0102
  popf
  int3
v_popfd:
  push dword 2
  popfd
v_iret_on:
  push word 0x0202
  push word 0x1000
  push word R16(v_int3)
  iret
v_iretd:
  push dword 2
  push dword 0x1000
  push dword R16(v_int3)
  iretd
v_int:
  int 0x2e
v_handler:
  int3
bits 32
%include "footer.inc"
