import type { App } from 'electron';
import { pageOfArguments, pageOfFile, pageOfLink } from './openrequests.ts';

/** What the system asks the app to open, from its very first moment on: macOS tells before the app is ready, others by arguments of this start or of a second one. */
export class Inbox {
  private waiting: string | undefined;
  private deliver: ((page: string | undefined) => void) | undefined;

  constructor(app: Pick<App, 'on'>, argv: readonly string[] = process.argv) {
    this.waiting = pageOfArguments(argv, process.cwd());
    app.on('second-instance', (_event, others, folder) => this.take(pageOfArguments(others, folder), true));
    app.on('open-url', (event, url) => {
      event.preventDefault();
      this.take(pageOfLink(url), false);
    });
    app.on('open-file', (event, file) => {
      event.preventDefault();
      this.take(pageOfFile(file, '/'), false);
    });
  }

  /** From now on pages go to `deliver`, and undefined for a second start that asks for none. Returns what came so far. */
  open(deliver: (page: string | undefined) => void): string | undefined {
    this.deliver = deliver;
    const { waiting } = this;
    this.waiting = undefined;
    return waiting;
  }

  private take(page: string | undefined, always: boolean): void {
    if (this.deliver) {
      if (page !== undefined || always) this.deliver(page);
    } else this.waiting = page ?? this.waiting;
  }
}
