import type { Disposable } from '../util/disposable.ts';

export interface Rect {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** A hardware cursor image, or undefined when the guest draws its own. */
export interface CursorImage {
  width: number;
  height: number;
  hotX: number;
  hotY: number;
  /** 0xAABBGGRR as in a canvas: little-endian bytes R,G,B,A; width*height entries. */
  rgba: Uint32Array;
}

/**
 * A picture that viewers look at: the VGA's scan-out on one side, RFB server, screenshots and thumbnails on the other.
 * Pixels are u32 0x00RRGGBB, row-major without padding (`width * height` entries). The array is replaced on resize.
 */
export interface DisplaySource {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint32Array;
  readonly cursor: CursorImage | undefined;
  /** Brings `pixels` up to date now and reports what changed to `onDamage` listeners before returning. */
  refresh(): void;
  /** Rectangles lie inside the picture. */
  onDamage(listener: (rects: readonly Rect[]) => void): Disposable;
  onResize(listener: (width: number, height: number) => void): Disposable;
  onCursor(listener: () => void): Disposable;
  /** Tells the source that somebody is looking: it refreshes by itself (about 30-60 times a second) until disposed. */
  attachViewer(): Disposable;
}

/** Where viewers' input goes. */
export interface InputSink {
  /** `code` is an XT set-1 make code as in RFC 6143's QEMU extension: 0x00-0x7f, 0xe0-prefixed keys as 0x80|code. */
  keyScancode(code: number, down: boolean): void;
  /** Buttons: bit 0 left, 1 middle, 2 right, 3 wheel up, 4 wheel down, 5 wheel left, 6 wheel right. x, y in pixels of the picture. */
  pointerAbsolute(x: number, y: number, buttons: number): void;
  pointerRelative(dx: number, dy: number, buttons: number): void;
  /** True when the guest uses an absolute pointing device, so viewers may send absolute positions. */
  readonly absolute: boolean;
  onPointerModeChange(listener: (absolute: boolean) => void): Disposable;
  /** Lock lights as the guest set them: bit 0 scroll, 1 num, 2 caps. */
  readonly leds: number;
  onLedsChange(listener: (leds: number) => void): Disposable;
}
