import type { Locator, Page } from 'playwright-core';
import { MachinePage } from './machine.ts';
import { MachinesPage } from './machines.ts';
import { NetworksPage } from './networks.ts';
import { StoragePage, TrashPage } from './storage.ts';
import { WizardPage } from './wizard.ts';

/** The whole window: what is on every page. */
export class AppPage {
  readonly page: Page;
  readonly machines: MachinesPage;
  readonly wizard: WizardPage;
  readonly storage: StoragePage;
  readonly networks: NetworksPage;
  readonly trash: TrashPage;

  constructor(page: Page) {
    this.page = page;
    this.machines = new MachinesPage(page);
    this.wizard = new WizardPage(page);
    this.storage = new StoragePage(page);
    this.networks = new NetworksPage(page);
    this.trash = new TrashPage(page);
  }

  /** `url` is the server's, without a hash. The token goes the way of the printed link. */
  async open(url: string, token: string): Promise<void> {
    await this.page.goto(`${url.replace(/\/$/, '')}/#token=${encodeURIComponent(token)}`);
    await this.byId('nav-machines').waitFor();
  }

  byId(testid: string): Locator {
    return this.page.getByTestId(testid);
  }

  machine(): MachinePage {
    return new MachinePage(this.page);
  }

  async goToMachines(): Promise<void> {
    await this.byId('nav-machines').click();
  }

  async goToSettings(): Promise<void> {
    await this.byId('nav-settings').click();
    await this.byId('settings').waitFor();
  }

  /** Message and fix of the open error dialog; then closes it. */
  async takeError(): Promise<{ title: string; message: string; fix: string }> {
    const dialog = this.byId('error-dialog');
    await dialog.waitFor();
    const fix = dialog.getByTestId('error-fix');
    const result = {
      title: (await dialog.getByRole('heading').innerText()).trim(),
      message: (await dialog.getByTestId('error-message').innerText()).trim(),
      fix: (await fix.count()) > 0 ? (await fix.innerText()).trim() : '',
    };
    await dialog.getByTestId('error-close').click();
    await dialog.waitFor({ state: 'detached' });
    return result;
  }

  /** What the list before a start says is wrong, in its words; then cancels it. */
  async takeStartChecks(): Promise<string> {
    const dialog = this.byId('start-checks');
    await dialog.waitFor();
    const problems = (await dialog.locator('li[data-ok="false"]').allInnerTexts()).join('\n');
    await dialog.getByTestId('start-checks-cancel').click();
    await dialog.waitFor({ state: 'detached' });
    return problems;
  }

  async confirm(): Promise<void> {
    await this.byId('confirm-ok').click();
    await this.byId('confirm-dialog').waitFor({ state: 'detached' });
  }

  async logIn(token: string): Promise<void> {
    await this.byId('login-token').locator('input').fill(token);
    await this.byId('login-submit').click();
  }
}
