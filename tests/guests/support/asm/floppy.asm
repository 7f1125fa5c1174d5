; Boot sector of a floppy: reads the last sector of the disk by the geometry in its BIOS parameter block, as DOS does, and says what it found
; on the screen: the text that the sector begins with. It is assembled with CYLINDERS, HEADS and SECTORS defined.
        bits 16
        org 0x7c00
        jmp short start
        nop
        db 'HYPERVUE'
        dw 512                  ; bytes a sector
        db 1
        dw 1
        db 2
        dw 224
        dw CYLINDERS * HEADS * SECTORS
        db 0xf0
        dw 9
        dw SECTORS
        dw HEADS
        dd 0
start:  xor ax, ax
        mov ds, ax
        mov es, ax
        mov ss, ax
        mov sp, 0x7c00
        mov si, hello
        call print
        mov ah, 0               ; reset the drive
        int 0x13
        mov ax, 0x0201          ; read one sector
        mov bx, buffer
        mov cx, ((CYLINDERS - 1) << 8) | SECTORS
        mov dx, (HEADS - 1) << 8
        int 0x13
        jc failed
        mov si, buffer
        call print
        mov ax, 0x0301          ; write it back one sector before
        mov bx, buffer
        mov cx, ((CYLINDERS - 1) << 8) | (SECTORS - 1)
        mov dx, (HEADS - 1) << 8
        int 0x13
        jc failed
        mov si, done
        call print
        jmp stop
failed: mov al, ah              ; status of INT 13h, two hexadecimal digits
        shr al, 4
        call digit
        mov al, ah
        and al, 15
        call digit
        mov si, error
        call print
stop:   sti
        hlt
        jmp stop
digit:  push ax
        cmp al, 10
        sbb al, 0x69
        das
        mov ah, 0x0e
        int 0x10
        pop ax
        ret
print:  lodsb
        test al, al
        jz .end
        mov ah, 0x0e
        mov bx, 7
        int 0x10
        jmp print
.end:   ret
hello:  db 'FLOPPY STARTS', 13, 10, 0
done:   db 13, 10, 'FLOPPY DONE', 13, 10, 0
error:  db ' IS AN ERROR', 13, 10, 0
        times 510 - ($ - $$) db 0
        dw 0xaa55
buffer  equ 0x8000
