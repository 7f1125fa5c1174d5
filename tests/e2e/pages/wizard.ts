import type { Page } from 'playwright-core';

export type Source = 'iso' | 'disk' | 'floppy' | 'kernel' | 'network' | 'blank' | 'sample';

/** The create wizard: source, system, CPU and memory, disk, network and summary. */
export class WizardPage {
  private readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  /** The radio itself is visually hidden behind its tile. */
  async source(source: Source, path?: string): Promise<void> {
    await this.page.getByTestId(`source-${source}`).check({ force: true });
    if (path !== undefined) {
      await this.page.getByTestId('source-path').locator('input').fill(path);
      await this.page.locator('[data-testid="inspection"] p').first().waitFor();
    }
  }

  /** Of a start from the network: which one, and what it says that it hands out. */
  async network(id: string): Promise<void> {
    await this.page.getByTestId('source-network-choice').selectOption(id);
  }

  async handsOut(): Promise<string> {
    return this.page.getByTestId('hands-out').innerText();
  }

  /** Opens the dialog of the network, on the way. */
  async setHandsOut(): Promise<void> {
    await this.page.getByTestId('hands-out-set').click();
    await this.page.getByTestId('network-dialog').waitFor();
  }

  async kernelOptions(initrd: string | null, cmdline?: string): Promise<void> {
    if (initrd !== null) await this.page.getByTestId('initrd-path').locator('input').fill(initrd);
    if (cmdline !== undefined) await this.page.getByTestId('cmdline').locator('input').fill(cmdline);
  }

  /** To the step after, which may take a moment: the first one asks for a name to suggest. */
  async next(): Promise<void> {
    const before = await this.step();
    await this.page.getByTestId('wizard-next').click();
    await this.page.locator(`[data-testid="wizard"]:not([data-step="${before}"])`).waitFor();
  }

  async back(): Promise<void> {
    await this.page.getByTestId('wizard-back').click();
  }

  async step(): Promise<string> {
    return (await this.page.getByTestId('wizard').getAttribute('data-step')) ?? '';
  }

  async name(text: string): Promise<void> {
    await this.page.getByTestId('vm-name').locator('input').fill(text);
  }

  async memory(mib: number): Promise<void> {
    const field = this.page.getByTestId('memory').locator('input');
    await field.fill(String(mib));
    await field.blur();
  }

  async disk(gib: number | null): Promise<void> {
    if (gib === null) {
      await this.page.getByTestId('disk-none').check();
      return;
    }
    await this.page.getByTestId('disk-new').check();
    const field = this.page.getByTestId('disk-size').locator('input');
    await field.fill(String(gib));
    await field.blur();
  }

  async waitForSummary(): Promise<void> {
    await this.page.getByTestId('summary').waitFor();
    await this.page.locator('[data-testid="preflight"] li').first().waitFor();
  }

  /** Words of the failed checks. */
  async failedChecks(): Promise<string[]> {
    return this.page.locator('[data-testid="preflight"] li[data-ok="false"]').allInnerTexts();
  }

  async create(start: boolean): Promise<void> {
    await this.page.getByTestId(start ? 'wizard-create-start' : 'wizard-create').click();
  }

  /** Creates it without starting, and opens its hardware. */
  async customize(): Promise<void> {
    await this.page.getByTestId('wizard-customize').click();
    await this.page.getByTestId('first-start').waitFor();
  }

  async error(): Promise<string> {
    return this.page.getByTestId('wizard-error').innerText();
  }

  /** From the first page to the new machine's page. */
  async run(options: {
    source: Source;
    path?: string;
    initrd?: string | null;
    cmdline?: string;
    name: string;
    memoryMiB?: number;
    diskGiB?: number | null;
    start?: boolean;
  }): Promise<void> {
    await this.source(options.source, options.path);
    if (options.source === 'kernel') await this.kernelOptions(options.initrd ?? null, options.cmdline);
    await this.next();
    await this.name(options.name);
    await this.next();
    if (options.memoryMiB !== undefined) await this.memory(options.memoryMiB);
    await this.next();
    // The sample brings its disk.
    if (options.source !== 'sample') {
      await this.disk(options.diskGiB ?? null);
      await this.next();
    }
    await this.waitForSummary();
    await this.create(options.start ?? true);
    await this.page.getByTestId('machine-page').waitFor();
  }
}
