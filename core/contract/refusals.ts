import type { z } from 'zod';
import type { ErrorDto } from './errors.ts';
import { refusalTexts } from './refusaltexts.ts';
import type { Said } from './said.ts';
import { fill } from './texts.ts';

type Key = keyof typeof refusalTexts;
type Words = Readonly<Record<string, string | number>>;

const MAX_SHOWN = 64;

const fixed = (message: Key, fix: Key, words: Words = {}) => ({
  message: fill(refusalTexts[message], words),
  said: { key: message, params: words } satisfies Said,
  fix: refusalTexts[fix],
  saidFix: { key: fix, params: {} },
});

export function noSuchMethod(method: unknown): ErrorDto {
  const operation = String(method).slice(0, MAX_SHOWN);
  return { kind: 'unsupported', ...fixed('noSuchMethod', 'fixNoSuchMethod', { method: operation }), context: { operation } };
}

export const tooManyCalls = (operation: string): ErrorDto => ({
  kind: 'resource-limit',
  ...fixed('tooManyCalls', 'fixTooManyCalls'),
  context: { operation },
});

/** What zod found, in texts of ours; undefined where it has words of the schema's own. */
function problemOf(issue: z.core.$ZodIssue, params: unknown): [key: Key, words: Words] | undefined {
  let value = params;
  for (const part of issue.path)
    value = typeof value === 'object' && value !== null ? (value as Record<PropertyKey, unknown>)[part] : undefined;
  if (value === undefined) return ['argumentMissing', {}];
  switch (issue.code) {
    case 'invalid_type':
      return ['argumentType', { type: issue.expected }];
    case 'too_big':
    case 'too_small': {
      const big = issue.code === 'too_big';
      const limit = String(big ? issue.maximum : issue.minimum);
      if (issue.origin === 'string') return [big ? 'argumentLong' : 'argumentShort', { limit }];
      if (issue.origin === 'number' || issue.origin === 'int') return [big ? 'argumentLarge' : 'argumentSmall', { limit }];
      return [big ? 'argumentMany' : 'argumentFew', { limit }];
    }
    case 'unrecognized_keys':
      return ['argumentUnknown', { names: issue.keys.join(', ').slice(0, MAX_SHOWN) }];
    case 'invalid_value':
      return ['argumentChoice', { values: issue.values.map(String).join(', ') }];
    case 'custom': {
      const named: unknown = issue.params?.refusal;
      return typeof named === 'string' && named in refusalTexts ? [named as Key, {}] : undefined;
    }
    default:
      return ['argumentForm', {}];
  }
}

/** The parameters are not what the method takes: `issue` is the first that zod found. */
export function wrongParams(operation: string, issue: z.core.$ZodIssue, params: unknown): ErrorDto {
  const field = issue.path.join('.').slice(0, MAX_SHOWN);
  const found = problemOf(issue, params);
  const [text, inner] = found
    ? [fill(refusalTexts[found[0]], found[1]), { key: found[0], params: found[1] }]
    : [issue.message, issue.message];
  const key = field ? 'wrongArgument' : 'wrongRequest';
  return {
    kind: 'invalid-argument',
    message: fill(refusalTexts[key], { field, problem: text }),
    said: { key, params: { field, problem: inner } },
    context: { operation, field },
  };
}
