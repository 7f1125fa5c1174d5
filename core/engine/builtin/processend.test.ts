import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { lastWords, OUTPUT_KEPT, processEnded } from './processend.ts';

/** As V8 writes it when a check of its own fails: an abort behind it, and a trace with no reason in its last lines. */
const CHECK = `

#
# Fatal error in , line 0
# Check failed: jit_page.has_value().
#
#
#
#FailureMessage Object: 0x7f09ad6e6440
----- Native stack trace -----

 1: 0xf2a5e1  [node]
 2: 0x2684403 V8_Fatal(char const*, ...) [node]
 3: 0x15d2c1a v8::internal::ThreadIsolation::LookupJitPage(unsigned long, unsigned long) [node]
`;

/** What a Node that is made to end like that says and returns. */
function endOf(options: string[], script: string) {
  const { status, signal, stderr } = spawnSync(process.execPath, [...options, '-e', script], { encoding: 'utf8' });
  return processEnded('Debian', status, signal, stderr.slice(-OUTPUT_KEPT));
}

test('a failed check of V8 is told by what failed, with the way around compiled code', () => {
  const error = processEnded('Debian', null, 'SIGTRAP', CHECK);
  expect(error.message).toBe('the process of Debian was ended by SIGTRAP: Check failed: jit_page.has_value()');
  expect(error.fix).toMatch(/Interpreter/);
  // Electron has no signals.
  expect(processEnded('Debian', 133, null, CHECK)).toMatchObject({
    message: 'the process of Debian ended with code 133: Check failed: jit_page.has_value()',
    fix: error.fix,
  });
});

test('a process of Node that runs out of memory, aborts or throws says so itself', () => {
  const memory = endOf(['--max-old-space-size=16'], 'const all = []; for (;;) all.push(new Array(1000).fill(all.length))');
  expect(memory.message).toMatch(/^the process of Debian was ended by SIG(ABRT|TRAP|ILL): .*out of memory$/);
  expect(memory.fix).toMatch(/less memory/);
  const aborted = endOf([], 'process.abort()');
  expect([aborted.message, aborted.fix]).toEqual(['the process of Debian was ended by SIGABRT', expect.stringMatching(/Interpreter/)]);
  const thrown = endOf([], 'console.warn("Error: long ago"); throw new RangeError("no room at offset 7.")');
  expect(thrown.message).toBe('the process of Debian ended with code 1: RangeError: no room at offset 7');
  expect(thrown.fix).toBe('Start the machine again. Its log tells more.');
});

test('a signal without a word is told by what it means', () => {
  expect(processEnded('Debian', null, 'SIGSEGV', '')).toMatchObject({
    message: 'the process of Debian was ended by SIGSEGV',
    fix: expect.stringMatching(/Interpreter/),
  });
  expect(processEnded('Debian', null, 'SIGKILL', 'a warning\n').fix).toMatch(/short of memory/);
});

test('what could not be started is no crash of the engine', () => {
  const error = processEnded('Debian', null, 'spawn node ENOMEM', 'TypeError: of another\n');
  expect(error.message).toBe('the process of Debian could not be started: spawn node ENOMEM');
  expect(error.fix).toMatch(/too little memory/);
});

test('what the C library says of its heap is a reason; ordinary output is none, and a long one is cut', () => {
  expect(lastWords('malloc(): invalid size (unsorted)\n')).toBe('malloc(): invalid size (unsorted)');
  expect(lastWords("terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\n")).toMatch(/bad_alloc/);
  expect(lastWords('the guest said Error: 5\nfree memory: 3\n')).toBeUndefined();
  expect(lastWords(`FATAL ERROR: ${'x'.repeat(9999)}`)).toHaveLength(300);
});
