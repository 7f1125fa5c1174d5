import { z } from 'zod';

/** What becomes of running machines when the desktop app quits: ask, stay in the tray, save their states, or press their power buttons. */
export const quitActions = ['ask', 'tray', 'save', 'shutdown'] as const;
export type QuitAction = (typeof quitActions)[number];

/** Settings of the desktop app; in headless mode they mean nothing. Without defaults, as a patch has them. */
export const desktopSettingsFields = {
  whenQuitting: z.enum(quitActions),
  /** Tell through the system what ended, failed or crashed while no window is in front. */
  notifications: z.boolean(),
};
