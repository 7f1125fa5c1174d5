; Debug registers, single step, ICEBP, INT3, INTO. SDM volume 3 chapter 17.
%include "harness.inc"
gdt_end:

%macro DR7 1
  mov eax, %1
  mov dr7, eax
%endmacro
%macro CLEAR_DR6 0
  xor eax, eax
  mov dr6, eax
%endmacro
; CHECK_DR6 "name", expected low 16 bits without the constant ones
%macro CHECK_DR6 2
  mov ebx, dr6
  and ebx, 0xe00f
  CHECK %1, ebx, %2
%endmacro

main:
  SET_GATE 0x2f, stub_47, 0xee00
  mov ebx, dr7
  and ebx, 0xffff
  CHECK "DR7 at reset", ebx, 0x400
  CLEAR_DR6
  mov ebx, dr6
  and ebx, 0xfffefff0
  CHECK "DR6 constant bits", ebx, 0xfffe0ff0
; -- instruction breakpoint
  mov eax, .break
  mov dr0, eax
  DR7 0x403
  TRY .r1
  xor ecx, ecx
  inc ecx
.break:
  inc ecx
  int 0x2f
.r1:
  mov [t_ecx], ecx
  CHECK_FAULT "instruction breakpoint", 1, 0xeeee
  CHECK "instruction breakpoint is a fault", [f_eip], .break
  CHECK "instruction breakpoint comes before the instruction", [t_ecx], 1
  CHECK_DR6 "instruction breakpoint sets B0", 1
  mov ebx, [f_flags]
  and ebx, 0x10000
  CHECK "instruction breakpoint saves RF clear", ebx, 0
  TRY .r2
  CLEAR_DR6
  push dword 0x10002
  push dword CODE32
  push dword .break
  iretd
.r2:
  CHECK "RF lets the instruction run", [f_vec], 0x2f
  CHECK_DR6 "RF: no breakpoint", 0
  TRY .r3
  push dword 0x10002
  push dword CODE32
  push dword .loop_start
  iretd
.loop_start:
  nop
  jmp .break
.r3:
  CHECK "RF lasts one instruction", [f_vec], 1
  mov eax, .shadowed
  mov dr0, eax
  TRY .r3a
  mov bx, ss
  mov ss, bx
.shadowed:
  nop
  int 0x2f
.r3a:
  CHECK "MOV SS holds the instruction breakpoint after it back", [f_vec], 0x2f
  TRY .r3b
  jmp .shadowed
.r3b:
  CHECK "only after MOV SS", [f_vec], 1
; -- data breakpoints
  mov eax, cell
  mov dr1, eax
  DR7 0x40c | (0xd << 20)          ; DR1: write, 4 bytes
  CLEAR_DR6
  TRY .r4
  mov eax, [cell]
  mov dword [cell + 4], 1
  mov dword [cell - 4], 1
  mov dword [cell], 1
.after4:
  int 0x2f
.r4:
  CHECK_FAULT "write breakpoint", 1, 0xeeee
  CHECK "write breakpoint is a trap", [f_eip], .after4
  CHECK_DR6 "write breakpoint sets B1", 2
  CHECK "the write is done", [cell], 1
  CLEAR_DR6
  TRY .r5
  mov byte [cell + 3], 2
.after5:
  int 0x2f
.r5:
  CHECK "byte within the watched dword", [f_eip], .after5
  CLEAR_DR6
  TRY .r6
  mov dword [cell - 2], 2
.after6:
  int 0x2f
.r6:
  CHECK "dword that overlaps", [f_eip], .after6
  CLEAR_DR6
  TRY .r7
  inc dword [cell]
.after7:
  int 0x2f
.r7:
  CHECK "read-modify-write", [f_eip], .after7
  TRY .r8
  mov ebp, esp
  mov esp, cell + 4
  push dword 5
.after8:
  mov esp, ebp
  int 0x2f
.r8:
  CHECK "push", [f_eip], .after8
  CLEAR_DR6
  DR7 0x40c | (0xf << 20)          ; DR1: read or write
  TRY .r9
  mov eax, [cell]
.after9:
  int 0x2f
.r9:
  CHECK_FAULT "read breakpoint", 1, 0xeeee
  CHECK "read breakpoint is a trap", [f_eip], .after9
  CLEAR_DR6
  mov eax, cell + 8
  mov dr2, eax
  DR7 0x43c | (0xf << 20) | (0xd << 24)
  mov esi, cell
  mov edi, cell + 8
  TRY .r10
  movsd
.after10:
  int 0x2f
.r10:
  CHECK "two breakpoints at once", [f_eip], .after10
  CHECK_DR6 "two breakpoints set two bits", 6
  mov eax, 0x4001
  mov dr6, eax
  TRY .r10a
  mov al, [cell]
  int 0x2f
.r10a:
  CHECK_DR6 "B0 to B3 are of the last exception, BS stays", 0x4002
  DR7 0x400
  CLEAR_DR6
  TRY .r11
  mov dword [cell], 1
  int 0x2f
.r11:
  CHECK "disabled breakpoints do nothing", [f_vec], 0x2f
; -- single step
  TRY .r12
  pushfd
  or dword [esp], 0x100
  popfd
  nop
.after12:
  int 0x2f
.r12:
  CHECK_FAULT "single step", 1, 0xeeee
  CHECK "the first step is after the instruction that follows POPF", [f_eip], .after12
  CHECK_DR6 "single step sets BS", 0x4000
  mov ebx, [f_flags]
  and ebx, 0x100
  CHECK "single step saves TF set", ebx, 0x100
  pushfd
  pop ebx
  and ebx, 0x100
  CHECK "the handler runs with TF clear", ebx, 0
  CLEAR_DR6
  TRY .r13
  mov bx, ss
  pushfd
  or dword [esp], 0x100
  popfd
  mov ss, bx
  nop
.after13:
  nop
  int 0x2f
.r13:
  CHECK "MOV SS holds the step back", [f_eip], .after13
  CLEAR_DR6
  TRY .r14
  pushfd
  or dword [esp], 0x100
  popfd
  int 0x2f
.r14:
  CHECK "INT is not stepped", [f_vec], 0x2f
  CHECK_DR6 "INT is not stepped: no BS", 0
  TRY .r15
  pushfd
  or dword [esp], 0x100
  popfd
  jmp .target15
  nop
.target15:
  nop
.r15:
  CHECK "step over a jump", [f_eip], .target15
; -- general detect
  CLEAR_DR6
  DR7 0x2400
  TRY .r16
.gd:
  mov eax, dr0
.r16:
  CHECK_FAULT "general detect", 1, 0xeeee
  CHECK "general detect is a fault", [f_eip], .gd
  CHECK_DR6 "general detect sets BD", 0x2000
  mov ebx, dr7
  and ebx, 0x2000
  CHECK "general detect switches itself off", ebx, 0
; -- I/O breakpoints and DR4/DR5
  mov ebx, dr4
  mov ecx, dr6
  CHECK "DR4 is DR6 without DE", ebx, ecx
  mov eax, cr4
  or al, 8
  mov cr4, eax
  TRY .r17
  mov eax, dr4
.r17:
  CHECK_FAULT "DR4 with DE", 6, 0xeeee
  CLEAR_DR6
  mov eax, 0x80
  mov dr3, eax
  DR7 0x4c0 | (2 << 28)
  TRY .r18
  in al, 0x81
  out 0x80, al
.after18:
  int 0x2f
.r18:
  CHECK_FAULT "I/O breakpoint", 1, 0xeeee
  CHECK "I/O breakpoint is a trap", [f_eip], .after18
  CHECK_DR6 "I/O breakpoint sets B3", 8
  DR7 0x400
  CLEAR_DR6
; -- ICEBP, INT3, INTO
  TRY .r19
  db 0xf1
.after19:
  nop
.r19:
  CHECK_FAULT "ICEBP", 1, 0xeeee
  CHECK "ICEBP is a trap", [f_eip], .after19
  CHECK_DR6 "ICEBP leaves DR6 alone", 0
  mov word [cell], ss
  mov eax, cell
  mov dr1, eax
  DR7 0x40c | (0xf << 20)          ; DR1: read or write
  TRY .r19a
  mov ss, [cell]
  db 0xf1
.after19a:
  nop
.r19a:
  CHECK "ICEBP after MOV SS with a watchpoint", [f_eip], .after19a
  CHECK_DR6 "the watchpoint's trap is the same exception", 2
  DR7 0x400
  CLEAR_DR6
  TRY .r20
  int3
.after20:
  nop
.r20:
  CHECK_FAULT "INT3", 3, 0xeeee
  CHECK "INT3 is a trap", [f_eip], .after20
  TRY .r21
  mov al, 0x7f
  inc al
  into
.after21:
  nop
.r21:
  CHECK_FAULT "INTO", 4, 0xeeee
  CHECK "INTO is a trap", [f_eip], .after21
  TRY .r22
  mov eax, user_dr
  jmp to_user
.r22:
  CHECK_FAULT "MOV from DR in ring 3", 13, 0
  mov eax, cr0
  or eax, 0x40000
  mov cr0, eax
  mov dword [user_flags], 0x40002
  TRY .r23
  mov eax, user_unaligned
  jmp to_user
.r23:
  CHECK_FAULT "alignment check", 17, 0
  mov dword [user_flags], 2
  TRY .r24
  mov eax, user_unaligned
  jmp to_user
.r24:
  CHECK "no alignment check without AC", [f_vec], 0x2f
  mov dword [user_flags], 0x40002
  TRY .r25
  mov eax, user_aligned
  jmp to_user
.r25:
  CHECK "aligned access with AC", [f_vec], 0x2f
  jmp finish

user_dr:
  mov eax, dr0
user_unaligned:
  mov eax, [cell + 1]
  int 0x2f
user_aligned:
  mov eax, [cell]
  mov ax, [cell + 2]
  mov al, [cell + 3]
  int 0x2f

align 16
; The handler of the push test pushes here.
times 64 dd 0
cell: dd 0, 0, 0, 0
t_ecx: dd 0
%include "footer.inc"
