import { ruleTexts } from './texts.ts';

/** Key of what is wrong with the text as JSON. */
export type JsonRule = Extract<keyof typeof ruleTexts, `json${string}`>;

/** Where the values of a JSON text (RFC 8259) are, and where it stops being JSON: JSON.parse says neither. Offsets are in UTF-16 units. */
export interface JsonPlace {
  from: number;
  to: number;
  /** Of the name too, for a member of an object. */
  nameFrom?: number;
  nameTo?: number;
}

export interface JsonMap {
  /** Places of all values by `pathKey`. */
  places: Map<string, JsonPlace>;
  /** Members of objects whose name was there already. */
  repeated: JsonPlace[];
  error?: { from: number; to: number; rule: JsonRule };
}

export const pathKey = (path: readonly (string | number)[]): string => JSON.stringify(path);

const SPACE = /[ \t\r\n]*/y;
const STRING = /"(?:[^"\\\p{Cc}]|[\u007f-\u009f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/uy;
const PLAIN = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.+-])|(?:true|false|null)(?!\w)/y;
/** What stands where something else should, to mark it. */
const WORD = /[^\s{}[\],:"]+|"[^"\n]*"?|./y;
/** More than any file of ours nests; a hostile one must not exhaust the stack. */
const MAX_DEPTH = 64;

class Misfit extends Error {
  readonly rule: JsonRule;

  constructor(rule: JsonRule) {
    super(ruleTexts[rule]);
    this.rule = rule;
  }
}

/** Never throws; `error` is the first mistake, and `places` what came before it. */
export function mapJson(text: string): JsonMap {
  const map: JsonMap = { places: new Map(), repeated: [] };
  const reader = new Reader(text, map);
  try {
    reader.value([]);
    reader.end();
  } catch (error) {
    if (!(error instanceof Misfit)) throw error;
    map.error = { ...reader.wrongWord(), rule: error.rule };
  }
  return map;
}

class Reader {
  private readonly text: string;
  private readonly map: JsonMap;
  private at = 0;

  constructor(text: string, map: JsonMap) {
    this.text = text;
    this.map = map;
  }

  private match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.at;
    return pattern.exec(this.text)?.[0];
  }

  private skipSpace(): void {
    this.at += this.match(SPACE)!.length;
  }

  /** Takes `mark` if it comes next. */
  private takes(mark: string): boolean {
    this.skipSpace();
    if (this.text[this.at] !== mark) return false;
    this.at++;
    return true;
  }

  private take(pattern: RegExp): string | undefined {
    this.skipSpace();
    const found = this.match(pattern);
    this.at += found?.length ?? 0;
    return found;
  }

  /** What stands at the place of the mistake; the last character when the text ends there. */
  wrongWord(): { from: number; to: number } {
    this.skipSpace();
    const from = Math.min(this.at, Math.max(0, this.text.length - 1));
    return { from, to: Math.min(this.text.length, this.at + (this.match(WORD)?.length ?? 1)) };
  }

  end(): void {
    this.skipSpace();
    if (this.at < this.text.length) throw new Misfit('jsonMore');
  }

  value(path: readonly (string | number)[]): JsonPlace {
    if (path.length > MAX_DEPTH) throw new Misfit('jsonDeep');
    this.skipSpace();
    const from = this.at;
    if (this.takes('{')) this.members(path);
    else if (this.takes('[')) this.items(path);
    else if (this.take(STRING) === undefined && this.take(PLAIN) === undefined)
      throw new Misfit(this.at < this.text.length ? 'jsonValue' : 'jsonEnds');
    const place = { from, to: this.at };
    this.map.places.set(pathKey(path), place);
    return place;
  }

  private members(path: readonly (string | number)[]): void {
    const names = new Set<string>();
    if (this.takes('}')) return;
    do {
      this.skipSpace();
      const nameFrom = this.at;
      const name = this.take(STRING);
      if (name === undefined) throw new Misfit('jsonName');
      const nameTo = this.at;
      if (!this.takes(':')) throw new Misfit('jsonColon');
      const key = JSON.parse(name) as string;
      const place = { ...this.value([...path, key]), nameFrom, nameTo };
      if (names.has(key)) this.map.repeated.push(place);
      names.add(key);
      this.map.places.set(pathKey([...path, key]), place);
    } while (this.takes(','));
    if (!this.takes('}')) throw new Misfit('jsonCommaObject');
  }

  private items(path: readonly (string | number)[]): void {
    if (this.takes(']')) return;
    let index = 0;
    do this.value([...path, index++]);
    while (this.takes(','));
    if (!this.takes(']')) throw new Misfit('jsonCommaList');
  }
}
