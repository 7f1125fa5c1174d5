import RFB, { type RawChannel } from '@novnc/novnc';

/** noVNC with an exact scale: one guest pixel is one device pixel, also at fractional device pixel ratios. */
export class ConsoleRfb extends RFB {
  constructor(target: HTMLElement, channel: RawChannel) {
    super(target, channel, { shared: true });
  }

  protected override _updateScale(): void {
    super._updateScale();
    if (!this._scaleViewport) this._display.scale = 1 / window.devicePixelRatio;
    // Enlarged pixels by whole factors stay sharp; between them smoothing looks better.
    const factor = this._display.scale * window.devicePixelRatio;
    this._canvas.style.imageRendering = factor >= 1 && Math.abs(factor - Math.round(factor)) < 0.01 ? 'pixelated' : 'auto';
  }

  get canvas(): HTMLCanvasElement {
    return this._canvas;
  }
}
