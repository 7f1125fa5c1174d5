/** A machine's picture, keyboard and serial lines, and who looks at them. */
import type { Operation } from './operationwords.ts';
import type { Handlers } from '../contract/server.ts';
import type { RunningVm } from '../engine/engine.ts';
import type { ManagerContext } from './context.ts';

/** Milliseconds between two keys of typed text when the client names none: quick, and a BIOS still keeps up. */
const TYPING_DELAY_MS = 20;

export function consoleHandlers({ machines, emit }: ManagerContext) {
  const alive = (id: string, operation: Operation) => machines.get(id).alive(operation);
  /** Of what has nothing to tell. */
  const silent =
    <P extends { id: string }>(operation: Operation, action: (vm: RunningVm, params: P) => Promise<void>) =>
    async (params: P): Promise<null> => {
      await action(alive(params.id, operation), params);
      return null;
    };
  return {
    'vm.screenshot': async ({ id }) => {
      const { width, height, png } = await alive(id, 'take a screenshot').screenshot();
      return { width, height, png: base64(png) };
    },
    'vm.thumbnail': async ({ id }) => {
      const { version, png } = await machines.get(id).thumbnailPng();
      return { version, png: png ? base64(png) : null };
    },
    'vm.screenText': async ({ id }) => alive(id, 'read the screen').screenText(),
    'vm.typeText': silent('type', (vm, { id, text, delayMs = TYPING_DELAY_MS }) =>
      vm.typeText(text, delayMs, (done, total) => emit('vm.typing', { id, done, total })),
    ),
    'vm.cancelTyping': silent('cancel typing', (vm) => vm.cancelTyping()),
    'vm.sendKeys': silent('send keys', (vm, { keys }) => vm.sendKeys(keys)),
    'vm.viewers': async ({ id, key }) => alive(id, 'list viewers').viewers(key),
    'vm.setViewing': silent('change who may use it', (vm, { key, action, viewer }) => vm.setViewing(key, action, viewer)),
    'vm.serialBreak': silent('send a break', (vm, { port }) => vm.serialBreak(port)),
  } satisfies Partial<Handlers>;
}

const base64 = (bytes: Uint8Array) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('base64');
