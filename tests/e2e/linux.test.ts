import { expect, test } from 'vitest';
import { initramfs, linux686, linuxIso } from '../guests/support/images.ts';
import { eventually } from './support/browser.ts';
import { difference, vncsnapshot } from './support/picture.ts';
import { browser, contract, window } from './support/session.ts';

/** The straight road of a person: wizard, console, keyboard, power off; with Debian's Linux 6.1 for i386 as the guest. */
const BOOT_MS = 240_000;
const VNC_DISPLAY = 17;

async function vmId(name: string): Promise<string> {
  const found = (await contract.call('vm.list', {})).find((vm) => vm.name === name);
  if (!found) throw new Error(`there is no machine named ${name}`);
  return found.id;
}

/** The guest's screen as text. */
async function screen(id: string): Promise<string> {
  const text = await contract.call('vm.screenText', { id });
  return text ? text.rows.map((row) => row.trimEnd()).join('\n') : '';
}

const waitForScreen = (id: string, pattern: RegExp, timeoutMs: number) =>
  eventually(
    `${pattern} on the guest's screen`,
    async () => {
      const text = await screen(id);
      if (!pattern.test(text)) throw new Error(text);
      return text;
    },
    timeoutMs,
  );

test('an ISO from the wizard boots; the shell obeys keys typed in the browser; other VNC clients see the same; it powers off', async () => {
  const { app, page } = window;
  await app.machines.create();
  await app.wizard.run({ source: 'iso', path: linuxIso(), name: 'Linux from ISO', memoryMiB: 128, diskGiB: 1, start: false });
  const id = await vmId('Linux from ISO');
  const { config } = await contract.call('vm.get', { id });
  await contract.call('vm.update', {
    id,
    patch: { display: { ...config!.display, listen: { type: 'tcp', host: '127.0.0.1', display: VNC_DISPLAY } } },
  });
  const machine = app.machine();
  await machine.verb('start');
  await machine.waitForState('running');
  await machine.tab('console');
  await machine.focusConsole();
  // The greeting goes to the last console of the command line, the serial one.
  await waitForScreen(id, /^\/ #/m, BOOT_MS);

  // Enter wakes the shell on tty1; the answer can only come from the guest.
  await machine.press('Enter');
  await machine.type('echo typed-$((6*7))');
  await machine.press('Enter');
  await waitForScreen(id, /^typed-42$/m, 30_000);
  await machine.type('echo SHIFTED "quotes" | tr a-z A-Z; clear; echo still here > /dev/ttyS0');
  await machine.press('Enter');
  await machine.tab('serial');
  await eventually('the serial line', async () => (await machine.serialText()).includes('still here'), 30_000);

  // The shell on ttyS0 obeys the serial tab.
  await machine.typeSerial('\n');
  await machine.typeSerial('echo serial-$((5*5))\n');
  await eventually('the answer on the serial line', async () => /^serial-25$/m.test(await machine.serialText()), 30_000);

  // The same picture in noVNC and in a client we did not write.
  await machine.tab('console');
  await machine.type('clear; for i in 1 2 3 4 5 6 7 8; do echo "line $i of the picture that both show"; done');
  await machine.press('Enter');
  await waitForScreen(id, /^line 8 of the picture that both show$/m, 30_000);
  await eventually(
    'equal pictures in noVNC and vncsnapshot',
    async () => {
      const ours = await machine.pixels();
      const theirs = await vncsnapshot(`127.0.0.1:${VNC_DISPLAY}`, browser);
      // JPEG and the blinking cursor leave a trace; another line of text would be above.
      const apart = difference(ours, theirs);
      if (apart > 1) throw new Error(`mean difference ${apart}`);
      return true;
    },
    30_000,
  );

  await machine.verb('pause');
  await machine.waitForState('paused');
  await machine.verb('resume');
  await machine.waitForState('running');
  await machine.type('poweroff -f');
  await machine.press('Enter');
  await machine.waitForState('off', 60_000);
  expect(window.problems).toEqual([]);
  await page.getByTestId('nav-machines').click();
  await app.machines.waitForState('Linux from ISO', 'off');
}, 420_000);

test('a kernel with an initrd boots directly and obeys the console', async () => {
  const { app } = window;
  await app.machines.create();
  await app.wizard.run({
    source: 'kernel',
    path: linux686(),
    initrd: initramfs('i386'),
    cmdline: 'console=ttyS0 console=tty0 quiet',
    name: 'Linux directly',
    memoryMiB: 128,
    start: true,
  });
  const machine = app.machine();
  const id = await vmId('Linux directly');
  await machine.waitForState('running');
  await machine.tab('console');
  await waitForScreen(id, /GUEST READY/, BOOT_MS);
  await machine.press('Enter');
  await machine.type('cat /proc/cmdline; echo sum-$((40+2))');
  await machine.press('Enter');
  const text = await waitForScreen(id, /^sum-42$/m, 30_000);
  expect(text).toContain('console=ttyS0 console=tty0 quiet');
  await machine.menu('forceOff');
  await app.confirm();
  await machine.waitForState('off');
  expect(window.problems).toEqual([]);
}, 420_000);

test.each([
  ['skipping what is suggested', 4],
  ['through every step', 7],
])(
  'from the library to the running guest %s takes %i clicks, as docs/hardware.md says',
  async (_how, expected) => {
    const { page } = window;
    await page.getByTestId('nav-machines').click();
    let clicks = 0;
    const click = async (id: string) => {
      await page.getByTestId(id).first().click();
      clicks++;
    };
    await click('nav-new');
    await page.getByTestId('wizard').waitFor();
    await click('source-path');
    await page.keyboard.type(linuxIso());
    await page.locator('[data-testid="inspection"] p').first().waitFor();
    if (expected === 4) await click('wizard-skip');
    else
      for (const step of ['system', 'resources', 'disk', 'summary']) {
        await click('wizard-next');
        await page.locator(`[data-testid="wizard"][data-step="${step}"]`).waitFor();
      }
    await page.getByTestId('summary').waitFor();
    await click('wizard-create-start');
    await window.app.machine().waitForState('running');
    expect(clicks).toBe(expected);
    await window.app.machine().menu('forceOff');
    await window.app.confirm();
    await window.app.machine().waitForState('off');
  },
  120_000,
);
