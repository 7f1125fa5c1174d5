import RFB, { type RawChannel } from '@novnc/novnc';
import { renderingOf, type Scaling, scaleOf, type Smoothing } from './scale.ts';

/** noVNC with our scales: exact also at fractional device pixel ratios, and whole factors. */
export class ConsoleRfb extends RFB {
  private scaling: Scaling = 'fit';
  private smoothing: Smoothing = 'auto';

  constructor(target: HTMLElement, channel: RawChannel) {
    super(target, channel, { shared: true });
    // Reachable by Tab; the release chord leads out again.
    this._canvas.tabIndex = 0;
  }

  setScale(scaling: Scaling, smoothing: Smoothing): void {
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

  get canvas(): HTMLCanvasElement {
    return this._canvas;
  }

  /** The element that scrolls when the picture is larger than the window. */
  get frame(): HTMLElement {
    return this._screen;
  }
}
