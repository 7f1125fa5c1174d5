import { createRfbPlatform } from '../../../core/platform/rfbplatform.ts';
import { nullLogger } from '../../../core/util/logger.ts';
import * as P from '../../../core/vnc/protocol.ts';
import { RfbServer } from '../../../core/vnc/rfbserver.ts';
import { PipeEnd } from '../../../core/vnc/testing/pipe.ts';
import { RfbClient } from '../../../core/vnc/testing/rfbclient.ts';
import { Guest, type GuestOptions } from './guest.ts';

/** A machine and somebody who looks at it over RFB and may ask for another size. */
export class WatchedGuest {
  readonly guest: Guest;
  readonly server: RfbServer;
  readonly client: RfbClient;

  private constructor(guest: Guest) {
    this.guest = guest;
    const { vm } = guest;
    this.server = new RfbServer({
      source: vm.scanout,
      input: vm.input,
      name: 'guest',
      platform: createRfbPlatform(),
      log: nullLogger,
      resize: (width, height) => vm.resizeDisplay(width, height),
    });
    const [near, far] = PipeEnd.pair();
    this.server.accept(near, {});
    this.client = new RfbClient(far, { encodings: [P.ENCODING_RAW, P.PSEUDO_EXTENDED_DESKTOP_SIZE] });
  }

  static async start(options: GuestOptions): Promise<WatchedGuest> {
    const watched = new WatchedGuest(await new Guest(options).start());
    const { client } = watched;
    await client.connect();
    client.request(false);
    await client.update();
    return watched;
  }

  /** Takes updates until the picture is as wanted. */
  async seen(what: string, wanted: () => boolean, timeoutMs = 120_000): Promise<void> {
    const { client, server, guest } = this;
    const late = setTimeout(() => server.close(), timeoutMs);
    try {
      while (!wanted()) {
        client.request(true);
        await client.update();
      }
    } catch (error) {
      throw new Error(`no ${what}, but ${client.width} x ${client.height}: ${error}\n${guest.serial.slice(-800)}`);
    } finally {
      clearTimeout(late);
    }
  }

  /** Pixels that are not black. */
  lit(): number {
    return this.client.pixels.reduce((count, pixel) => count + (pixel ? 1 : 0), 0);
  }

  async end(): Promise<void> {
    this.server.close();
    await this.guest.end();
  }
}
