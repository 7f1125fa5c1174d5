import type { DisplaySource, InputSink, Rect } from '../backend/display.ts';
import type { ByteChannel } from '../contract/transport.ts';
import type { Disposable } from '../util/disposable.ts';
import { DisposableStore } from '../util/disposable.ts';
import type { Logger } from '../util/logger.ts';
import type { RfbPlatform } from './platformparts.ts';
import { RfbSession } from './rfbsession.ts';
import { ScrollDetector } from './scrolldetector.ts';
import { type Seat, ViewerDesk, type ViewerIdentity } from './viewerdesk.ts';

export interface RfbServerOptions {
  source: DisplaySource;
  input: InputSink;
  /** Desktop name shown by viewers. */
  name: string;
  platform: RfbPlatform;
  log: Logger;
  /** Passes on what size a viewer would like the picture to have; false for a display that can't be told. */
  resize?: (width: number, height: number) => boolean;
}

export interface AcceptOptions {
  /** Asks for VNC authentication; only the first 8 characters count (RFC 6143 section 7.2.2). */
  password?: string;
  /** A program about which nothing is known when absent. */
  viewer?: ViewerIdentity;
}

/** Serves one picture to any number of RFB 3.3, 3.7 and 3.8 viewers (RFC 6143) over byte channels of any kind. */
export class RfbServer {
  /** Who looks, and who may use it. */
  readonly desk: ViewerDesk;
  private readonly options: RfbServerOptions;
  private readonly sessions = new Set<RfbSession>();
  private readonly subscriptions = new DisposableStore();
  private readonly scrolls = new ScrollDetector();
  private viewing: Disposable | undefined;
  /** The last size that was passed on, and whose wish that was. */
  private wish: { session: RfbSession; width: number; height: number } | undefined;

  constructor(options: RfbServerOptions) {
    this.options = options;
    const { source, input } = options;
    this.desk = new ViewerDesk(options.name);
    this.subscriptions.add(this.desk.onChange.on(() => this.each((session) => session.controlChanged())));
    this.subscriptions.add(source.onDamage((rects) => this.damaged(rects)));
    this.subscriptions.add(source.onResize(() => this.each((session) => session.resized())));
    this.subscriptions.add(source.onCursor(() => this.each((session) => session.cursorChanged())));
    this.subscriptions.add(input.onPointerModeChange(() => this.each((session) => session.pointerModeChanged())));
    this.subscriptions.add(input.onLedsChange(() => this.each((session) => session.ledsChanged())));
  }

  /** Viewers that got past the handshake. */
  get viewerCount(): number {
    return [...this.sessions].filter((session) => session.established).length;
  }

  accept(channel: ByteChannel, { password, viewer = { name: 'VNC', origin: 'vnc' } }: AcceptOptions): void {
    let seat: Seat | undefined;
    const { source, input, name, platform, log, resize } = this.options;
    const session = new RfbSession({
      channel,
      source,
      input,
      name,
      platform,
      log,
      password,
      resize: (width, height) => {
        const passed = resize?.(width, height) ?? false;
        if (passed) this.wish = { session, width, height };
        return passed;
      },
      window: viewer.origin === 'window',
      mayControl: () => seat?.control ?? false,
      onEstablished: (exclusive) => {
        seat = this.desk.join(viewer);
        // Our own windows stay: who sits before them can see that somebody else came, and would connect again at once.
        if (exclusive)
          this.each(
            (other) => other !== session && other.established && !other.window && other.close('another viewer asked for exclusive access'),
          );
        this.viewing ??= source.attachViewer();
      },
      onClose: () => {
        this.sessions.delete(session);
        if (this.wish?.session === session) this.wish = undefined;
        seat?.leave();
        if (this.viewerCount > 0) return;
        this.viewing?.dispose();
        this.viewing = undefined;
      },
    });
    this.sessions.add(session);
  }

  /** Passes the last wish for a size on again, if who had it still looks: the guest has become what it was before. */
  repeatSize(): void {
    if (this.wish) this.options.resize?.(this.wish.width, this.wish.height);
  }

  /** Ends every session. */
  close(): void {
    this.each((session) => session.close('the machine ended'));
    this.subscriptions.dispose();
    this.viewing?.dispose();
    this.viewing = undefined;
  }

  private damaged(rects: readonly Rect[]): void {
    if (!this.sessions.size) return;
    const { pixels, width, height } = this.options.source;
    const scroll = this.scrolls.update(pixels, width, height, rects);
    this.each((session) => session.damaged(rects, scroll));
  }

  private each(visit: (session: RfbSession) => void): void {
    for (const session of [...this.sessions]) visit(session);
  }
}
