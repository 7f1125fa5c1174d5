/** IN and OUT (SDM volume 1 chapter 19). The device model runs inside the call and may raise interrupts or ask run() to return. */
import { portRead, portWrite } from './imports';
import { checkIoPermission } from './io';

export function portIn(port: u32, size: u32): u32 {
  checkIoPermission(port, size);
  return portRead(port, size);
}

export function portOut(port: u32, value: u32, size: u32): void {
  checkIoPermission(port, size);
  portWrite(port, value, size);
}
