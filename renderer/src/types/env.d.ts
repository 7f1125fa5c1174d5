/// <reference types="vite/client" />
import type { DesktopBridge } from '../../../core/contract/desktopbridge.ts';

declare global {
  interface Window {
    /** Present in Electron's window, put there by the preload script. */
    hypervue?: DesktopBridge;
  }
  interface Navigator {
    /** Keyboard Lock API: Chromium only. */
    keyboard?: { lock(codes?: string[]): Promise<void>; unlock(): void };
  }
}
