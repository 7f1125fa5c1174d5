/**
 * Where a UEFI image keeps its variables: a firmware volume of the NVRAM kind at the image's start, which holds the variable store and the working space
 * of fault-tolerant writes. UEFI Platform Initialization Specification 1.7, volume 3, section 3.2.1 (EFI_FIRMWARE_VOLUME_HEADER).
 */
const HEADER_BYTES = 0x38;
const GUID = 0x10;
const LENGTH = 0x20;
const SIGNATURE = 0x28;
const SIGNATURE_FVH = 0x4856465f; // "_FVH"
/** EFI_SYSTEM_NV_DATA_FV_GUID, {FFF12B8D-7696-4C8B-A985-2747075B4F50}. */
const NVRAM_VOLUME = [0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50];

/** Bytes that the variables take at the start of `image`, a multiple of 4096; 0 when the image has no such volume. */
export function uefiVariableBytes(image: Uint8Array): number {
  if (image.length < HEADER_BYTES) return 0;
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  if (view.getUint32(SIGNATURE, true) !== SIGNATURE_FVH || NVRAM_VOLUME.some((byte, index) => image[GUID + index] !== byte)) return 0;
  const length = view.getUint32(LENGTH, true);
  const usable = view.getUint32(LENGTH + 4, true) === 0 && length >= 4096 && length <= image.length && length % 4096 === 0;
  return usable ? length : 0;
}
