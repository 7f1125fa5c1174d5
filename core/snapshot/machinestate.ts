import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import type { DeviceState, StateValue } from './snapshottable.ts';
import { StateReader } from './statereader.ts';

/** What has to be the same for a saved machine to go on. Values are shown to people. */
export interface MachineShape {
  [property: string]: string | number | boolean;
}

/** First section of a state file: what the machine was like, readable without the rest. */
export interface StateMeta {
  /** ISO 8601. */
  savedAt: string;
  machineName: string;
  /** It stood when it was saved, and does so again. */
  paused: boolean;
  ramBytes: number;
  vramBytes: number;
  shape: MachineShape;
  /** Media at that moment. */
  media: MediumStamp[];
}

/** How to see whether an image is what it was. */
export interface MediumStamp {
  drive: string;
  path: string;
  sizeBytes: number;
  /** Last change of the file, epoch milliseconds. */
  modifiedMs: number;
  /** False for a hard disk, which has to be what it was. */
  removable: boolean;
}

const META_VERSION = 1;

export function metaToTree(meta: StateMeta): StateValue {
  return { version: META_VERSION, ...meta, shape: { ...meta.shape }, media: meta.media.map((stamp) => ({ ...stamp })) };
}

/** Throws 'corrupt' or 'unsupported'. */
export function metaFromTree(tree: StateValue, file: string): StateMeta {
  const reader = StateReader.open(tree as DeviceState, file, META_VERSION);
  const list = (tree as { media?: StateValue }).media;
  const count = Array.isArray(list) ? Math.min(list.length, 64) : 0;
  const shape = (tree as { shape?: StateValue }).shape;
  if (typeof shape !== 'object' || shape === null || Array.isArray(shape) || shape instanceof Uint8Array)
    throw new HypervueError('corrupt', say('stateNobody', { file }), { path: file });
  const plain = Object.entries(shape).flatMap(([key, value]) =>
    typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? [[key, value] as const] : [],
  );
  return {
    savedAt: reader.string('savedAt'),
    machineName: reader.string('machineName'),
    paused: reader.boolean('paused'),
    ramBytes: reader.number('ramBytes', 0, 2 ** 32),
    vramBytes: reader.number('vramBytes', 0, 2 ** 32),
    shape: Object.fromEntries(plain),
    media: reader.objects('media', count).map((stamp) => ({
      drive: stamp.string('drive'),
      path: stamp.string('path'),
      sizeBytes: stamp.number('sizeBytes', 0),
      modifiedMs: stamp.number('modifiedMs'),
      removable: stamp.boolean('removable'),
    })),
  };
}

/** In words, what is different between the saved machine and the present one; empty when it fits. */
export function shapeDifferences(saved: MachineShape, present: MachineShape): string[] {
  return [...new Set([...Object.keys(saved), ...Object.keys(present)])]
    .filter((key) => saved[key] !== present[key])
    .map((key) => `${key}: ${saved[key] ?? 'nothing'} when it was saved, ${present[key] ?? 'nothing'} now`);
}
