import { z } from 'zod';

/*
 * The file of a recording (`hypervue run --record`): one JSON value a line. A header, then each input, then the end.
 *   {"hypervueRecording":1,"machine":"<sha-256>","nsPerInstruction":10}
 *   {"at":123456.25,"input":{"t":"key","code":30,"down":true}}
 *   {"at":9876543,"hash":"<sha-256>"}
 */
export const recordingHeaderSchema = z.object({ hypervueRecording: z.literal(1), machine: z.string(), nsPerInstruction: z.number() });
const int = z.number().int();
const inputSchema = z.discriminatedUnion('t', [
  z.object({ t: z.literal('key'), code: int.min(0).max(0xffff), down: z.boolean() }),
  z.object({ t: z.literal('absolute'), x: z.number(), y: z.number(), buttons: int, width: int.min(1), height: int.min(1) }),
  z.object({ t: z.literal('relative'), dx: z.number(), dy: z.number(), buttons: int }),
  z.object({
    t: z.literal('serialInput'),
    index: int.min(0).max(1),
    /** Hexadecimal in the file. */
    bytes: z
      .string()
      .regex(/^([0-9a-f]{2})*$/)
      .transform((text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))),
  }),
  z.object({ t: z.literal('serialBreak'), index: int.min(0).max(1) }),
  z.object({ t: z.literal('displaySize'), width: int.min(0).max(0xffff), height: int.min(0).max(0xffff) }),
  z.object({ t: z.literal('button'), button: z.enum(['reset', 'power']) }),
]);
const at = z.number().min(0);
export const recordingLineSchema = z.union([z.object({ at, input: inputSchema }), z.object({ at, hash: z.string() })]);
