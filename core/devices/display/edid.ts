/** The monitor's EDID block. Spec: VESA Enhanced EDID Standard, release A revision 2 (EDID 1.4), section 3. */

const HEADER = [0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];
export const EDID_BYTES = 128;

/** Standard timings (section 3.9): width and the code of the aspect ratio. */
const STANDARD: readonly (readonly [width: number, aspect: 0 | 1 | 2 | 3])[] = [
  [1920, 3],
  [1600, 0],
  [1680, 0],
  [1440, 0],
  [1280, 2],
  [1280, 3],
  [1152, 1],
  [1024, 1],
];

/** EDID of a monitor that prefers `width` x `height` at 60 Hz. */
export function buildEdid(width: number, height: number): Uint8Array {
  const edid = new Uint8Array(EDID_BYTES);
  edid.set(HEADER, 0);
  // Manufacturer "HVU" in five bits a letter, product 1, serial 1, week 1 of 2024.
  const letters = [...'HVU'].reduce((word, letter) => (word << 5) | (letter.charCodeAt(0) - 64), 0);
  edid.set([letters >> 8, letters & 0xff, 0x01, 0x00, 0x01, 0, 0, 0, 1, 2024 - 1990], 8);
  // EDID 1.4; digital input, 8 bits a colour; size in cm at 96 dots an inch; gamma 2.2; sRGB, preferred timing is native.
  const mmWidth = Math.round((width * 25.4) / 96);
  const mmHeight = Math.round((height * 25.4) / 96);
  edid.set([1, 4, 0xa0, Math.min(255, Math.round(mmWidth / 10)), Math.min(255, Math.round(mmHeight / 10)), 120, 0x06], 18);
  // Chromaticity of sRGB.
  edid.set([0xee, 0x91, 0xa3, 0x54, 0x4c, 0x99, 0x26, 0x0f, 0x50, 0x54], 25);
  // Established timings: 640x480, 800x600 and 1024x768 at 60 Hz.
  edid.set([0x21, 0x08, 0x00], 35);
  for (const [index, [standardWidth, aspect]] of STANDARD.entries()) edid.set([standardWidth / 8 - 31, aspect << 6], 38 + index * 2);
  edid.set(detailedTiming(width, height, mmWidth, mmHeight), 54);
  // Range limits: 50-125 Hz, 30-160 kHz, up to 330 MHz.
  edid.set([0, 0, 0, 0xfd, 0, 50, 125, 30, 160, 33, 0x01, 0x0a, 0x20, 0x20, 0x20, 0x20, 0x20, 0x20], 72);
  edid.set(textDescriptor(0xfc, 'Hypervue'), 90);
  edid.set([0, 0, 0, 0x10], 108);
  edid[127] = -edid.subarray(0, 127).reduce((sum, byte) => sum + byte, 0);
  return edid;
}

/** Section 3.10.2, with reduced blanking as in CVT-RB. */
function detailedTiming(width: number, height: number, mmWidth: number, mmHeight: number): number[] {
  const hBlank = 160;
  const hFront = 48;
  const hSync = 32;
  const vBlank = Math.max(23, Math.ceil(height * 0.03));
  const vFront = 3;
  const vSync = 6;
  const clock = Math.round(((width + hBlank) * (height + vBlank) * 60) / 10_000);
  return [
    clock & 0xff,
    clock >> 8,
    width & 0xff,
    hBlank & 0xff,
    ((width >> 8) << 4) | (hBlank >> 8),
    height & 0xff,
    vBlank & 0xff,
    ((height >> 8) << 4) | (vBlank >> 8),
    hFront,
    hSync,
    (vFront << 4) | vSync,
    0,
    mmWidth & 0xff,
    mmHeight & 0xff,
    ((mmWidth >> 8) << 4) | (mmHeight >> 8),
    0,
    0,
    0x18,
  ];
}

function textDescriptor(tag: number, text: string): number[] {
  const bytes = [0, 0, 0, tag, 0, ...Array.from(text, (letter) => letter.charCodeAt(0)), 0x0a];
  while (bytes.length < 18) bytes.push(0x20);
  return bytes;
}
