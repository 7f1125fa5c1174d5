import { z } from 'zod';

/** How consoles look and what keys do there. They are defaults: every window can have its own for each machine. */

/**
 * `fit`: as large as the window allows; `integer`: the largest whole factor; `exact`: one guest pixel is one pixel of the screen; `follow`: the guest is asked for a
 * picture of the window's size, and one that is not is fitted.
 */
export const consoleScalings = ['fit', 'integer', 'exact', 'follow'] as const;
/** `auto`: sharp at whole factors, smooth between them. */
export const consoleSmoothings = ['auto', 'sharp', 'smooth'] as const;
/** What gives the keyboard back: pressed and released with nothing else, or the chord. */
export const consoleReleases = ['ctrl-alt', 'right-ctrl', 'ctrl-alt-g'] as const;
export const typingPaces = ['fast', 'normal', 'slow'] as const;

/** A key or chord as people write it: `F11`, `Ctrl+Alt+T`. */
const chordSchema = z
  .string()
  .min(1)
  .max(64)
  .regex(/^[^\p{Cc}]+$/u);

/** A combination made by the user for the menu of keys. */
export const customKeysSchema = z.object({
  name: z
    .string()
    .trim()
    .max(64)
    .regex(/^[^\p{Cc}]*$/u),
  /** As `vm.sendKeys` takes them. */
  keys: z.array(z.string().min(1).max(32)).min(1).max(8),
});
export type CustomKeys = z.infer<typeof customKeysSchema>;

/** What each window can have differently for a machine. */
export const consolePreferenceFields = {
  consoleScaling: z.enum(consoleScalings),
  consoleSmoothing: z.enum(consoleSmoothings),
  consoleRelease: z.enum(consoleReleases),
  /** Chords that stay with the host. */
  consolePassThrough: z.array(chordSchema).max(64),
  /** Text of the host's clipboard can be typed into the guest. */
  consolePaste: z.boolean(),
  /** Text selected on the guest's screen goes to the host's clipboard at once. */
  consoleCopy: z.boolean(),
  typingPace: z.enum(typingPaces),
};

export const consoleSettingFields = {
  ...consolePreferenceFields,
  consoleKeys: z.array(customKeysSchema).max(64),
  /** What other viewers see; made from the program and the system when empty. */
  viewerName: z
    .string()
    .trim()
    .max(64)
    .regex(/^[^\p{Cc}]*$/u),
};

export const consoleSettingDefaults = {
  consoleScaling: consoleSettingFields.consoleScaling.default('fit'),
  consoleSmoothing: consoleSettingFields.consoleSmoothing.default('auto'),
  consoleRelease: consoleSettingFields.consoleRelease.default('ctrl-alt'),
  consolePassThrough: consoleSettingFields.consolePassThrough.default([]),
  consolePaste: consoleSettingFields.consolePaste.default(true),
  consoleCopy: consoleSettingFields.consoleCopy.default(true),
  typingPace: consoleSettingFields.typingPace.default('normal'),
  consoleKeys: consoleSettingFields.consoleKeys.default([]),
  viewerName: consoleSettingFields.viewerName.default(''),
};

export const consolePreferencesSchema = z.object(consolePreferenceFields);
export type ConsolePreferences = z.infer<typeof consolePreferencesSchema>;
