import type { Locator, Page } from 'playwright-core';

/** The networks place: the list, details and dialogs. */
export class NetworksPage {
  private readonly page: Page;

  constructor(page: Page) {
    this.page = page;
  }

  async open(): Promise<void> {
    await this.page.getByTestId('nav-networks').click();
    await this.page.getByTestId('network-table').waitFor();
  }

  row(name: string): Locator {
    return this.page.locator(`[data-testid="network-row"][data-name=${JSON.stringify(name)}]`);
  }

  /** Opens the details of a network. */
  async details(name: string): Promise<Locator> {
    await this.row(name).getByTestId('network-open').click();
    const details = this.page.getByTestId('network-details');
    await details.getByRole('heading', { name, exact: true }).waitFor();
    return details;
  }

  /** In the open details, the card of a machine. */
  member(machine: string): Locator {
    return this.page.locator(`[data-testid="network-member"][data-name=${JSON.stringify(machine)}]`);
  }

  async fill(field: 'name' | 'subnet' | 'from' | 'to' | 'boot-file' | 'boot-folder-path', text: string): Promise<void> {
    await this.page.getByTestId(`network-${field}`).locator('input').fill(text);
  }

  /** Presses the dialog's button and waits until it is done. */
  async submit(dialog: 'network-dialog' | 'forward-dialog'): Promise<void> {
    await this.page.getByTestId('dialog-submit').click();
    await this.page.getByTestId(dialog).waitFor({ state: 'detached' });
  }

  /** In the open details: a port of the host that leads to a machine's. */
  async forward(hostPort: number, guestPort: number): Promise<void> {
    await this.page.getByTestId('forward-add').click();
    await this.page.getByTestId('forward-host-port').fill(String(hostPort));
    await this.page.getByTestId('forward-guest-port').fill(String(guestPort));
    await this.submit('forward-dialog');
  }
}
