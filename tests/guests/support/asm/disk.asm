; Boot sector of a disk: reads sector 2 through INT 13h and says it on COM1, then writes it to sector 3. EDD functions 42h and 43h.
org 0x7c00
bits 16
  xor ax, ax
  mov ds, ax
  mov es, ax
  mov ss, ax
  mov sp, 0x7c00
  mov [drive], dl
  mov ah, 0x42
  call disk
  mov si, 0x8000
  call say
  mov dword [packet + 8], 3
  mov ax, 0x4300
  call disk
  mov si, good
  call say
stop:
  hlt
  jmp stop

disk:
  mov si, packet
  mov dl, [drive]
  int 0x13
  jc .bad
  ret
.bad:
  mov si, wrong
  call say
  jmp stop

say:
  lodsb
  or al, al
  jz .end
  mov dx, 0x3f8
  out dx, al
  jmp say
.end:
  ret

good: db ' WRITTEN', 10, 0
wrong: db ' BAD', 10, 0
drive: db 0
align 4
packet:
  db 16, 0
  dw 1, 0x8000, 0
  dq 2
times 510 - ($ - $$) db 0
dw 0xaa55
