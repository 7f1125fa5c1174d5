/** Numbers and structures of a VirtIO display. Virtual I/O Device (VIRTIO) version 1.2, section 5.7. All numbers are little-endian. */

/** Feature bit, section 5.7.3. */
export const F_EDID = 1;

/** Requests, section 5.7.6.7. */
export const CMD_GET_DISPLAY_INFO = 0x0100;
export const CMD_RESOURCE_CREATE_2D = 0x0101;
export const CMD_RESOURCE_UNREF = 0x0102;
export const CMD_SET_SCANOUT = 0x0103;
export const CMD_RESOURCE_FLUSH = 0x0104;
export const CMD_TRANSFER_TO_HOST_2D = 0x0105;
export const CMD_RESOURCE_ATTACH_BACKING = 0x0106;
export const CMD_RESOURCE_DETACH_BACKING = 0x0107;
export const CMD_GET_EDID = 0x010a;
export const CMD_UPDATE_CURSOR = 0x0300;
export const CMD_MOVE_CURSOR = 0x0301;

/** Answers. */
export const OK_NODATA = 0x1100;
export const OK_DISPLAY_INFO = 0x1101;
export const OK_EDID = 0x1104;
export const ERR_UNSPEC = 0x1200;
export const ERR_OUT_OF_MEMORY = 0x1201;
export const ERR_INVALID_SCANOUT_ID = 0x1202;
export const ERR_INVALID_RESOURCE_ID = 0x1203;
export const ERR_INVALID_PARAMETER = 0x1205;

/** Header of requests and answers: {u32 type, u32 flags, u64 fence, u32 context, u8 ring, u8 padding[3]}. */
export const HEADER_BYTES = 24;
export const FLAG_FENCE = 1;
/** Longest request but for the entries of ATTACH_BACKING: header, rectangle, u64 offset, two words. */
export const REQUEST_BYTES = 56;

/** Answer to GET_DISPLAY_INFO: 16 of {rectangle, u32 enabled, u32 flags} behind the header. */
export const DISPLAY_INFO_BYTES = HEADER_BYTES + 16 * 24;
/** Answer to GET_EDID: u32 size, u32 padding, and 1024 bytes behind the header. */
export const EDID_ANSWER_BYTES = HEADER_BYTES + 8 + 1024;

/** {u64 address, u32 length, u32 padding}. */
export const BACKING_ENTRY_BYTES = 16;

/** Device configuration, section 5.7.4: u32 events_read, u32 events_clear, u32 num_scanouts, u32 num_capsets. */
export const CONFIG_BYTES = 16;
export const CONFIG_EVENTS_READ = 0;
export const CONFIG_EVENTS_CLEAR = 4;
export const CONFIG_SCANOUTS = 8;
export const EVENT_DISPLAY = 1;

/** Pixels. */
export interface GpuRect {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** {u32 x, u32 y, u32 width, u32 height}. */
export function readRect(view: DataView, at: number): GpuRect {
  const word = (index: number) => view.getUint32(at + index * 4, true);
  return { x: word(0), y: word(1), width: word(2), height: word(3) };
}
