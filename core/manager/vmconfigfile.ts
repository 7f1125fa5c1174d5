import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { type VmConfig, vmConfigSchema } from '../contract/vm.ts';
import { writeFileAtomic } from '../platform/atomicfile.ts';
import { fileError } from '../platform/nodefile.ts';
import { HypervueError } from '../util/errors.ts';
import { say } from '../util/say.ts';
import { checkConfig } from './configrules.ts';

export const CONFIG_FILE = 'vm.json';
const CURRENT_SCHEMA = 1;

/** Step n turns schema n into n + 1. Never change a step that was released; add the next. */
const migrations: Readonly<Record<number, (config: Record<string, unknown>) => Record<string, unknown>>> = {};

/** Reads and checks vm.json. Rejects with 'corrupt', 'unsupported' (made by a newer Hypervue), 'not-found' or 'permission-denied'; never writes. */
export async function readVmConfig(folder: string): Promise<VmConfig> {
  const file = path.join(folder, CONFIG_FILE);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw fileError(error, file, 'read');
  }
  return parseVmConfig(text, file);
}

export function parseVmConfig(text: string, file: string): VmConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw corrupt(file, (error as Error).message, error);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw corrupt(file, 'it holds no object');
  let raw = value as Record<string, unknown>;
  let schema = raw.schema;
  if (typeof schema !== 'number') throw corrupt(file, 'it has no schema number');
  if (schema > CURRENT_SCHEMA)
    throw new HypervueError('unsupported', say('newerConfig', { file, schema }), { path: file, schema }, say('fixUpdate'));
  for (; schema < CURRENT_SCHEMA; schema++) {
    const step = migrations[schema];
    if (!step) throw corrupt(file, `schema ${schema} is unknown`);
    raw = step(raw);
  }
  const parsed = vmConfigSchema.safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw corrupt(file, `${issue?.path.join('.') || 'content'}: ${issue?.message ?? 'is not valid'}`);
  }
  try {
    checkConfig(parsed.data);
  } catch (error) {
    throw corrupt(file, (error as Error).message, error);
  }
  return parsed.data;
}

export function writeVmConfig(folder: string, config: VmConfig): Promise<void> {
  return writeFileAtomic(path.join(folder, CONFIG_FILE), `${JSON.stringify(config, null, 2)}\n`);
}

function corrupt(file: string, why: string, cause?: unknown): HypervueError {
  return new HypervueError(
    'corrupt',
    say('configNotUnderstood', { file, why }),
    { path: file, operation: 'read' },
    say('fixConfigNotUnderstood'),
    cause,
  );
}
