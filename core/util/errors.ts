import type { ErrorDto, ErrorKind } from '../contract/errors.ts';
import type { Said } from '../contract/said.ts';
import type { Saying } from './say.ts';

export type { ErrorKind };

export interface ErrorContext {
  /** What the failure is about: a VM name, a path, a device id. */
  object?: string;
  path?: string;
  operation?: string;
  [key: string]: string | number | boolean | undefined;
}

/** Every expected failure: what happened, to which object, what the user can do. Serialisable as `{kind, message, context, fix}`. */
export class HypervueError extends Error {
  readonly kind: ErrorKind;
  readonly context: ErrorContext;
  readonly fix: string | undefined;
  /** Message and fix for clients that speak other languages; see contract/texts.ts. */
  said: Said | undefined;
  saidFix: Said | undefined;

  /** `message` and `fix` as sayings (util/say.ts) where people may meet them. */
  constructor(kind: ErrorKind, message: string | Saying, context: ErrorContext = {}, fix?: string | Saying, cause?: unknown) {
    super(typeof message === 'string' ? message : message.text, cause === undefined ? undefined : { cause });
    this.name = 'HypervueError';
    this.kind = kind;
    this.context = context;
    this.fix = typeof fix === 'object' ? fix.text : fix;
    if (typeof message === 'object') this.said = message.said;
    if (typeof fix === 'object') this.saidFix = fix.said;
  }

  /** For the message of an error that tells of this one. */
  saying(): Saying | string {
    return this.said ? { text: this.message, said: this.said } : this.message;
  }

  sayingFix(): Saying | string | undefined {
    return this.fix !== undefined && this.saidFix ? { text: this.fix, said: this.saidFix } : this.fix;
  }

  toJSON(): { kind: ErrorKind; message: string; context: ErrorContext; fix?: string; said?: Said; saidFix?: Said } {
    const { kind, message, context, fix, said, saidFix } = this;
    return { kind, message, context, ...(fix === undefined ? {} : { fix }), ...(said ? { said } : {}), ...(saidFix ? { saidFix } : {}) };
  }
}

/** An error that came from another process or thread as what `toJSON` gave. */
export function errorFrom({ kind, message, context, fix, said, saidFix }: ErrorDto): HypervueError {
  return Object.assign(new HypervueError(kind, message, context, fix), { said, saidFix });
}

/** Any thrown value as a HypervueError; unknown ones become `internal` and keep their cause. */
export function asHypervueError(error: unknown, context: ErrorContext = {}): HypervueError {
  if (error instanceof HypervueError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new HypervueError('internal', message, context, undefined, error);
}
