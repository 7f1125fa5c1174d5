/** The part of noVNC 1.7 (docs/API.md) that the console uses. */
declare module '@novnc/novnc' {
  export interface RawChannel {
    binaryType: string;
    readonly protocol: string;
    readonly readyState: number | string;
    onopen: ((event: unknown) => void) | null;
    onmessage: ((event: { data: ArrayBuffer }) => void) | null;
    onclose: ((event: { code?: number; reason?: string }) => void) | null;
    onerror: ((event: unknown) => void) | null;
    send(data: Uint8Array | ArrayBuffer): void;
    close(): void;
  }

  export default class RFB extends EventTarget {
    constructor(target: HTMLElement, channel: RawChannel, options?: { shared?: boolean; credentials?: { password?: string } });
    viewOnly: boolean;
    focusOnClick: boolean;
    clipViewport: boolean;
    scaleViewport: boolean;
    resizeSession: boolean;
    showDotCursor: boolean;
    background: string;
    qualityLevel: number;
    compressionLevel: number;
    disconnect(): void;
    sendCredentials(credentials: { password: string }): void;
    sendKey(keysym: number, code: string | null, down?: boolean): void;
    focus(options?: FocusOptions): void;
    blur(): void;
    /** Internal, overridden by ConsoleRfb; pinned by the exact version in package.json. */
    protected _display: { scale: number };
    protected _canvas: HTMLCanvasElement;
    protected _screen: HTMLElement;
    protected _updateScale(): void;
    protected _requestRemoteResize(): void;
    protected _screenSize(): { w: number; h: number };
    protected _fixScrollbars(): void;
  }
}
