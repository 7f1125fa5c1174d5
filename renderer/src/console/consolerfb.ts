import RFB, { type RawChannel } from '@novnc/novnc';
import { pictureFor, renderingOf, type Scaling, scaleOf, type Smoothing } from './scale.ts';

/** A window that is being dragged asks for a size when it has kept it for so long. */
const steadyMs = 250;

/** noVNC with our scales: exact also at fractional device pixel ratios, and whole factors; sizes that the guest is asked for count pixels of the screen. */
export class ConsoleRfb extends RFB {
  private scaling: Scaling = 'fit';
  private smoothing: Smoothing = 'auto';
  private wish: ReturnType<typeof setTimeout> | undefined;

  constructor(target: HTMLElement, channel: RawChannel) {
    super(target, channel, { shared: true });
    // Reachable by Tab; the release chord leads out again.
    this._canvas.tabIndex = 0;
  }

  /** `followed`: the guest is asked for a picture of the window's size. */
  setScale(scaling: Scaling, smoothing: Smoothing, followed: boolean): void {
    // Only when it becomes so: setting it asks at once.
    if (this.resizeSession !== followed) this.resizeSession = followed;
    this.scaling = scaling;
    this.smoothing = smoothing;
    // noVNC only scales along with the window when it thinks that it fits the picture in.
    this.scaleViewport = scaling !== 'exact';
  }

  protected override _updateScale(): void {
    const ratio = window.devicePixelRatio;
    const { width, height } = this._screen.getBoundingClientRect();
    const scale = scaleOf(this.scaling, this._canvas, { width, height }, ratio);
    this._display.scale = scale;
    this._canvas.style.imageRendering = renderingOf(this.smoothing, scale, ratio);
    this._fixScrollbars();
  }

  protected override _requestRemoteResize(): void {
    clearTimeout(this.wish);
    this.wish = setTimeout(() => super._requestRemoteResize(), steadyMs);
  }

  protected override _screenSize(): { w: number; h: number } {
    const { width, height } = this._screen.getBoundingClientRect();
    return pictureFor({ width, height }, window.devicePixelRatio);
  }

  override disconnect(): void {
    clearTimeout(this.wish);
    super.disconnect();
  }

  get canvas(): HTMLCanvasElement {
    return this._canvas;
  }

  /** The element that scrolls when the picture is larger than the window. */
  get frame(): HTMLElement {
    return this._screen;
  }
}
