; Hardware task switches: JMP, CALL, IRET, task gates, 16- and 32-bit TSS, busy bits, back link, NT, TS, T flag, faults.
; SDM volume 3 chapter 8.
%include "harness.inc"

S_TSS2     equ 0x40
S_TSS16    equ 0x48
S_TASKGATE equ 0x50
S_TSS_BUSY equ 0x58
S_TSS_TINY equ 0x60
S_TSS_NP   equ 0x68
S_LDT      equ 0x70
S_TSS3     equ 0x78
S_NOTPRES  equ 0x80
S_TSSV86   equ 0x88
  DESC L(tss2), 103, 0x89, 0          ; 40
  DESC L(tss16), 43, 0x81, 0          ; 48
  dw 0, S_TSS2, 0xe500, 0             ; 50
  DESC L(tss2), 103, 0x8b, 0          ; 58
  DESC L(tss2), 102, 0x89, 0          ; 60
  DESC L(tss2), 103, 0x09, 0          ; 68
  DESC L(ldt), 7, 0x82, 0             ; 70
  DESC L(tss3), 103, 0x89, 0          ; 78
  DESC 0, 0xfffff, 0x13, 0xc          ; 80
  DESC L(tssv), 103, 0x89, 0          ; 88
gdt_end:

align 8
ldt: DESC 0x12340, 0xffff, 0x93, 0
align 4
tss2: times 104 db 0
tss3: times 104 db 0
tssv: times 104 db 0
tss16: times 44 db 0

%macro FILL_TSS 3     ; tss, eip, esp
  mov dword [%1 + 0], 0
  mov dword [%1 + 4], STACK0 - 0x1000
  mov dword [%1 + 8], DATA32
  mov eax, cr3
  mov [%1 + 28], eax
  mov dword [%1 + 32], %2
  mov dword [%1 + 36], 2
  mov dword [%1 + 40], 0x11111111
  mov dword [%1 + 44], 0x22222222
  mov dword [%1 + 48], 0x33333333
  mov dword [%1 + 52], 0x44444444
  mov dword [%1 + 56], %3
  mov dword [%1 + 60], 0x55555555
  mov dword [%1 + 64], 0x66666666
  mov dword [%1 + 68], 0x77777777
  mov dword [%1 + 72], DATA32
  mov dword [%1 + 76], CODE32
  mov dword [%1 + 80], DATA32
  mov dword [%1 + 84], DATA32
  mov dword [%1 + 88], DATA32
  mov dword [%1 + 92], DATA32
  mov dword [%1 + 96], 0
  mov word [%1 + 100], 0
  mov word [%1 + 102], 104
%endmacro

%macro DESC_TYPE 1    ; EBX = access byte of a descriptor
  movzx ebx, byte [gdt + %1 + 5]
%endmacro

main:
  FILL_TSS tss2, task2, STACK0 - 0x1800
  FILL_TSS tss3, task3, STACK0 - 0x2000
  mov dword [tss3 + 96], S_LDT
  mov dword [tss3 + 92], 4
  clts
; -- JMP and JMP back
  mov ebp, 0xbebebebe
  jmp S_TSS2:0
back1:
  CHECK "JMP: EAX is loaded", [t_eax], 0x11111111
  CHECK "JMP: EDI is loaded", [t_edi], 0x77777777
  CHECK "JMP: ESP is loaded", [t_esp], STACK0 - 0x1800
  CHECK "JMP: TR", [t_tr], S_TSS2
  CHECK "JMP: old TSS is not busy", [t_oldtype], 0x89
  CHECK "JMP: new TSS is busy", [t_newtype], 0x8b
  mov ebx, [t_flags]
  and ebx, 0x4000
  CHECK "JMP: NT clear", ebx, 0
  mov ebx, [t_cr0]
  and ebx, 8
  CHECK "task switch sets TS", ebx, 8
  CHECK "JMP back restores EBP", ebp, 0xbebebebe
  CHECK "outgoing EIP is saved after the JMP", [tss2 + 32], task2_next
  CHECK "outgoing EAX is saved", [tss2 + 40], 0xcafe0001
  CHECK "incoming T flag clear: no debug trap", [f_vec], 0
  clts
; -- CALL and IRET
  FILL_TSS tss2, task2_iret, STACK0 - 0x1800
  mov ebp, 0xbebebebf
  call S_TSS2:0
  CHECK "CALL and IRET come back", ebp, 0xbebebebf
  CHECK "CALL: link", [t_link], TSS_SEL
  mov ebx, [t_flags]
  and ebx, 0x4000
  CHECK "CALL: NT set", ebx, 0x4000
  CHECK "CALL: old TSS stays busy", [t_oldtype], 0x8b
  DESC_TYPE S_TSS2
  CHECK "IRET: left TSS is not busy", ebx, 0x89
  DESC_TYPE TSS_SEL
  CHECK "IRET: TSS returned to is busy", ebx, 0x8b
  mov ebx, [tss2 + 36]
  and ebx, 0x4000
  CHECK "IRET: NT is saved clear", ebx, 0
  pushfd
  pop ebx
  and ebx, 0x4000
  CHECK "IRET: NT of the caller is clear", ebx, 0
  CHECK "IRET: EIP of the left task", [tss2 + 32], task2_after_iret
  ; the task goes on where it stopped
  call S_TSS2:0
  CHECK "second CALL resumes after IRET", [t_eax], 0x12121212
; -- task gate by CALL and by INT
  FILL_TSS tss2, task2_iret, STACK0 - 0x1800
  mov dword [t_link], 0
  call S_TASKGATE:0
  CHECK "CALL through a task gate", [t_link], TSS_SEL
  FILL_TSS tss2, task2_iret, STACK0 - 0x1800
  mov dword [idt + 0x2d * 8], S_TSS2 << 16
  mov dword [idt + 0x2d * 8 + 4], 0x8500
  mov dword [t_link], 0
  int 0x2d
.after_int:
  CHECK "INT through a task gate", [t_link], TSS_SEL
  CHECK "INT through a task gate saves the next EIP", [tss + 32], .after_int
; -- an exception with error code through a task gate
  FILL_TSS tss2, task2_fault, STACK0 - 0x1800
  mov dword [idt + 13 * 8], S_TSS2 << 16
  mov dword [idt + 13 * 8 + 4], 0x8500
  xor edx, edx
.bad:
  mov ax, 0x7f8
  mov es, ax
.good:
  CHECK "exception task gets the error code", [t_error], 0x7f8
  CHECK "exception task: one word on the stack", [t_esp], STACK0 - 0x1804
  call restore_gp
; -- 16-bit TSS
  mov word [tss16 + 14], task16_start
  mov word [tss16 + 16], 2
  mov word [tss16 + 18], 0x1234
  mov word [tss16 + 26], STACK0 - 0x1c00
  mov word [tss16 + 34], DATA32
  mov word [tss16 + 36], CODE16
  mov word [tss16 + 38], DATA32
  mov word [tss16 + 40], DATA32
  mov word [tss16 + 42], 0
  mov fs, [zero]
  call S_TSS16:0
  CHECK "16-bit TSS: AX", [t_eax], 0x1234
  CHECK "16-bit TSS: FS is null", [t_fs], 0
  CHECK "16-bit TSS: TR", [t_tr], S_TSS16
  DESC_TYPE S_TSS16
  CHECK "16-bit TSS is free again", ebx, 0x81
; -- LDT
  call S_TSS3:0
  CHECK "LDT of the task", [t_ldt], S_LDT
  CHECK "GS through the task's LDT", [t_gsval], 0x600df00d
  sldt ebx
  CHECK "IRET restores the LDT", ebx, 0
; -- faults before the switch
  TRY .r1
  jmp S_TSS_BUSY:0
.r1:
  CHECK_FAULT "JMP to a busy TSS", 13, S_TSS_BUSY
  TRY .r2
  jmp S_TSS_NP:0
.r2:
  CHECK_FAULT "JMP to a not-present TSS", 11, S_TSS_NP
  TRY .r3
  jmp S_TSS_TINY:0
.r3:
  CHECK_FAULT "TSS limit too small", 10, S_TSS_TINY
  str ebx
  CHECK "TR is unchanged", ebx, TSS_SEL
  TRY .r4
  pushfd
  or dword [esp], 0x4000
  popfd
  mov word [tss], S_TSS2
  iretd
.r4:
  CHECK_FAULT "IRET to a TSS that is not busy", 10, S_TSS2
  pushfd
  and dword [esp], ~0x4000
  popfd
; -- faults after the switch happen in the new task
  FILL_TSS tss2, task2, STACK0 - 0x1800
  mov word [tss2 + 84], S_NOTPRES
  TRY .r5
  jmp S_TSS2:0
.r5:
  CHECK_FAULT "not-present DS of the new task", 11, S_NOTPRES
  CHECK "its EIP is that of the new task", [f_eip], task2
  str ebx
  CHECK "its TR is the new task's", ebx, S_TSS2
  call back_to_first
  FILL_TSS tss2, task2, STACK0 - 0x1800
  mov word [tss2 + 76], DATA32
  TRY .r6
  jmp S_TSS2:0
.r6:
  CHECK_FAULT "data segment as CS of the new task", 10, DATA32
  call back_to_first
; -- T flag
  FILL_TSS tss2, task2, STACK0 - 0x1800
  mov word [tss2 + 100], 1
  TRY .r8
  jmp S_TSS2:0
.r8:
  CHECK_FAULT "T flag", 1, 0xeeee
  mov ebx, dr6
  and ebx, 0x8000
  CHECK "T flag sets BT", ebx, 0x8000
  CHECK "T flag: the trap is at the new task's first instruction", [f_eip], task2
  call back_to_first
; -- a task in virtual-8086 mode
  FILL_TSS tssv, 0, 0x100
  mov dword [tssv + 36], 0x20002
  mov dword [tssv + 76], 0x2000
  mov dword [tssv + 80], 0x3000
  mov dword [tssv + 84], 0x2000
  mov dword [tssv + 72], 0x1234
  mov byte [0x20000], 0xf4          ; HLT
  TRY .r9
  jmp S_TSSV86:0
.r9:
  CHECK_FAULT "HLT in a virtual-8086 task", 13, 0
  CHECK "CS of the virtual-8086 task", [f_cs], 0x2000
  CHECK "ES of the virtual-8086 task", [f_es], 0x1234
  jmp finish

; Called in ring 0 in the wrong task: makes the first one current again.
back_to_first:
  pop dword [t_return]
  and byte [gdt + TSS_SEL + 5], 0xfd
  mov ax, TSS_SEL
  ltr ax
  and byte [gdt + S_TSS2 + 5], 0xfd
  xor eax, eax
  lldt ax
  mov ax, DATA32
  mov ds, ax
  mov es, ax
  mov esp, STACK0
  jmp [t_return]

restore_gp:
  mov eax, stub_13
  mov [idt + 13 * 8], ax
  mov word [idt + 13 * 8 + 2], CODE32
  mov word [idt + 13 * 8 + 4], 0x8e00
  shr eax, 16
  mov [idt + 13 * 8 + 6], ax
  ret

save_task:
  mov [t_eax], eax
  mov [t_edi], edi
  mov eax, esp
  add eax, 4
  mov [t_esp], eax
  str eax
  mov [t_tr], eax
  pushfd
  pop dword [t_flags]
  mov eax, cr0
  mov [t_cr0], eax
  movzx eax, byte [gdt + TSS_SEL + 5]
  mov [t_oldtype], eax
  movzx eax, byte [gdt + S_TSS2 + 5]
  mov [t_newtype], eax
  movzx eax, word [tss2]
  mov [t_link], eax
  ret

task2:
  call save_task
  mov eax, 0xcafe0001
  jmp TSS_SEL:0
task2_next:
  ud2

task2_iret:
  call save_task
  iretd
task2_after_iret:
  mov dword [t_eax], 0x12121212
  iretd
  ud2

task2_fault:
  call save_task
  pop dword [t_error]
  ; Skip the faulting instruction.
  mov dword [tss + 32], back1.good
  iretd

task3:
  sldt eax
  mov [t_ldt], eax
  mov dword [0x12350], 0x600df00d
  mov eax, [gs:0x10]
  mov [t_gsval], eax
  iretd

bits 16
task16:
  mov [dword t_eax], ax
  mov word [dword t_eax + 2], 0
  mov [dword t_fs], fs
  str ax
  mov [dword t_tr], ax
  mov word [dword t_tr + 2], 0
  iret
task16_start equ task16 - $$
bits 32

align 4
zero: dd 0
t_eax: dd 0
t_edi: dd 0
t_esp: dd 0
t_tr: dd 0
t_flags: dd 0
t_cr0: dd 0
t_oldtype: dd 0
t_newtype: dd 0
t_link: dd 0
t_error: dd 0
t_fs: dd 0xffff
t_ldt: dd 0
t_gsval: dd 0
t_return: dd 0

%include "footer.inc"
