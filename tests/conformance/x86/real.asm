; Real mode, unreal mode, and the way there from protected mode and back. SDM volume 3 sections 9.9 and 20.1.
%include "harness.inc"
S_BIG16 equ 0x40
  DESC 0x300000, 0xfffff, 0x93, 0x8   ; 40: 4 GiB limit
gdt_end:

main:
  ; IVT: every vector saves itself
  xor edi, edi
  mov ecx, 256
.ivt:
  mov eax, (0x1000 << 16) | R16(real_handler)
  stosd
  loop .ivt
  mov dword [13 * 4], (0x1000 << 16) | R16(real_gp)
  mov dword [0 * 4], (0x1000 << 16) | R16(real_de)
  mov dword [0x40 * 4], (0x1000 << 16) | R16(real_int40)
  mov dword [0x400000], 0x31415926
  mov dword [0x110000], 0x27182818
  sgdt [table]
  mov ebx, [table + 2]
  CHECK "SGDT stores the base", ebx, gdt
  movzx ebx, word [table]
  CHECK "SGDT stores the limit", ebx, gdt_end - gdt - 1
  lidt [real_idtr]
  mov ax, S_BIG16
  mov fs, ax
  jmp CODE16:R16(to_real)
bits 16
to_real:
  mov ax, DATA16
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov gs, ax
  mov eax, cr0
  and al, 0xfe
  mov cr0, eax
  jmp 0x1000:R16(in_real)
in_real:
  mov ax, 0x1000
  mov ds, ax
  xor ax, ax
  mov ss, ax
  mov es, ax
  mov esp, 0x6000
  ; interrupts
  sti
  stc
  mov [R16(r_sp)], sp
  int 0x40
  pushf
  pop word [R16(r_flags_after)]
  cli
  mov [R16(r_sp_after)], sp
  ; faults
  mov word [R16(r_vec)], 0
.wrap:
  mov ax, [0xffff]
.wrap_end:
  mov ax, [R16(r_vec)]
  mov [R16(r_wrap_vec)], ax
  mov word [R16(r_vec)], 0
  xor bx, bx
.div:
  div bx
.div_end:
  mov ax, [R16(r_vec)]
  mov [R16(r_div_vec)], ax
  mov word [R16(r_vec)], 0
  mov word [R16(r_skip)], .far_end - .far
.far:
  jmp dword 0x30000
.far_end:
  mov ax, [R16(r_vec)]
  mov [R16(r_far_vec)], ax
  ; code segment is writable
  mov word [cs:R16(r_cs_write)], 0x55aa
  ; unreal: FS kept base and limit of the descriptor
  mov eax, [fs:dword 0x100000]
  mov [R16(r_unreal)], eax
  mov ax, 0x1000
  mov fs, ax
  mov eax, [fs:dword 0x100000]
  mov [R16(r_unreal2)], eax
  ; 32-bit operands on the 16-bit stack
  mov esp, 0x12346000
  push dword 0x89abcdef
  mov [R16(r_esp32)], esp
  pop eax
  mov [R16(r_pop32)], eax
  mov esp, 0x6000
  ; relocated vector table
  mov dword [es:0x5000 + 0x41 * 4], (0x1000 << 16) | R16(real_int41)
  o32 lidt [R16(moved_idtr)]
  int 0x41
  o32 lidt [R16(real_idtr)]
  ; sreg moves
  mov ax, 0x4321
  mov es, ax
  mov [R16(r_es)], es
  les bx, [R16(pointer)]
  mov [R16(r_les)], es
  mov [R16(r_les_off)], bx
  smsw [R16(r_smsw)]
  ; A20
  mov ax, 0xffff
  mov es, ax
  mov ax, [es:0x10]
  mov [R16(r_a20)], ax
  ; LMSW sets PE
  o32 lgdt [cs:R16(gdtr)]
  o32 lidt [cs:R16(idtr)]
  smsw ax
  or al, 1
  lmsw ax
  smsw ax
  and al, 0xfe
  lmsw ax
  smsw [R16(r_lmsw)]
  jmp dword CODE32:back
bits 32
back:
  mov ax, DATA32
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov fs, ax
  mov gs, ax
  mov esp, STACK0
  movzx ebx, word [r_frame_flags]
  and ebx, 0x201
  CHECK "INT pushes FLAGS", ebx, 0x201
  CHECK "INT pushes CS", [r_frame_cs], 0x1000
  CHECK "INT takes 6 bytes", [r_frame_size], 6
  movzx ebx, word [r_flags_in]
  and ebx, 0x200
  CHECK "INT clears IF", ebx, 0
  movzx ebx, word [r_flags_after]
  and ebx, 0x201
  CHECK "IRET restores FLAGS", ebx, 0x201
  movzx ebx, word [r_sp_after]
  CHECK "IRET restores SP", ebx, 0x6000
  movzx ebx, word [r_wrap_vec]
  CHECK "word at FFFF raises 13", ebx, 13
  movzx ebx, word [r_gp_ip]
  CHECK "its IP is that of the instruction", ebx, R16(in_real.wrap)
  movzx ebx, word [r_div_vec]
  CHECK "DIV by zero raises 0", ebx, 0x100
  movzx ebx, word [r_de_ip]
  CHECK "its IP is that of the DIV", ebx, R16(in_real.div)
  movzx ebx, word [r_far_vec]
  CHECK "jump beyond 64 KiB raises 13", ebx, 13
  movzx ebx, word [r_cs_write]
  CHECK "code segment is writable", ebx, 0x55aa
  CHECK "unreal mode: base and limit stay", [r_unreal], 0x31415926
  CHECK "unreal mode: a load changes the base, not the limit", [r_unreal2], 0x27182818
  CHECK "32-bit push on a 16-bit stack", [r_esp32], 0x12345ffc
  CHECK "32-bit pop on a 16-bit stack", [r_pop32], 0x89abcdef
  movzx ebx, word [r_moved]
  CHECK "LIDT moves the vector table", ebx, 0x4141
  movzx ebx, word [r_es]
  CHECK "MOV to and from ES", ebx, 0x4321
  movzx ebx, word [r_les]
  CHECK "LES loads the selector", ebx, 0x1111
  movzx ebx, word [r_les_off]
  CHECK "LES loads the offset", ebx, 0x2222
  movzx ebx, word [r_smsw]
  and ebx, 1
  CHECK "PE is clear in real mode", ebx, 0
  movzx ebx, word [r_lmsw]
  and ebx, 1
  CHECK "LMSW cannot clear PE", ebx, 1
  movzx ebx, word [r_a20]
  movzx ecx, word [0x100000]
  CHECK "FFFF:0010 is 1 MiB with A20 on", ebx, ecx
  mov ebx, cs
  CHECK "back in protected mode", ebx, CODE32
  jmp finish

bits 16
real_handler:
  mov word [cs:R16(r_vec)], 0xff
  iret
real_int40:
  push bp
  mov bp, sp
  pushf
  pop word [cs:R16(r_flags_in)]
  push ax
  mov ax, [bp + 6]
  mov [cs:R16(r_frame_flags)], ax
  mov ax, [bp + 4]
  mov [cs:R16(r_frame_cs)], ax
  mov ax, [cs:R16(r_sp)]
  sub ax, bp
  sub ax, 2
  mov [cs:R16(r_frame_size)], ax
  pop ax
  pop bp
  iret
real_int41:
  mov word [cs:R16(r_moved)], 0x4141
  iret
; #GP: notes IP and goes on behind the instruction (3 bytes, or r_skip)
real_gp:
  push bp
  mov bp, sp
  push ax
  mov word [cs:R16(r_vec)], 13
  mov ax, [bp + 2]
  cmp word [cs:R16(r_skip)], 3
  jne .keep
  mov [cs:R16(r_gp_ip)], ax
.keep:
  add ax, [cs:R16(r_skip)]
  mov [bp + 2], ax
  pop ax
  pop bp
  iret
real_de:
  push bp
  mov bp, sp
  push ax
  mov word [cs:R16(r_vec)], 0x100
  mov ax, [bp + 2]
  mov [cs:R16(r_de_ip)], ax
  add word [bp + 2], 2
  pop ax
  pop bp
  iret
bits 32

align 4
pointer: dw 0x2222, 0x1111
moved_idtr: dw 0x3ff
  dd 0x5000
table: times 8 db 0
align 4
r_frame_cs: dd 0
r_frame_size: dd 0
r_unreal: dd 0
r_unreal2: dd 0
r_esp32: dd 0
r_pop32: dd 0
r_sp: dw 0
r_sp_after: dw 0
r_flags_in: dw 0
r_flags_after: dw 0
r_frame_flags: dw 0
r_vec: dw 0
r_skip: dw 3
r_wrap_vec: dw 0
r_div_vec: dw 0
r_far_vec: dw 0
r_gp_ip: dw 0
r_de_ip: dw 0
r_cs_write: dw 0
r_moved: dw 0
r_es: dw 0
r_les: dw 0
r_les_off: dw 0
r_smsw: dw 0
r_lmsw: dw 0
r_a20: dw 0
%include "footer.inc"
