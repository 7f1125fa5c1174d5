import { z } from 'zod';

/** Consoles: who looks at a machine and who may use it, typed text, breaks on serial lines. */

/** Longest name a viewer may have for the others. */
const MAX_VIEWER_NAME = 64;

/** One who looks at the machine's screen now. */
export const viewerSchema = z.object({
  /** Shown to everybody; it gives no rights. */
  id: z.string(),
  name: z.string(),
  /** A window of Hypervue, or another program that speaks VNC. */
  origin: z.enum(['window', 'vnc']),
  /** Keyboard and mouse reach the guest now. */
  control: z.boolean(),
  /** Chose to look only, or is allowed no more. */
  looking: z.boolean(),
  /** Its access allows looking only. */
  limited: z.boolean(),
  /** Asked who has the control alone to share it. */
  asking: z.boolean(),
  /** Its last question was answered with no. */
  refused: z.boolean(),
  /** Nobody's eyes: a window records the picture. */
  recording: z.boolean(),
  /** ISO 8601. */
  since: z.string(),
});
export type Viewer = z.infer<typeof viewerSchema>;

export const viewersSchema = z.object({
  viewers: z.array(viewerSchema),
  /** Id of the viewer who has keyboard and mouse alone; null while they are shared. */
  holder: z.string().nullable(),
});
export type Viewers = z.infer<typeof viewersSchema>;

/** A secret that a window makes up and gives when it opens the machine's picture; what it says about itself later is believed because of it. */
const viewerKeySchema = z.string().regex(/^[0-9A-Za-z-]{8,64}$/);

/** What a window says of itself when it opens a picture. */
export const viewerHelloSchema = z.object({
  key: viewerKeySchema,
  name: z
    .string()
    .max(256)
    .transform((name) => name.replace(/\p{C}/gu, '').trim().slice(0, MAX_VIEWER_NAME)),
  looking: z.boolean().default(false),
  /** Opens it to record it. */
  recording: z.boolean().default(false),
});
export type ViewerHello = z.output<typeof viewerHelloSchema>;

/** What the manager tells a machine of who opens its picture. */
export interface ChannelViewer extends ViewerHello {
  /** May look and nothing else, whatever it asks for. */
  limited?: boolean;
}

/**
 * `look`: my keyboard and mouse stay out. `share`: I use it, and so may the others. `hold`: I use it alone. `ask`: the holder is asked to share; `withdraw` takes that
 * back; `allow` and `refuse` answer the viewer named.
 */
export const viewingActions = ['look', 'share', 'hold', 'ask', 'withdraw', 'allow', 'refuse'] as const;
export type ViewingAction = (typeof viewingActions)[number];

/** The characters that a text mode shows. */
export const screenTextSchema = z.object({
  /** Top to bottom, without trailing blanks. */
  rows: z.array(z.string()),
  /** Null while the guest hides it. */
  cursor: z.object({ x: z.number(), y: z.number() }).nullable(),
  /** Size of a character in pixels of the picture. */
  cell: z.object({ width: z.number(), height: z.number() }),
  columns: z.number(),
  /** The picture as a whole, and how many of its lines the first row has already scrolled out by. */
  picture: z.object({ width: z.number(), height: z.number(), top: z.number() }),
});
export type ScreenText = z.infer<typeof screenTextSchema>;

const vm = z.object({ id: z.string().max(64) });

export const consoleMethods = {
  /** `you`: which of them has this key. */
  'vm.viewers': { params: vm.extend({ key: viewerKeySchema.optional() }), result: viewersSchema.extend({ you: z.string().nullable() }) },
  /** Rejects with 'invalid-state' when somebody else has the control alone, with 'not-found' when nobody has this key or the viewer named is gone. */
  'vm.setViewing': {
    params: vm.extend({ key: viewerKeySchema, action: z.enum(viewingActions), viewer: z.string().max(64).optional() }),
    result: z.null(),
  },
  /** Holds a serial line of the guest in the break state for about a quarter of a second. */
  'vm.serialBreak': { params: vm.extend({ port: z.number().int().min(0).max(1) }), result: z.null() },
} as const;

export const consoleEvents = {
  /** Somebody began or ended to look, or what they may do changed. */
  'vm.viewersChanged': viewersSchema.extend({ id: z.string() }),
  /** How far typing has come, characters; at most ten times a second. */
  'vm.typing': z.object({ id: z.string(), done: z.number(), total: z.number() }),
} as const;
