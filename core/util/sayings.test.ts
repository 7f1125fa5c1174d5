import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';

/** Every error that people may meet in the window is said from texts of the contract, so that the window can say it in the reader's language. */
const root = path.join(import.meta.dirname, '../..');

/** Where errors are in English only, and why nobody reads them in the window. */
const EXCEPTIONS: readonly [place: string, why: string][] = [
  ['core/cli/', 'the command line speaks English'],
  ['core/server/tls.ts', 'said when `hypervue serve` starts, on the command line'],
  ['core/bus/', 'mistakes of a board of ours, not of a person'],
  ['core/devices/', 'mistakes of a board of ours, not of a person'],
  ['core/machine/machine.ts', 'two devices of one name: a mistake of a board of ours'],
  ['core/disk/qcow2/image.ts', 'a read or write beyond the disk: a mistake of the caller'],
  ['core/disk/raw.ts', 'a read or write beyond the disk: a mistake of the caller'],
  ['core/disk/readonlydisk.ts', 'a read or write beyond the disk: a mistake of the caller'],
  ['core/cpu/', 'what is wrong inside a damaged state, in the words of its format; the sentence around it is said'],
  ['core/vmprocess/main.ts', 'calls that only another program than the manager would make'],
  ['electron/main/ipc.ts', 'answers to requests that only a forged page would make'],
];

function* files(folder: string): Generator<string> {
  for (const entry of readdirSync(path.join(root, folder), { withFileTypes: true })) {
    const name = `${folder}/${entry.name}`;
    if (entry.isDirectory()) {
      if (!['wasm', 'testing'].includes(entry.name)) yield* files(name);
    } else if (entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts')) yield name;
  }
}

const isText = (node: ts.Node) => ts.isStringLiteralLike(node) || ts.isTemplateExpression(node);

/** Literals that a value may be, through conditions and defaults. */
function literals(node: ts.Expression | undefined): ts.Node[] {
  if (!node) return [];
  if (ts.isParenthesizedExpression(node)) return literals(node.expression);
  if (ts.isConditionalExpression(node)) return [...literals(node.whenTrue), ...literals(node.whenFalse)];
  if (ts.isBinaryExpression(node)) return [...literals(node.left), ...literals(node.right)];
  return isText(node) ? [node] : [];
}

/** Lines with an error whose message or way out is a text of its own. Faults of the program ('internal') have no reader. */
function unsaid(file: string, text: string): string[] {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true);
  const found: string[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isNewExpression(node) && node.expression.getText() === 'HypervueError') {
      const [kind, message, , fix] = node.arguments ?? [];
      const fault = kind && ts.isStringLiteral(kind) && kind.text === 'internal';
      if (!fault)
        for (const literal of [...literals(message), ...literals(fix)])
          found.push(`${file}:${source.getLineAndCharacterOfPosition(literal.getStart()).line + 1} ${literal.getText()}`);
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

test('every error that the window may show is said with say(), or is in the list of exceptions', () => {
  const found: string[] = [];
  const used = new Set<string>();
  let count = 0;
  for (const file of [...files('core'), ...files('electron')]) {
    const here = unsaid(file, readFileSync(path.join(root, file), 'utf8'));
    count++;
    const exception = EXCEPTIONS.find(([place]) => file.startsWith(place));
    if (exception && here.length) used.add(exception[0]);
    if (!exception) found.push(...here);
  }
  expect(count).toBeGreaterThan(400);
  expect(found).toEqual([]);
  expect(EXCEPTIONS.map(([place]) => place).filter((place) => !used.has(place))).toEqual([]);
});

test('the finder finds', () => {
  const bad = [
    "new HypervueError('not-found', 'there is no such thing', {}, 'Look again.')",
    "new HypervueError('not-found', a ? say('plain') : `no such ` + a)",
    "new HypervueError(kind, say('plain'), {}, fix ?? 'Try again.')",
  ];
  expect(bad.map((text) => unsaid('x.ts', text).length)).toEqual([2, 1, 1]);
  expect(unsaid('x.ts', "new HypervueError('internal', 'no'); new HypervueError('corrupt', say('plain', { text: 'a' }), {}, fix)")).toEqual(
    [],
  );
});
