import type { z } from 'zod';
import { configProblems } from './configrules.ts';
import { type JsonPlace, mapJson, pathKey } from './jsonpositions.ts';
import type { Said } from './said.ts';
import { rule } from './texts.ts';
import { type VmConfig, vmConfigSchema } from './vm.ts';

/** What is wrong with the text of a vm.json, and where: offsets in UTF-16 units, line and column from 1. */
export interface TextProblem {
  from: number;
  to: number;
  line: number;
  column: number;
  /** The value that it is about, as `drives.0.path`; '' for the text as a whole. */
  field: string;
  message: string;
  /** For readers of other languages; absent where the message comes in theirs already (zod's). */
  said?: Said;
}

export interface CheckedText {
  /** In the order of the text. */
  problems: TextProblem[];
  /** Null when there are problems. */
  config: VmConfig | null;
}

type Path = readonly (string | number)[];
type Words = Pick<TextProblem, 'message' | 'said'>;

/** Checks the text of a vm.json against the schema and the rules between its fields. `id`: of the machine, which the text may not change. */
export function checkConfigText(text: string, id?: string): CheckedText {
  const positions = mapJson(text);
  if (positions.error) return { problems: [at(text, positions.error, '', rule(positions.error.rule))], config: null };
  const raw: unknown = JSON.parse(text);
  const problems: TextProblem[] = positions.repeated.map((place) => at(text, name(place), '', rule('ruleTwice')));
  /** The place of the value, or of what should hold it; its name when the value spans lines. */
  const report = (path: Path, words: Words, named = false, plainly = false) => {
    for (let length = path.length; length >= 0; length--) {
      const place = positions.places.get(pathKey(path.slice(0, length)));
      if (!place) continue;
      const missing = length < path.length;
      const spans = text.slice(place.from, place.to).includes('\n');
      const shown = named || missing || spans ? name(place) : place;
      const field = path.slice(length).join('.');
      problems.push(at(text, shown, path.join('.'), missing ? lacks(field, words, plainly) : words));
      return;
    }
  };
  const parsed = vmConfigSchema.safeParse(raw);
  if (!parsed.success)
    for (const issue of leaves(parsed.error.issues))
      report(issue.path as Path, { message: issue.message }, false, issue.code === 'invalid_type');
  else {
    for (const path of unknownFields(raw, parsed.data, [])) report(path, rule('ruleUnknownField'), true);
    for (const problem of configProblems(parsed.data)) report(problem.path, problem);
    if (id !== undefined && parsed.data.id !== id) report(['id'], rule('ruleOtherId', { id }));
  }
  problems.sort((a, b) => a.from - b.from);
  return { problems, config: parsed.success && problems.length === 0 ? parsed.data : null };
}

/** Of something that is not there, "expected a number" says nothing more; what may be chosen from does. */
const lacks = (field: string, { message }: Words, plainly: boolean): Words =>
  plainly ? rule('ruleMissing', { field }) : rule('ruleMissingOf', { field, problem: message });

/** Issues of the alternative that fits best, in place of "invalid input" for a union. */
function leaves(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue[] {
  return issues.flatMap((issue) => {
    if (issue.code !== 'invalid_union' || issue.errors.length === 0) return [issue];
    const best = [...issue.errors].sort((a, b) => a.length - b.length)[0]!;
    return leaves(best).map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] }));
  });
}

/** What the schema would drop without a word. */
function unknownFields(raw: unknown, kept: unknown, path: Path): Path[] {
  if (typeof raw !== 'object' || raw === null || typeof kept !== 'object' || kept === null) return [];
  return Object.keys(raw).flatMap((key) => {
    const below = [...path, Array.isArray(raw) ? Number(key) : key];
    if (!Object.hasOwn(kept, key)) return [below];
    return unknownFields((raw as Record<string, unknown>)[key], (kept as Record<string, unknown>)[key], below);
  });
}

const name = (place: JsonPlace) => ({ from: place.nameFrom ?? place.from, to: place.nameTo ?? Math.min(place.to, place.from + 1) });

function at(text: string, { from, to }: { from: number; to: number }, field: string, { message, said }: Words): TextProblem {
  const before = text.slice(0, from);
  const line = before.split('\n').length;
  return {
    from,
    to: Math.min(Math.max(to, from + 1), Math.max(text.length, from)),
    line,
    column: from - before.lastIndexOf('\n'),
    field,
    message,
    ...(said ? { said } : {}),
  };
}
