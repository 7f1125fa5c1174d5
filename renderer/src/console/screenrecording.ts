import { saidError } from '../connection/saiderror.ts';
import type { ViewerHello } from '../../../core/contract/console.ts';
import type { ByteChannel } from '../../../core/contract/transport.ts';
import { RfbChannel } from '../connection/rfbchannel.ts';
import type { ConsoleRfb } from './consolerfb.ts';

/** Pictures a second of the video. */
const FRAMES = 25;
/** A guest that begins in a small text mode mostly goes on to a larger one: the video is at least so large. */
const LEAST = { width: 1024, height: 768 };
const RETRY_MS = 1000;
/** The machine may be restarting its picture; after so many attempts in vain the recording ends. */
const MAX_RETRIES = 10;
const FIRST_PICTURE_MS = 10_000;

export interface RecordingParts {
  open(hello: ViewerHello): Promise<ByteChannel>;
  /** What other viewers see. */
  viewer: string;
  /** The machine has gone: called once, not after `stop`. */
  ended(): void;
  /** The machine still runs. */
  alive(): boolean;
}

/** A video of a machine's screen, from a viewer of its own that nobody sees. */
export class ScreenRecording {
  private readonly parts: RecordingParts;
  private readonly canvas = document.createElement('canvas');
  private readonly stage = document.createElement('div');
  private readonly chunks: Blob[] = [];
  private readonly hello: ViewerHello;
  private rfb: ConsoleRfb | null = null;
  private recorder: MediaRecorder | null = null;
  private timer: ReturnType<typeof setInterval> | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private over = false;
  private retries = 0;

  private constructor(parts: RecordingParts) {
    this.parts = parts;
    const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
    this.hello = { key, name: parts.viewer, looking: true, recording: true };
  }

  static available(): boolean {
    return (
      typeof MediaRecorder !== 'undefined' && 'captureStream' in HTMLCanvasElement.prototype && MediaRecorder.isTypeSupported('video/webm')
    );
  }

  /** Resolves when the first picture is there. Rejects when the machine shows none. */
  static async start(parts: RecordingParts): Promise<ScreenRecording> {
    const recording = new ScreenRecording(parts);
    // Out of sight, but laid out: noVNC draws as anywhere else.
    Object.assign(recording.stage.style, {
      position: 'fixed',
      left: '-10000px',
      top: '0',
      width: '640px',
      height: '480px',
      visibility: 'hidden',
    });
    recording.stage.setAttribute('aria-hidden', 'true');
    document.body.append(recording.stage);
    try {
      await recording.connect();
      const picture = await recording.firstPicture();
      recording.record(picture);
    } catch (error) {
      recording.release();
      throw error;
    }
    return recording;
  }

  /** Ends it and gives the video, a WebM file. */
  async stop(): Promise<Blob> {
    const { recorder } = this;
    if (recorder && recorder.state !== 'inactive') {
      const stopped = new Promise((resolve) => recorder.addEventListener('stop', resolve, { once: true }));
      recorder.stop();
      await stopped;
    }
    this.release();
    return new Blob(this.chunks, { type: 'video/webm' });
  }

  private async connect(): Promise<void> {
    const { ConsoleRfb: Rfb } = await import('./consolerfb.ts');
    const raw = new RfbChannel(await this.parts.open(this.hello));
    const rfb = new Rfb(this.stage, raw);
    rfb.viewOnly = true;
    rfb.canvas.tabIndex = -1;
    rfb.addEventListener('connect', () => (this.retries = 0));
    rfb.addEventListener('disconnect', () => {
      if (this.rfb === rfb) this.rfb = null;
      if (!this.over) this.reconnect();
    });
    this.rfb = rfb;
    raw.start();
  }

  private reconnect(): void {
    if (this.over) return;
    if (!this.parts.alive() || this.retries++ >= MAX_RETRIES) {
      this.over = true;
      this.parts.ended();
      return;
    }
    this.retry = setTimeout(() => {
      if (!this.over) this.connect().catch(() => this.reconnect());
    }, RETRY_MS);
  }

  private async firstPicture(): Promise<HTMLCanvasElement> {
    const deadline = Date.now() + FIRST_PICTURE_MS;
    while (!this.rfb || this.rfb.canvas.width === 0) {
      if (Date.now() > deadline) throw saidError('invalid-state', ['noPicture'], { operation: 'record' });
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    return this.rfb.canvas;
  }

  private record(picture: HTMLCanvasElement): void {
    const { canvas } = this;
    // Encoders want even sizes.
    canvas.width = Math.ceil(Math.max(picture.width, LEAST.width) / 2) * 2;
    canvas.height = Math.ceil(Math.max(picture.height, LEAST.height) / 2) * 2;
    const context = canvas.getContext('2d', { alpha: false })!;
    const draw = () => {
      const source = this.rfb?.canvas;
      if (!source || source.width === 0) return;
      // The size of a video can't change: what is larger is made smaller, what is smaller stands in the middle.
      const scale = Math.min(1, canvas.width / source.width, canvas.height / source.height);
      const width = Math.round(source.width * scale);
      const height = Math.round(source.height * scale);
      context.fillStyle = '#000';
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.imageSmoothingEnabled = scale < 1;
      context.drawImage(source, Math.floor((canvas.width - width) / 2), Math.floor((canvas.height - height) / 2), width, height);
    };
    draw();
    this.timer = setInterval(draw, 1000 / FRAMES);
    const recorder = new MediaRecorder(canvas.captureStream(FRAMES), { mimeType: 'video/webm', videoBitsPerSecond: 4_000_000 });
    recorder.addEventListener('dataavailable', ({ data }) => {
      if (data.size > 0) this.chunks.push(data);
    });
    // Pieces, so that the browser can put them on disk.
    recorder.start(1000);
    this.recorder = recorder;
  }

  private release(): void {
    this.over = true;
    clearInterval(this.timer);
    clearTimeout(this.retry);
    for (const track of this.recorder?.stream.getTracks() ?? []) track.stop();
    this.rfb?.disconnect();
    this.rfb = null;
    this.stage.remove();
  }
}
