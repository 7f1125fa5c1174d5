import type { EventName, EventPayload } from '../../core/contract/methods.ts';
import type { Manager } from '../../core/manager/manager.ts';

/** Hears the manager's events as any client does, for as long as the manager is there: for the menu, the tray and notifications. */
export class ManagerWatch {
  private readonly listeners = new Map<string, ((payload: never) => void)[]>();

  constructor(manager: Pick<Manager, 'connect'>) {
    manager.connect({
      send: (message) => {
        if (message.type !== 'event') return;
        for (const listener of this.listeners.get(message.event) ?? []) listener(message.payload as never);
      },
      onMessage: () => {},
      onClose: () => {},
      close: () => {},
    });
  }

  on<E extends EventName>(event: E, listener: (payload: EventPayload<E>) => void): void {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), listener as (payload: never) => void]);
  }
}
