/**
 * The monitor: reads video memory and the published registers from shared memory and keeps a picture of 0x00RRGGBB pixels, that of a VirtIO display
 * (GpuScreen) while its driver shows one. It may run on any thread; the guest is never stopped for it. Nothing a guest can program makes it throw or read outside video memory.
 */
import type { CursorImage, DisplaySource, Rect } from '../../backend/display.ts';
import { DIRTY_DISPLAY, DIRTY_MAP_BASE, VRAM_BASE, VRAM_MAX } from '../../memory/layout.ts';
import { type Disposable, toDisposable } from '../../util/disposable.ts';
import { Emitter } from '../../util/emitter.ts';
import { packedColors, planarColors } from './colors.ts';
import { decodeMode, type ScreenMode } from './displaymode.ts';
import { RegisterReader } from './displayregs.ts';
import { GpuScreen } from './gpuscreen.ts';
import { LineChanges } from './linechanges.ts';
import { LineRenderer } from './linerenderer.ts';
import { TextRenderer } from './textrenderer.ts';

/** Shown before the guest programs a mode. */
const INITIAL_WIDTH = 720;
const INITIAL_HEIGHT = 400;
/** Pause between pictures while somebody looks: about 40 a second. */
const VIEWER_INTERVAL_MS = 25;

const DIRTY_WORD = DIRTY_DISPLAY * 0x01010101;

export interface VgaScanoutOptions {
  memory: WebAssembly.Memory;
  /** Milliseconds, for blinking. */
  now(): number;
  /** Number of attached viewers, whenever it changes. */
  setViewerCount?(count: number): void;
  /** A repeating timer; without one the picture changes on `refresh` only. */
  every?(ms: number, callback: () => void): Disposable;
}

export class VgaScanout implements DisplaySource {
  width = INITIAL_WIDTH;
  height = INITIAL_HEIGHT;
  pixels = new Uint32Array(INITIAL_WIDTH * INITIAL_HEIGHT);
  /** The VGA has none in graphics, and that of a VirtIO display is part of the picture. */
  readonly cursor: CursorImage | undefined = undefined;
  private readonly options: VgaScanoutOptions;
  private readonly regs: RegisterReader;
  private readonly gpu: GpuScreen;
  /** The picture is that of the VirtIO display. */
  private gpuShown = false;
  private readonly dirtyWords: Int32Array;
  /** Pages written since the last refresh. */
  private readonly pages = new Uint8Array(VRAM_MAX >>> 12);
  private readonly damage = new Emitter<readonly Rect[]>();
  private readonly resize = new Emitter<{ width: number; height: number }>();
  private current: ScreenMode = { kind: 'blank', width: INITIAL_WIDTH, height: INITIAL_HEIGHT };
  private packed = new Uint32Array(256);
  private planar = new Uint32Array(16);
  private line = new Uint32Array(INITIAL_WIDTH);
  private lineRenderer: LineRenderer | undefined;
  private textRenderer: TextRenderer | undefined;
  /** Attribute, CRTC, font and other registers that text drawing looks at itself. */
  private textRegisters = '';
  private vramBytes = 0;
  private registersSeen = false;
  private resized = false;
  private viewers = 0;
  private timer: Disposable | undefined;

  constructor(options: VgaScanoutOptions) {
    this.options = options;
    this.regs = new RegisterReader(options.memory);
    this.gpu = new GpuScreen(options.memory);
    this.dirtyWords = new Int32Array(options.memory.buffer, DIRTY_MAP_BASE + (VRAM_BASE >>> 12), VRAM_MAX >>> 14);
  }

  /** Size of the picture, whether it is text, and whether the guest's driver can be told another size. */
  mode(): { width: number; height: number; text: boolean; resizable: boolean } {
    if (this.gpu.look()) return { width: this.gpu.width, height: this.gpu.height, text: false, resizable: this.gpu.driven };
    this.regs.refresh();
    // The next refresh must still see what this look at the registers consumed.
    this.registersSeen = false;
    const mode = this.decode();
    return { width: mode.width, height: mode.height, text: mode.kind === 'text', resizable: this.gpu.driven };
  }

  refresh(): void {
    let rects = this.gpu.look() ? this.refreshGpu() : this.refreshVga();
    if (this.resized) {
      this.resized = false;
      this.resize.emit({ width: this.width, height: this.height });
      rects = [{ x: 0, y: 0, width: this.width, height: this.height }];
    }
    if (rects.length > 0) this.damage.emit(rects);
  }

  private refreshGpu(): Rect[] {
    const fresh = this.setSize(this.gpu.width, this.gpu.height) || !this.gpuShown;
    this.gpuShown = true;
    return this.gpu.draw(this.pixels, fresh);
  }

  private refreshVga(): Rect[] {
    if (this.gpuShown) {
      // Nothing of what was drawn is there any more.
      this.gpuShown = this.registersSeen = false;
      this.current = { kind: 'blank', width: 0, height: 0 };
    }
    const changed = this.regs.refresh() || !this.registersSeen;
    this.registersSeen = true;
    const full = changed && this.applyRegisters();
    const anyDirty = this.collectDirty();
    const mode = this.current;
    if (mode.kind === 'blank') return full ? this.drawBlank() : [];
    if (mode.kind === 'text') {
      const text = this.textRenderer!;
      const now = this.options.now();
      if (full) text.start(mode);
      return changed || anyDirty || text.phaseChanged(now) ? text.draw(this.regs, this.planar, this.pixels, now) : [];
    }
    return full || anyDirty ? this.drawLines(mode, full) : [];
  }

  onDamage(listener: (rects: readonly Rect[]) => void): Disposable {
    return this.damage.on(listener);
  }

  onResize(listener: (width: number, height: number) => void): Disposable {
    return this.resize.on(({ width, height }) => listener(width, height));
  }

  onCursor(_listener: () => void): Disposable {
    return toDisposable(() => {});
  }

  attachViewer(): Disposable {
    this.setViewers(this.viewers + 1);
    return toDisposable(() => this.setViewers(this.viewers - 1));
  }

  private setViewers(count: number): void {
    this.viewers = count;
    this.options.setViewerCount?.(count);
    if (count > 0) this.timer ??= this.options.every?.(VIEWER_INTERVAL_MS, () => this.refresh());
    else {
      this.timer?.dispose();
      this.timer = undefined;
    }
  }

  /** A dark screen keeps its size: guests darken it while they change modes. */
  private decode(): ScreenMode {
    const mode = decodeMode(this.regs);
    return mode.kind === 'blank' ? { kind: 'blank', width: this.width, height: this.height } : mode;
  }

  /** Takes over what the registers say; true when the whole picture has to be drawn again. */
  private applyRegisters(): boolean {
    const { regs } = this;
    const mode = this.decode();
    const memoryChanged = this.openMemory();
    const modeChanged = !sameMode(mode, this.current);
    this.current = mode;
    const packed = new Uint32Array(256);
    const planar = new Uint32Array(16);
    packedColors(regs, packed);
    planarColors(regs, packed, planar);
    const colorsChanged = !same(packed, this.packed) || !same(planar, this.planar);
    this.packed = packed;
    this.planar = planar;
    const textRegisters = mode.kind === 'text' ? `${regs.attribute.join()};${regs.crtc[0x14]}` : '';
    const textChanged = textRegisters !== this.textRegisters;
    this.textRegisters = textRegisters;
    return this.setSize(mode.width, mode.height) || modeChanged || memoryChanged || colorsChanged || textChanged;
  }

  /** True when it is another size; the picture is black then. */
  private setSize(width: number, height: number): boolean {
    if (width === this.width && height === this.height) return false;
    this.width = width;
    this.height = height;
    this.pixels = new Uint32Array(width * height);
    this.line = new Uint32Array(width);
    this.resized = true;
    return true;
  }

  private openMemory(): boolean {
    const vramBytes = Math.min(this.regs.vramBytes >>> 0, VRAM_MAX) & ~0xffff;
    if (vramBytes === this.vramBytes) return false;
    this.vramBytes = vramBytes;
    const vram = new Uint8Array(this.options.memory.buffer, VRAM_BASE, vramBytes);
    this.lineRenderer = new LineRenderer(vram);
    this.textRenderer = new TextRenderer(vram);
    return true;
  }

  /** Moves the display's dirty bits into `pages`; each bit is cleared before the memory is read. */
  private collectDirty(): boolean {
    const { dirtyWords, pages } = this;
    pages.fill(0);
    let any = false;
    const count = this.vramBytes >>> 14;
    for (let i = 0; i < count; i++) {
      if ((dirtyWords[i]! & DIRTY_WORD) === 0) continue;
      const bits = Atomics.and(dirtyWords, i, ~DIRTY_WORD) & DIRTY_WORD;
      for (let page = 0; page < 4; page++) if (bits & (DIRTY_DISPLAY << (page * 8))) pages[i * 4 + page] = 1;
      any = true;
    }
    return any;
  }

  private drawBlank(): Rect[] {
    if (this.pixels.every((pixel) => pixel === 0)) return [];
    this.pixels.fill(0);
    return [{ x: 0, y: 0, width: this.width, height: this.height }];
  }

  private drawLines(mode: Exclude<ScreenMode, { kind: 'blank' | 'text' }>, full: boolean): Rect[] {
    const renderer = this.lineRenderer!;
    const { line } = this;
    const changes = new LineChanges(this.pixels, this.width);
    let rendered = -1;
    let renderedPanning = -1;
    for (let y = 0; y < mode.height; y++) {
      const source = renderer.locate(mode, y);
      if (!full && !this.isDirty(source.byte, source.length)) {
        changes.keep();
        continue;
      }
      // Scan lines that repeat show the same memory.
      if (source.byte !== rendered || source.panning !== renderedPanning) renderer.render(mode, source, this.packed, this.planar, line);
      rendered = source.byte;
      renderedPanning = source.panning;
      changes.put(y, line);
    }
    return changes.rects;
  }

  private isDirty(byte: number, length: number): boolean {
    const { pages } = this;
    const count = this.vramBytes >>> 12;
    if (count === 0) return false;
    const last = (byte + length - 1) >>> 12;
    for (let page = byte >>> 12; page <= last; page++) if (pages[page % count]) return true;
    return false;
  }
}

function sameMode(a: ScreenMode, b: ScreenMode): boolean {
  const left = Object.entries(a);
  const right = b as unknown as { [key: string]: unknown };
  return left.length === Object.keys(b).length && left.every(([key, value]) => right[key] === value);
}

function same(a: Uint32Array, b: Uint32Array): boolean {
  return a.every((value, i) => value === b[i]);
}
