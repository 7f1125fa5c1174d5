; Virtual-8086 mode: IRET into it, segment rules, IOPL-sensitive instructions, interrupts out of it, I/O map. SDM volume 3 chapter 20.
%define IO_MAP_BYTES 33
%include "harness.inc"
S_CONFORM equ 0x40
S_UCODE equ 0x48
  DESC 0, 0xfffff, 0x9f, 0xc          ; 40
  DESC 0, 0xfffff, 0xfb, 0xc          ; 48
gdt_end:

V_STACK equ 0x800

; VM_RUN label, flags: code at `label` of segment 0x1000 in virtual-8086 mode
%macro VM_RUN 2
  TRY %%back
  push dword 0x6666          ; GS
  push dword 0x5555          ; FS
  push dword 0x2000          ; DS
  push dword 0x1234          ; ES
  push dword 0x3000          ; SS
  push dword V_STACK
  push dword (%2) | 0x20002
  push dword 0x1000
  push dword R16(%1)
  iretd
%%back:
%endmacro

IOPL0 equ 0
IOPL3 equ 0x3000

main:
  mov word [tss + 102], 104
  SET_GATE 0x2f, stub_47, 0xee00
  SET_GATE 3, stub_3, 0xee00
  mov dword [0x20010], 0x13572468
  mov dword [0x1fffc], 0
; -- registers
  VM_RUN v_int2f, IOPL3
  CHECK "INT with IOPL 3 goes through the gate", [f_vec], 0x2f
  CHECK "the frame holds CS", [f_cs], 0x1000
  CHECK "the frame holds EIP after INT", [f_eip], R16(v_int2f) + 2
  CHECK "the frame holds SS", [f_ss], 0x3000
  CHECK "the frame holds ESP", [f_esp], V_STACK
  CHECK "the frame holds ES", [f_es], 0x1234
  CHECK "the frame holds DS", [f_ds], 0x2000
  mov ebx, [f_flags]
  and ebx, 0x23000
  CHECK "the frame holds VM and IOPL", ebx, 0x23000
  CHECK "the handler starts with a null DS", [f_handler_ds], 0
  mov ebx, [f_frame]
  CHECK "the handler runs on ESP0", ebx, STACK0 - 0x400 - 36
  VM_RUN v_int2f, IOPL0
  CHECK_FAULT "INT with IOPL 0", 13, 0
  CHECK "INT with IOPL 0 saves its own EIP", [f_eip], R16(v_int2f)
  VM_RUN v_int3, IOPL0
  CHECK "INT3 needs no IOPL", [f_vec], 3
  SET_GATE 3, stub_3, 0x8e00
  VM_RUN v_int3, IOPL0
  CHECK_FAULT "INT3 through a DPL 0 gate", 13, 3 * 8 + 2
  SET_GATE 3, stub_3, 0xee00
  mov word [idt + 0x2f * 8 + 2], S_CONFORM
  VM_RUN v_int2f, IOPL3
  CHECK_FAULT "gate to a conforming segment", 13, S_CONFORM
  mov word [idt + 0x2f * 8 + 2], S_UCODE
  VM_RUN v_int2f, IOPL3
  CHECK_FAULT "gate to a DPL 3 segment", 13, S_UCODE
  mov word [idt + 0x2f * 8 + 2], CODE32
; -- IOPL-sensitive instructions
  VM_RUN v_cli, IOPL0
  CHECK_FAULT "CLI with IOPL 0", 13, 0
  VM_RUN v_pushf, IOPL0
  CHECK_FAULT "PUSHF with IOPL 0", 13, 0
  VM_RUN v_popf, IOPL0
  CHECK_FAULT "POPF with IOPL 0", 13, 0
  VM_RUN v_iret, IOPL0
  CHECK_FAULT "IRET with IOPL 0", 13, 0
  VM_RUN v_flags, IOPL3
  CHECK "POPF with IOPL 3 comes through", [f_vec], 0x2f
  mov ebx, [f_flags]
  and ebx, 0x23200
  CHECK "POPF keeps IOPL and VM, loads IF", ebx, 0x23200
  VM_RUN v_iret3, IOPL3
  CHECK "IRET with IOPL 3", [f_vec], 0x2f
  CHECK "IRET with IOPL 3 loads CS", [f_cs], 0x1001
  CHECK "IRET with IOPL 3 loads IP", [f_eip], R16(v_int2f) - 16 + 2
; -- privileged and unrecognised
  VM_RUN v_hlt, IOPL3
  CHECK_FAULT "HLT", 13, 0
  VM_RUN v_lgdt, IOPL3
  CHECK_FAULT "LGDT", 13, 0
  VM_RUN v_movcr, IOPL3
  CHECK_FAULT "MOV from CR0", 13, 0
  VM_RUN v_sldt, IOPL3
  CHECK_FAULT "SLDT", 6, 0xeeee
  VM_RUN v_lar, IOPL3
  CHECK_FAULT "LAR", 6, 0xeeee
  VM_RUN v_arpl, IOPL3
  CHECK_FAULT "ARPL", 6, 0xeeee
; -- segments
  VM_RUN v_load, IOPL3
  CHECK "DS is a paragraph number", [0x20020], 0x13572468
  VM_RUN v_wrap, IOPL3
  CHECK_FAULT "word at FFFF", 13, 0
  VM_RUN v_stackwrap, IOPL3
  CHECK_FAULT "pop at FFFF", 12, 0
  VM_RUN v_farcall, IOPL3
  CHECK "far call and return", [0x20024], 0x0000abcd
  VM_RUN v_cswrite, IOPL3
  CHECK "code segment is writable", [v_cell], 0x77
; -- I/O goes by the map whatever the IOPL
  VM_RUN v_in, IOPL3
  CHECK_FAULT "IN with its bit set and IOPL 3", 13, 0
  mov byte [io_map + 0xe9 / 8], 0xfd
  VM_RUN v_in, IOPL0
  CHECK "IN with its bit clear", [f_vec], 3
; -- interrupted and resumed: a handler that returns by IRETD
  SET_GATE 0x2e, resume, 0xee00
  VM_RUN v_resume, IOPL3
  CHECK "IRETD of a handler resumes", [f_vec], 0x2f
  CHECK "IRETD of a handler restores DS", [f_ds], 0x2000
  CHECK "IRETD of a handler restores ESP", [f_esp], V_STACK
  jmp finish

resume:
  iretd

bits 16
v_int2f:
  int 0x2f
v_int3:
  int3
v_cli:
  cli
  int3
v_pushf:
  pushf
  int3
v_popf:
  popf
  int3
v_iret:
  iret
  int3
v_flags:
  push word 0x0202
  popf
  int 0x2f
v_iret3:
  push word 0x0002
  push word 0x1001
  push word R16(v_int2f) - 16
  iret
v_hlt:
  hlt
v_lgdt:
  lgdt [0]
v_movcr:
  mov eax, cr0
v_sldt:
  sldt ax
v_lar:
  lar ax, ax
v_arpl:
  db 0x63, 0xc0
v_load:
  mov ax, 0x2001
  mov ds, ax
  mov eax, [0]
  mov [0x10], eax
  int3
v_wrap:
  mov ax, [0xffff]
v_stackwrap:
  mov sp, 0xffff
  pop ax
v_farcall:
  call 0x1000:R16(v_far)
  mov [0x24], ax
  mov word [0x26], 0
  int3
v_far:
  mov ax, 0xabcd
  retf
v_cswrite:
  mov dword [cs:R16(v_cell)], 0x77
  int3
v_in:
  in al, 0xe9
  int3
v_resume:
  int 0x2e
  int 0x2f
bits 32
align 4
v_cell: dd 0

%include "footer.inc"
