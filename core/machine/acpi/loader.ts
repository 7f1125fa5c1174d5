/**
 * QEMU's table loader: a list of commands by which the firmware puts files of tables into memory, relocates them and sums them up.
 * Spec: QEMU, hw/acpi/bios-linker-loader.c (format comment); SeaBIOS, src/fw/romfile_loader.h. All fields little-endian, 128 bytes a command.
 *
 *   u32 command; 1 allocate:     file[56], u32 alignment, u8 zone
 *                2 add pointer:  destination file[56], source file[56], u32 offset, u8 size
 *                3 add checksum: file[56], u32 offset of the sum, u32 start, u32 length
 */
const COMMAND_BYTES = 128;
const FILE_BYTES = 56;
const ALLOCATE = 1;
const ADD_POINTER = 2;
const ADD_CHECKSUM = 3;

/** High memory for tables; the segment F0000 for what is searched there. */
export const ZONE_HIGH = 1;
export const ZONE_FSEG = 2;

export class TableLoader {
  private readonly commands: Uint8Array[] = [];

  /** Every file must be allocated before it is pointed to. */
  allocate(file: string, alignment: number, zone: typeof ZONE_HIGH | typeof ZONE_FSEG): void {
    const view = this.command(ALLOCATE, file);
    view.setUint32(4 + FILE_BYTES, alignment, true);
    view.setUint8(4 + FILE_BYTES + 4, zone);
  }

  /** Adds the address of `source` to the `size` bytes at `offset` of `destination`, which hold an offset into `source`. */
  addPointer(destination: string, offset: number, size: 4 | 8, source: string): void {
    const view = this.command(ADD_POINTER, destination, source);
    view.setUint32(4 + 2 * FILE_BYTES, offset, true);
    view.setUint8(4 + 2 * FILE_BYTES + 4, size);
  }

  /** Makes the bytes `start`..`start + length` of `file` add up to 0 by the byte at `offset`, which must be 0 until then. */
  addChecksum(file: string, offset: number, start: number, length: number): void {
    const view = this.command(ADD_CHECKSUM, file);
    view.setUint32(4 + FILE_BYTES, offset, true);
    view.setUint32(4 + FILE_BYTES + 4, start, true);
    view.setUint32(4 + FILE_BYTES + 8, length, true);
  }

  bytes(): Uint8Array {
    const all = new Uint8Array(this.commands.length * COMMAND_BYTES);
    this.commands.forEach((command, index) => {
      all.set(command, index * COMMAND_BYTES);
    });
    return all;
  }

  private command(code: number, ...files: string[]): DataView {
    const bytes = new Uint8Array(COMMAND_BYTES);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, code, true);
    files.forEach((file, index) => {
      bytes.set(new TextEncoder().encode(file).subarray(0, FILE_BYTES - 1), 4 + index * FILE_BYTES);
    });
    this.commands.push(bytes);
    return view;
  }
}
